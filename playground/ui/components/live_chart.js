// Draws a Plotly figure and keeps its DOM node: every update is a Plotly.react on the same element.

const charts = new WeakMap() // parentElement → { plot, zoom, observer, drawn, wanted, send }

function address(path) {
  return new URL(path, window.__streamlit?.DOWNLOAD_ASSETS_BASE_URL ?? document.baseURI)
}

// One copy of Plotly a page, whoever asks first. The promise lives on `window`: this module is loaded once a component.
function loadPlotly(path) {
  window.playgroundPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = address(path)
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => {
      window.playgroundPlotly = undefined
      script.remove()
      reject(new Error(`${script.src} did not load`))
    }
    document.head.append(script)
  })
  return window.playgroundPlotly
}

// The theme's colours as a Plotly template on top of the figure's own.
function themed(figure, element) {
  const style = getComputedStyle(element)
  const colour = (name) => style.getPropertyValue(`--st-${name}`).trim()
  const axis = { gridcolor: colour("border-color-light") || colour("border-color"), linecolor: colour("border-color") }
  const own = figure.layout.template?.layout ?? {}
  const layout = {
    ...own,
    font: { ...own.font, color: colour("text-color"), family: colour("font") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: { ...own.xaxis, ...axis },
    yaxis: { ...own.yaxis, ...axis },
    hoverlabel: {
      bgcolor: colour("secondary-background-color"),
      bordercolor: colour("border-color"),
      font: { color: colour("text-color"), family: colour("font") },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("gray-color"), activecolor: colour("primary-color") },
  }
  return { ...figure.layout, template: { ...figure.layout.template, layout } }
}

const TOOLBAR = 26 // pixels below the figure that are the toolbar's, where it covers nothing

const CONFIG = {
  displaylogo: false,
  showSendToCloud: false, // "Share chart…" would upload the figure to a company
  plotlyServerURL: "", // and nothing else has anywhere to send it
  responsive: false, // the observer below does it; Plotly's own listens to the window only
  doubleClick: "autosize", // "reset" would go back to the axis as it was when the chart was new
  modeBarButtonsToRemove: ["select2d", "lasso2d", "resetScale2d"],
}

// Plotly drops a zoom when the figure's own range moves, as the axis of a run in progress does: so it is kept here.
function keepZoom(chart, layout) {
  if (chart.revision !== layout.uirevision) chart.zoom = {}
  chart.revision = layout.uirevision
  for (const [axis, range] of Object.entries(chart.zoom)) layout[axis] = { ...layout[axis], range, autorange: false }
}

function onRelayout(chart, event) {
  for (const axis of ["xaxis", "yaxis"]) {
    if (event[`${axis}.autorange`]) delete chart.zoom[axis]
    else if (`${axis}.range[0]` in event) chart.zoom[axis] = [...chart.plot.layout[axis].range]
  }
  chart.drawn = undefined
  setTimeout(() => draw(chart))
}

function onClick(chart, event) {
  const { curveNumber, pointNumber, x, y, customdata } = event.points[0]
  if (chart.wanted.clicks) chart.send("click", { curve: curveNumber, point: pointNumber, x, y, customdata })
}

// A small picture beside the pointer: one tile of a sheet, its number in the point's customdata.
function showPicture(chart, event) {
  const { plot, wanted } = chart
  const number = event.points[0].customdata
  if (!wanted.pictures || number == null) return
  const { path, columns, rows, side } = wanted.pictures
  chart.picture ??= plot.parentElement.appendChild(document.createElement("i"))
  const { clientX: x, clientY: y } = event.event
  const left = x + side + 24 > window.innerWidth ? x - side - 16 : x + 16
  const top = Math.max(0, y - side - 24)
  chart.picture.className = "live-chart-picture"
  chart.picture.style.cssText =
    `left: ${left}px; top: ${top}px; width: ${side}px; height: ${side}px;` +
    `background: url("${address(path)}") -${(number % columns) * side}px -${Math.floor(number / columns) * side}px` +
    ` / ${columns * side}px ${rows * side}px`
}

function listen(chart) {
  if (chart.listening) return
  chart.listening = true
  chart.plot.on("plotly_relayout", (event) => onRelayout(chart, event))
  chart.plot.on("plotly_click", (event) => onClick(chart, event))
  chart.plot.on("plotly_hover", (event) => showPicture(chart, event))
  chart.plot.on("plotly_unhover", () => chart.picture && (chart.picture.style.display = "none"))
}

function draw(chart) {
  const { plot, wanted } = chart
  if (!wanted || !plot.isConnected || !plot.clientWidth) return
  // Where there is nothing to drag, there is nothing for a toolbar to do.
  const displayModeBar = wanted.figure.layout.dragmode === false ? false : "hover"
  const height = wanted.height - (displayModeBar ? TOOLBAR : 0)
  const layout = { ...themed(wanted.figure, plot), width: plot.clientWidth, height }
  const signature = JSON.stringify([wanted.version, layout.template.layout.font, layout.width, layout.height])
  if (signature === chart.drawn) return
  chart.drawn = signature
  keepZoom(chart, layout)
  chart.drawing = window.Plotly.react(plot, wanted.figure.data, layout, { ...CONFIG, displayModeBar })
  listen(chart)
}

export default function ({ data, parentElement, setTriggerValue }) {
  const plot = parentElement.querySelector(".live-chart")
  let chart = charts.get(parentElement)
  if (!chart) {
    chart = { plot, zoom: {} }
    charts.set(parentElement, chart)
    chart.observer = new ResizeObserver(() => window.Plotly && draw(chart))
    chart.observer.observe(plot)
  }
  chart.wanted = data
  chart.send = setTriggerValue
  plot.classList.toggle("clickable", data.clicks)
  plot.setAttribute("aria-label", data.alt)
  plot.style.height = `${data.height}px`
  loadPlotly(data.plotly).then(
    () => draw(chart),
    (error) => (plot.textContent = `The chart cannot be drawn: ${error.message}. Start the app with: streamlit run app.py`),
  )
  return () => {
    chart.observer.disconnect()
    chart.wanted = undefined
    // Not before it is drawn: its last steps, such as _rehover, would reach for what is purged.
    Promise.resolve(chart.drawing).finally(() => window.Plotly?.purge(plot))
    charts.delete(parentElement)
  }
}
