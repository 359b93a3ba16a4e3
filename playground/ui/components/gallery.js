// A grid of images to choose one from: real buttons, so the keyboard and screen readers reach each.

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".gallery")
  list.setAttribute("aria-label", data.label)
  while (list.children.length > data.items.length) list.lastElementChild.remove()
  while (list.children.length < data.items.length) {
    const button = document.createElement("button")
    button.type = "button"
    button.innerHTML = `<img alt=""><span aria-hidden="true"></span>`
    list.append(button)
  }
  data.items.forEach((item, i) => {
    const button = list.children[i]
    const [image, mark] = button.children
    if (image.src !== item.image) image.src = item.image
    button.title = item.label
    button.setAttribute("aria-label", item.label)
    button.setAttribute("aria-pressed", String(item.row === data.chosen))
    button.dataset.verdict = item.verdict
    mark.textContent = { right: "✓", wrong: "✗" }[item.verdict] ?? ""
    button.onclick = () => setTriggerValue("row", item.row)
  })
  list.style.setProperty("--right", data.right)
  list.style.setProperty("--wrong", data.wrong)
}
