// A row of images, each with what the network takes it for. The nodes stay; an update changes text and colours.

// Names such as sweet_pepper or A/B may be broken where a person would break them.
const breakable = (name) => name.replace(/[_/.-](?=.)/g, "$&\u200b")

export default function ({ data, parentElement }) {
  const list = parentElement.querySelector(".strip")
  list.setAttribute("aria-label", data.alt)
  while (list.children.length > data.items.length) list.lastElementChild.remove()
  while (list.children.length < data.items.length) {
    const item = document.createElement("li")
    item.innerHTML =
      `<img><i class="mark"></i><span class="guess"><span></span></span>` +
      `<span class="bar"><i></i><b></b></span><span class="truth"><span></span></span>`
    list.append(item)
  }
  data.items.forEach((item, i) => {
    const node = list.children[i]
    const [image, mark, guess, bar, truth] = node.children
    if (image.src !== item.image) image.src = item.image
    image.style.aspectRatio = item.aspect ?? ""
    image.alt = item.alt
    node.title = item.alt
    node.dataset.verdict = item.verdict
    mark.textContent = item.mark ?? ""
    guess.firstElementChild.textContent = breakable(item.guess)
    // The longest name keeps its room, so that nothing moves when a guess changes.
    guess.dataset.longest = breakable(data.longest ?? "")
    truth.dataset.longest = data.longest ? `is ${breakable(data.longest)}` : ""
    bar.firstElementChild.style.setProperty("--share", item.percent / 100)
    bar.lastElementChild.textContent = item.verdict && `${item.percent} %`
    truth.firstElementChild.textContent = breakable(item.truth)
  })
  parentElement.querySelector(".strip-box").style.setProperty("--right", data.right)
  parentElement.querySelector(".strip-box").style.setProperty("--wrong", data.wrong)
}
