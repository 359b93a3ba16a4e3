"""The view's figures: arrays → Plotly figures as dicts, on the app's template."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from playground.plots import NEUTRAL, TEMPLATE, Figure, color_class, make_line
from playground.plots.style import escape_markup, to_json

if TYPE_CHECKING:
    from playground.interpret.kernels import Histogram

MAX_CLASSES = 10
"""Curves in one figure; of more classes the likeliest are drawn."""


def histogram(title: str, counted: "Histogram", revision: str) -> Figure:
    """Draw counts of values as bars."""
    middles = (counted.edges[:-1] + counted.edges[1:]) / 2
    bars = {
        "type": "bar",
        "x": to_json(middles),
        "y": counted.counts.tolist(),
        "width": to_json(np.diff(counted.edges)),
        "marker": {"color": NEUTRAL, "line": {"width": 0}},
        "hovertemplate": "about %{x:.3~g}: %{y}<extra></extra>",
    }
    layout = {
        "template": TEMPLATE,
        "uirevision": revision,
        "title": {"text": title},
        "bargap": 0,
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": {"nticks": 7},
        "yaxis": {"nticks": 5},
    }
    return {"data": [bars], "layout": layout}


def over_time(probs: Mapping[int, np.ndarray], classes: Sequence[str], epoch: int, revision: str) -> Figure:
    """Draw each class's probability over the epochs.

    Args:
        probs: by epoch, (num_classes,) each.
        epoch: the chosen one, marked with a line.
    """
    epochs = np.array(sorted(probs), float)
    table = np.stack([probs[int(e)] for e in epochs])
    order = np.argsort(-table.max(0), kind="stable")[:MAX_CLASSES]
    mode = "lines+markers"
    traces = [
        make_line(epochs, 100 * table[:, i], classes[i], color_class(i), mode=mode, hovertemplate="%{y:.1f} %")
        for i in sorted(order)
    ]
    cursor = {"type": "line", "x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "yref": "paper"}
    layout = {
        "template": TEMPLATE,
        "uirevision": revision,
        "margin": {"l": 62, "r": 8, "t": 48, "b": 36},
        "xaxis": {"title": {"text": "epoch", "font": {"size": 11}, "standoff": 4}, "nticks": 10}
        | {"unifiedhovertitle": {"text": "probability after epoch %{x}"}},
        "yaxis": {"range": [0, 101], "ticksuffix": " %", "nticks": 6, "title": {"text": "probability", "standoff": 4}},
        "shapes": [cursor | {"line": {"color": NEUTRAL, "width": 1.5}, "layer": "below"}],
    }
    return {"data": traces, "layout": layout}


def scatter(
    points: np.ndarray,
    rows: np.ndarray,
    targets: np.ndarray,
    guesses: np.ndarray | None,
    classes: Sequence[str],
    titles: Sequence[str],
    revision: str,
) -> Figure:
    """Draw test images as points in a plane that they fill, one colour a class, errors as crosses.

    Args:
        points: (N, 2).
        rows: (N,) the test images' numbers; targets: (N,); guesses: (N,) what is predicted, None if not known.
        titles: what the two axes are.
    """
    traces = []
    for i, name in enumerate(classes):
        own = np.flatnonzero(targets == i)
        wrong = np.zeros(len(own), bool) if guesses is None else guesses[own] != i
        words = [f"test image {row}, {name}" for row in rows[own]]
        if guesses is not None:
            words = [
                w + (f", predicted as {classes[guesses[n]]}" if e else "")
                for w, n, e in zip(words, own, wrong, strict=True)
            ]
        marker = {
            "color": color_class(i),
            "symbol": ["x" if e else "circle" for e in wrong],
            "size": [6 if e else 4 for e in wrong],
            "opacity": 0.85,
            "line": {"width": 0},
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape_markup(name),
                "x": to_json(points[own, 0]),
                "y": to_json(points[own, 1]),
                "text": [escape_markup(text) for text in words],
                "customdata": own.tolist(),  # the tile that shows it
                "marker": marker,
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    hidden = {"showticklabels": False, "zeroline": False}
    layout = {
        "template": TEMPLATE,
        "uirevision": revision,
        "hovermode": "closest",
        "margin": {"l": 34, "r": 8, "t": 48, "b": 34},
        "legend": {"x": 0, "xanchor": "left"},
        "xaxis": hidden | {"range": _span(points[:, 0]), "title": {"text": titles[0]}},
        "yaxis": hidden | {"range": _span(points[:, 1]), "title": {"text": titles[1]}},
    }
    return {"data": traces, "layout": layout}


def _span(values: np.ndarray) -> list[float]:
    """Return a range that holds all values and has little room to spare."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    room = 0.04 * (high - low) or 1.0
    return [round(low - room, 3), round(high + room, 3)]
