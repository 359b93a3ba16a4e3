"""Figures that judge a network: ranking curves, reliability, top-k accuracy, and right and wrong over the epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from playground.plots.style import (
    MAX_POINTS,
    NEUTRAL,
    RIGHT,
    TEMPLATE,
    TEST,
    WRONG,
    Figure,
    escape_markup,
    make_line,
    to_json,
)

_PER_CENT = {"range": [-1, 101], "ticksuffix": " %", "nticks": 6}


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of a ranking figure, as fractions.

    Attributes:
        x, y: (P,) in [0, 1].
        area: what is below it, in [0, 1].
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float
    colour: str


def draw_ranking_curves(
    curves: Sequence[Curve],
    kind: Literal["roc", "pr"],
    *,
    mark: tuple[float, float] | None = None,
    chance: float | None = None,
    revision: str = "",
) -> Figure:
    """Draw ROC curves or precision-recall curves.

    Args:
        curves: the lines.
        kind: which, for the axes.
        mark: (x, y) of the chosen threshold, as fractions.
        chance: for precision-recall the share of the class among the images, what guessing would reach; a line.
        revision: for as long as it is the same a person's zoom is kept.
    """
    many = len(curves) > 3
    traces = []
    for curve in curves:
        width = {"color": curve.colour, "width": 1.3 if many else 2}
        words = "%{meta}: %{x:.1f} %, %{y:.1f} %<extra></extra>"  # a name in here would be read as a template
        name = f"{curve.name} {curve.area:.3f}"
        kept = _evenly(curve.x, curve.y)
        trace = make_line(100 * curve.x[kept], 100 * curve.y[kept], name, curve.colour, hovertemplate=words)
        trace |= {"meta": escape_markup(curve.name), "line": width | ({"shape": "vh"} if kind == "pr" else {})}
        traces.append(trace)
    if kind == "roc" or chance is not None:
        ends = [0, 100] if kind == "roc" else [100 * (chance or 0)] * 2
        dashed = {"color": NEUTRAL, "width": 1.3, "dash": "dot"}
        traces.append(_line([0, 100], ends, "guessing") | {"line": dashed})
    if mark:
        point = {"symbol": "circle-open", "size": 13, "color": curves[0].colour, "line": {"width": 3}}
        traces.append(_line([100 * mark[0]], [100 * mark[1]], "threshold") | {"mode": "markers", "marker": point})
    x, y = ("false positive rate", "true positive rate") if kind == "roc" else ("recall", "precision")
    corner = {"x": 0.98, "xanchor": "right", "y": 0.02}
    if kind == "pr":
        corner = {"x": 0.02, "xanchor": "left", "y": 0.02 if chance is None else chance + 0.03}
    layout = _layout(revision) | {
        "hovermode": "closest",
        "margin": {"l": 58, "r": 8, "t": 8, "b": 42},
        "legend": corner | {"yanchor": "bottom", "orientation": "v"},
        "xaxis": _PER_CENT | {"title": {"text": x, "standoff": 6}},
        "yaxis": _PER_CENT | {"title": {"text": y, "standoff": 4}},
    }
    return {"data": traces, "layout": layout}


def draw_reliability(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    accuracy: NDArray[np.float64],
    confidence: NDArray[np.float64],
    revision: str = "",
) -> Figure:
    """Draw accuracy against confidence, the gap between them, and below how many answers each bin holds.

    Args:
        edges: (M + 1,) of the bins, from 0 to 1.
        counts, accuracy, confidence: (M,) of each bin; empty bins are not drawn.
    """
    filled = counts > 0
    middles, widths = ((edges[:-1] + edges[1:]) / 2)[filled], np.diff(edges)[filled]
    place = {"type": "bar", "x": to_json(100 * middles), "width": to_json(100 * widths), "offsetgroup": "1"}
    right, sure = 100 * accuracy[filled], 100 * confidence[filled]
    shown = {"customdata": np.column_stack([counts[filled], right.round(1), sure.round(1)]).tolist()}
    shown["hovertemplate"] = (
        "%{customdata[0]} images: right %{customdata[1]} %, confidence %{customdata[2]} %<extra></extra>"
    )
    gap = {"color": "rgba(216,71,61,0.25)", "line": {"color": WRONG, "width": 1.2}}
    solid = {"color": TEST, "line": {"width": 0}}
    traces = [
        place | shown | {"y": to_json(right), "name": "right", "marker": solid},
        place | shown | {"y": to_json(sure - right), "base": to_json(right), "name": "gap", "marker": gap},
        _line([0, 100], [0, 100], "perfectly calibrated") | {"line": {"color": NEUTRAL, "dash": "dot"}},
        place
        | {"y": counts[filled].tolist(), "yaxis": "y2", "showlegend": False, "marker": {"color": NEUTRAL}}
        | {"hovertemplate": "%{y} images<extra></extra>"},
    ]
    layout = _layout(revision) | {
        "barmode": "overlay",
        "hovermode": "closest",
        "margin": {"l": 58, "r": 8, "t": 30, "b": 42},
        "xaxis": _PER_CENT | {"title": {"text": "confidence", "standoff": 6}, "anchor": "y2"},
        "yaxis": _PER_CENT | {"title": {"text": "accuracy on test images", "standoff": 4}, "domain": [0.3, 1]},
        "yaxis2": {"domain": [0, 0.22], "nticks": 3, "title": {"text": "images", "standoff": 4}},
    }
    return {"data": traces, "layout": layout}


def draw_top_k(counts: NDArray[np.int64], total: int, k: int, revision: str = "") -> Figure:
    """Draw the share of images whose class is among the k likeliest, for every k.

    Args:
        counts: (K,) how many images that are, for k from 1; total: of so many.
        k: the chosen one, marked.
    """
    share = 100 * counts / max(total, 1)
    ks = np.arange(1, len(counts) + 1)
    curve = make_line(
        ks, share, "top-k", TEST, mode="lines+markers", hovertemplate="top-%{x}: %{y:.1f} %<extra></extra>"
    )
    marker = {"size": 12, "color": TEST, "symbol": "circle-open", "line": {"width": 3}}
    point = _line([k], [float(share[k - 1])], "k") | {"mode": "markers", "marker": marker}
    layout = _layout(revision) | {
        "hovermode": "closest",
        "showlegend": False,
        "margin": {"l": 62, "r": 8, "t": 8, "b": 40},
        "xaxis": {"title": {"text": "k", "standoff": 4}, "nticks": 10, "range": [0.5, len(counts) + 0.5]},
        "yaxis": {"ticksuffix": " %", "nticks": 5, "title": {"text": "of the test images", "standoff": 4}},
    }
    return {"data": [curve, point], "layout": layout}


def draw_history(
    right: NDArray[np.bool_],
    guesses: Sequence[Sequence[str]],
    epochs: Sequence[int],
    names: Sequence[str],
    revision: str = "",
) -> Figure:
    """Draw for each image whether it was answered rightly at each epoch: one row an image, one column an epoch.

    Args:
        right: (n, E) bool; guesses: what each was predicted as, n rows of E names; names: of the n images.
    """
    cells = {
        "type": "heatmap",
        "x": [str(epoch) for epoch in epochs],
        "y": [escape_markup(name) for name in names],
        "z": right.astype(int).tolist(),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, WRONG], [1, RIGHT]],
        "showscale": False,
        "xgap": 1,
        "ygap": 2,
        "text": [["✓" if good else "✗" for good in row] for row in right],
        "customdata": [[escape_markup(name) for name in row] for row in guesses],
        "hovertemplate": "%{y}, epoch %{x}: predicted as %{customdata}<extra></extra>",
    }
    if len(epochs) <= 40:
        cells |= {"texttemplate": "%{text}", "textfont": {"size": 10, "color": "#fff"}}
    layout = _layout(revision) | {
        "hovermode": "closest",
        "margin": {"l": 8, "r": 8, "t": 8, "b": 40},
        "xaxis": {"type": "category", "title": {"text": "epoch", "standoff": 4}, "showgrid": False, "nticks": 20},
        "yaxis": {"type": "category", "autorange": "reversed", "automargin": True, "showgrid": False},
    }
    return {"data": [cells], "layout": layout}


def _evenly(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose at most `MAX_POINTS` points of a path (P,), about evenly along its length, with both ends.

    Most thresholds of a rare class lie within the last few per cent of its curve, where nothing is to be seen.
    """
    length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    kept = np.searchsorted(length, np.linspace(0, length[-1], MAX_POINTS - 1))
    return np.unique(np.append(kept, len(x) - 1))


def _line(x: list[float], y: list[float], name: str) -> Figure:
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "hoverinfo": "skip"}


def _layout(revision: str) -> Figure:
    return {"template": TEMPLATE, "uirevision": revision}
