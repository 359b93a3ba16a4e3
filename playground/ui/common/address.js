// Streamlit adds what a page says of itself to whichever address is shown when the message arrives. Who goes back quickly
// is on another page by then: so the pages that keep nothing in their address refuse it.
if (!window.playgroundAddress) {
  window.playgroundAddress = true
  for (const name of ["pushState", "replaceState"]) {
    const write = history[name].bind(history)
    history[name] = (state, unused, url) => {
      const wanted = new URL(url ?? "", location)
      write(state, unused, /\/(runs|data)?$/.test(wanted.pathname) ? wanted.pathname : url)
    }
  }
}
