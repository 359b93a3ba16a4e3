"""A run as one web page that needs nothing else: knobs, layers, curves, confusion and kernels, to keep and to send."""

import base64
import io
import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from playground import plots
from playground.config import KNOBS, flatten
from playground.data.store import title_of
from playground.events import EpochRow
from playground.exports.context import ExportContext
from playground.metrics import scores as metrics
from playground.plots.confusion import draw_confusion

LABELS = {name: knob.label.split(" (")[0] for name, knob in KNOBS.items()}
MAX_KERNELS = 128

_STYLE = """
:root { color-scheme: light dark; --text: #1f2430; --back: #fff; --line: #d9dde5; --soft: #5d6676; }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaf0; --back: #14171f; --line: #353b48; --soft: #a3acbd; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p, .soft { color: var(--soft); white-space: pre-line; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
th { text-align: left; font-weight: 600; } td { font-variant-numeric: tabular-nums; }
td + td, th + th { text-align: right; } .words td + td, .words th + th { text-align: left; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
.wide { overflow-x: auto; } .chart { height: 300px; } .chart.square { height: 560px; max-width: 46rem; }
.chart { margin-bottom: 26px; } .chart .modebar-container { top: 100% !important; width: 100%; }
img { image-rendering: pixelated; width: 100%; max-width: 40rem; background: #808080; }
"""

_DRAW = """
const figures = JSON.parse(document.getElementById("figures").textContent)
const dark = matchMedia("(prefers-color-scheme: dark)")
function draw() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line") }
  for (const [id, figure] of Object.entries(figures)) {
    const own = figure.layout.template.layout
    const layout = { ...own, font: { ...own.font, color: colour("--text") }, paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)", xaxis: { ...own.xaxis, ...axis }, yaxis: { ...own.yaxis, ...axis },
      hoverlabel: { bgcolor: colour("--back"), bordercolor: colour("--line"), font: { color: colour("--text") } } }
    const template = { ...figure.layout.template, layout }
    const config = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "" }
    Plotly.react(id, figure.data, { ...figure.layout, template, autosize: true }, config)
  }
}
dark.addEventListener("change", draw)
draw()
"""

# Nothing may be fetched from anywhere, whatever the page says.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def make_report(facts: ExportContext) -> bytes:
    """Write the page as UTF-8. Everything that a person has written is escaped.

    Raises:
        RunError: the weights are damaged.
    """
    figures = _figures(facts)
    parts = [
        f"<h1>{escape(facts.name)}</h1>",
        f"<p>{escape(_summary(facts))}</p>",
        *([f"<p>{escape(note)}</p>"] if (note := facts.run.about.note) else []),
        '<h2>Curves</h2><div class="pair">',
        *(_chart(name, f"{title} over the epochs") for name, title in _CURVES.items() if name in figures),
        "</div>",
        *([f"<p>{_ABOUT_PIXELS}</p>"] if "iou" in figures else []),
    ]
    if "confusion" in figures:
        parts += _confusion(facts)
    if picture := kernels(facts):
        words = f"The first layer's kernels after epoch {facts.epoch}"
        source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        parts += [f"<h2>{words}</h2>", f'<img src="{source}" alt="{words}, each scaled by its largest weight">']
    parts += ["<h2>Knobs</h2>", _table(("Knob", "Value", "By default"), _knobs(facts), "words")]
    parts += ["<h2>Layers</h2>", _table(("Layer", "Output", "Parameters", "MACs"), _layers(facts))]
    data = json.dumps(figures, separators=(",", ":")).replace("<", "\\u003c")
    plotly = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(facts.name)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f'<body>{"".join(parts)}<script type="application/json" id="figures">{data}</script>'
        f"<script>{plotly}</script><script>{_DRAW}</script></body></html>\n"
    )
    return page.encode()


_CURVES = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "iou": "Mean IoU",
    "boundary_f1": "Boundary F1",
    "pixel_accuracy": "Pixel accuracy",
    "learning_rate": "Learning rate",
    "throughput": "Images per second",
}
"""What is drawn where there is something to draw: "accuracy" of images, the three after it of pixels."""
_ABOUT_PIXELS = (
    "IoU is intersection over union: of the pixels that are of a class or are taken for it, the share that is both. "
    "Its mean over the classes is what this run is judged by. Boundary F1 says how well predicted and true boundaries "
    "meet, and pixel accuracy is the share of the pixels that are right."
)


def _figures(facts: ExportContext) -> dict[str, plots.Figure]:
    found: dict[str, plots.Figure] = {}
    if facts.feed.epochs:
        feed, total = facts.feed, facts.status.epochs or facts.config.training.epochs
        found |= plots.draw_curves(
            feed.progress, feed.epochs, feed.changes, total_epochs=total, cursor=float(facts.epoch), labels=LABELS
        )
        if feed.epochs[-1].test.iou is not None:
            _one_panel_each(found, feed.epochs)
    if facts.scores:
        # Pixels are too many to be read as counts.
        show = "rows" if facts.masks else "counts"
        found["confusion"] = draw_confusion(facts.scores.confusion, facts.dataset.classes, show=show)
    return found


def _one_panel_each(figures: dict[str, plots.Figure], epochs: Sequence[EpochRow]) -> None:
    """Give mean IoU, boundary F1 and pixel accuracy a panel each; the live curves have two of them in one."""
    judged, cursor = figures.pop("accuracy"), figures["learning_rate"]["layout"]["shapes"]
    train = [trace | {"name": "train"} for trace in judged["data"] if trace["name"].startswith("train")]
    judged["data"] = [trace for trace in judged["data"] if not trace["name"].startswith("train")]
    figures["iou"] = judged
    for name, key, traces in (("boundary_f1", "boundary_f1", []), ("pixel_accuracy", "accuracy", train)):
        title = judged["layout"]["title"] | {"text": _CURVES[name]}
        layout = judged["layout"] | {"title": title, "shapes": cursor, "annotations": []}
        for split, label, dash in (("val", "validation", "solid"), ("test", "test", "dot")):
            points = [(row.epoch, 100 * getattr(row[split], key)) for row in epochs if row.get(split)]
            if points:
                x, y = np.array(points).T
                more = {"mode": "lines+markers", "marker": {"size": 4}, "hovertemplate": "%{y:.1f} %"}
                traces.append(plots.make_line(x, y, label, plots.TEST if split == "test" else plots.VALIDATION, **more))
                traces[-1]["line"]["dash"] = dash
        figures[name] = {"data": traces, "layout": layout}


def _summary(facts: ExportContext) -> str:
    """Say what was reached, in a line or two."""
    status = facts.status
    accuracy = "pixel accuracy" if facts.masks else "accuracy"
    names = {"iou": "mean IoU", "boundary_f1": "boundary F1", "accuracy": accuracy}
    scores = []
    for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        if facts.scores and (found := facts.scores.get(split)):
            known = {words: getattr(found, figure) for figure, words in names.items()}
            figures = [f"{words} {value:.2%}" for words, value in known.items() if value is not None]
            scores.append(f"{name} {', '.join(figures)}, loss {found.loss:.4g}")
    parameters, macs = (sum(getattr(layer, name) for layer in facts.chain) for name in ("parameters", "macs"))
    where = f" on {status.device} with {status.threads} threads" if status.device else ""
    lines = [
        f"{facts.dataset.title}: epoch {facts.epoch} of {facts.config.training.epochs}, {status.state}.",
        "; ".join(scores),
        f"{parameters:,} parameters, {macs:,} multiplications an image, {status.seconds:,.1f} s of training{where}.",
    ]
    return "\n".join(filter(None, lines))


def _chart(name: str, words: str, extra: str = "") -> str:
    return f'<div id="{name}" class="chart {extra}" role="img" aria-label="{escape(words)}"></div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], kind: str = "") -> str:
    cells = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><tr>{cells}</tr>{lines}</table></div>'


def _knobs(facts: ExportContext) -> list[tuple[str, str, str]]:
    """Return each knob's label, value and, where it differs, the default."""
    rows = []
    for name, value in flatten(facts.config).items():
        knob = KNOBS[name]
        written = title_of if name == "dataset" else knob.format
        shown = f"{written(value)} {knob.unit}".strip()
        turned = [f"{new:g} from step {step}" for step, new in facts.changes.get(name, {}).items()]
        default = f"{written(knob.default)} {knob.unit}".strip() if value != knob.default else ""
        rows.append((knob.label, "; ".join([shown, *turned]), default))
    return rows


def _layers(facts: ExportContext) -> list[tuple[str, str, str, str]]:
    return [
        (
            layer.name,
            " × ".join(map(str, layer.out_shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
        )
        for layer in facts.chain
    ]


def _confusion(facts: ExportContext) -> list[str]:
    """Return the matrix and the table of the classes."""
    if facts.masks:
        what = f"The pixels of the test images after epoch {facts.epoch}, in per cent of the true class"
        table = _table(("Class", "IoU", "Dice", "Precision", "Recall", "Pixels"), _pixel_classes(facts))
    else:
        what = f"The test images after epoch {facts.epoch}"
        table = _table(("Class", "Precision", "Recall", "F1", "Images"), _classes(facts))
    return [
        "<h2>Confusion matrix</h2>",
        f"<p>{what}: a row for each true class, a column for each prediction.</p>",
        _chart("confusion", "Confusion matrix", "square"),
        "<h2>Class by class</h2>",
        table,
    ]


def _pixel_classes(facts: ExportContext) -> list[tuple[str, ...]]:
    """Return a row for each class, and the means over those that occur in the truth."""
    counts = np.array(facts.scores.confusion if facts.scores else [])
    pixels = counts.sum(1)
    figures = np.stack(
        [
            figure(counts)
            for figure in (metrics.compute_iou, metrics.compute_f1, metrics.compute_precision, metrics.compute_recall)
        ],
        1,
    )
    rows: list[tuple[str, ...]] = [
        (name, *(f"{value:.1%}" if n else "–" for value in values), f"{n:,}")
        for name, values, n in zip(facts.dataset.classes, figures, pixels, strict=True)
    ]
    if pixels.any():
        means = figures[pixels > 0].mean(0)
        rows.append(("Mean of the classes that occur", *(f"{value:.1%}" for value in means), f"{pixels.sum():,}"))
    return rows


def _classes(facts: ExportContext) -> list[tuple[str, ...]]:
    counts = np.array(facts.scores.confusion if facts.scores else [])
    predicted, support = counts.sum(0), counts.sum(1)
    figures = zip(
        metrics.compute_precision(counts),
        metrics.compute_recall(counts),
        metrics.compute_f1(counts),
        predicted,
        support,
        strict=True,
    )
    return [
        (
            name,
            f"{p:.1%}" if guesses else "–",  # a share of nothing
            f"{r:.1%}" if images else "–",
            f"{f:.3f}" if guesses + images else "–",
            f"{images:,}",
        )
        for name, (p, r, f, guesses, images) in zip(facts.dataset.classes, figures, strict=True)
    ]


def kernels(facts: ExportContext) -> bytes:
    """Draw the first layer's kernels as tiles of one PNG, grey is 0; empty where a kernel is a single number."""
    weights = facts.run.weights(facts.epoch).get("block1_conv1.weight")
    if weights is None or weights.shape[2] == 1:
        return b""
    tiles = np.nan_to_num(weights[:MAX_KERNELS]).transpose(0, 2, 3, 1)
    tiles = np.broadcast_to(tiles if tiles.shape[3] == 3 else tiles[..., :1], (*tiles.shape[:3], 3))
    tiles = tiles / np.maximum(np.abs(tiles).max((1, 2, 3), keepdims=True), 1e-12)
    pixels = np.rint(127.5 + 127.5 * tiles).astype(np.uint8)
    count, side = len(pixels), pixels.shape[1]
    columns = min(16, count)
    sheet = np.full((math.ceil(count / columns) * (side + 1), columns * (side + 1), 3), 128, np.uint8)
    for i, tile in enumerate(pixels):
        top, left = i // columns * (side + 1), i % columns * (side + 1)
        sheet[top : top + side, left : left + side] = tile
    buffer = io.BytesIO()
    large = Image.fromarray(sheet).resize((sheet.shape[1] * 8, sheet.shape[0] * 8), Image.Resampling.NEAREST)
    large.save(buffer, "png")
    return buffer.getvalue()
