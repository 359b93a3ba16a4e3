// Pictures made of tiles. A click says which tile, and where in it; the arrow keys move from the one that is marked.

// → [tile, row, column] of the value at a fraction (0 to 1) of the picture; null in a gap.
function locate(item, x, y) {
  const [tall, wide] = item.tile
  const px = Math.floor(x * item.size[0])
  const py = Math.floor(y * item.size[1])
  const column = Math.floor(px / (wide + item.gap))
  const row = Math.floor(py / (tall + item.gap))
  const inX = px - column * (wide + item.gap)
  const inY = py - row * (tall + item.gap)
  const tile = row * item.columns + column
  if (inX >= wide || inY >= tall || column >= item.columns || tile >= item.count) return null
  return [tile, Math.floor(inY / item.zoom), Math.floor(inX / item.zoom)]
}

function moved(item, key) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key]
  if (!step || !item.at) return null
  const [tile, row, column] = item.at
  if (item.count > 1) {
    const next = tile + step[0] * item.columns + step[1]
    return next >= 0 && next < item.count ? [next, row, column] : null
  }
  const to = [row + step[0], column + step[1]]
  const inside = to.every((v, i) => v >= 0 && v < item.tile[i] / item.zoom)
  return inside ? [tile, ...to] : null
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".sheets")
  list.setAttribute("aria-label", data.label)
  while (list.children.length > data.items.length) list.lastElementChild.remove()
  while (list.children.length < data.items.length) {
    const figure = document.createElement("figure")
    figure.innerHTML = `<figcaption><b></b><small></small></figcaption><button type="button"><img><i></i></button>`
    list.append(figure)
  }
  data.items.forEach((item, i) => {
    const figure = list.children[i]
    const [title, note] = figure.firstElementChild.children
    const button = figure.lastElementChild
    const [image, mark] = button.children
    figure.style.width = item.width ? `${item.width}px` : "100%"
    title.textContent = title.title = item.title
    title.hidden = !item.title
    note.textContent = item.note
    if (image.src !== item.url) image.src = item.url
    image.alt = item.alt
    button.setAttribute("aria-disabled", String(!item.pick))
    button.tabIndex = item.pick ? 0 : -1
    mark.hidden = !item.box
    mark.style.display = item.box ? "" : "none"
    if (item.box) {
      const [left, top, right, bottom] = item.box
      mark.style.left = `${(100 * left) / item.size[0]}%`
      mark.style.top = `${(100 * top) / item.size[1]}%`
      mark.style.width = `${(100 * (right - left)) / item.size[0]}%`
      mark.style.height = `${(100 * (bottom - top)) / item.size[1]}%`
    }
    const at = (event) => {
      const box = image.getBoundingClientRect()
      return locate(item, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height)
    }
    const pick = (place) => place && setTriggerValue("pick", { name: item.name, place })
    button.onclick = item.pick ? (event) => event.detail && pick(at(event)) : null
    button.onkeydown = item.pick
      ? (event) => {
          const place = moved(item, event.key)
          if (event.key.startsWith("Arrow")) event.preventDefault()
          pick(place)
        }
      : null
    button.onmousemove = item.pick
      ? (event) => {
          const place = at(event)
          const where = item.count > 1 ? `${item.unit} ${place?.[0]}, ` : ""
          button.title = place ? `${where}row ${place[1]}, column ${place[2]}` : ""
        }
      : null
  })
}
