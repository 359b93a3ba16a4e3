// A row of images, each with what the network takes it for. The nodes stay; an update changes text and colours.

export default function ({ data, parentElement }) {
  const list = parentElement.querySelector(".strip")
  list.setAttribute("aria-label", data.alt)
  while (list.children.length > data.items.length) list.lastElementChild.remove()
  while (list.children.length < data.items.length) {
    const item = document.createElement("li")
    item.innerHTML = `<img><span class="guess"></span><span class="bar"><i></i><b></b></span><span class="truth"></span>`
    list.append(item)
  }
  data.items.forEach((item, i) => {
    const node = list.children[i]
    const [image, guess, bar, truth] = node.children
    if (image.src !== item.image) image.src = item.image
    image.style.aspectRatio = item.aspect ?? ""
    image.alt = item.alt
    node.title = item.alt
    node.dataset.verdict = item.verdict
    guess.textContent = item.guess
    bar.firstElementChild.style.setProperty("--share", item.percent / 100)
    bar.lastElementChild.textContent = item.verdict && `${item.percent} %`
    truth.textContent = item.truth
  })
  parentElement.querySelector(".strip-box").style.setProperty("--right", data.right)
  parentElement.querySelector(".strip-box").style.setProperty("--wrong", data.wrong)
}
