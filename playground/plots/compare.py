"""The curves of several runs in one figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from playground.plots.style import COUNTED, TEMPLATE, Figure, color_class, make_line, smooth

MAX_RUNS = 20
PALETTE = 10
"""Of the classes' colours, which the colour-blind can tell apart; beyond them the lines are dashed as well."""
AXES = {"step": "step", "epoch": "epoch", "images": "images seen", "seconds": "seconds of training"}
_HOVER = {"step": "step %{x:,d}", "epoch": "epoch %{x:.2~f}", "images": "%{x:,d} images", "seconds": "%{x:,.1f} s"}


@dataclass(frozen=True)
class Curve:
    """One run's curve.

    Attributes:
        name: the run's label; number: of its colour.
        x, y: (N,); all but losses as fractions.
    """

    name: str
    number: int
    x: np.ndarray
    y: np.ndarray


def color_run(number: int) -> str:
    """Return the colour of a run by its number in the selection."""
    return color_class(number % PALETTE)


def draw_overlay(
    curves: Sequence[Curve],
    *,
    axis: str,
    figure: str,
    title: str,
    smoothing: float = 0.0,
    log: bool = False,
    revision: str = "",
) -> Figure:
    """Draw the curves of several runs over one axis; more than `MAX_POINTS` points are thinned out.

    Args:
        axis: a key of `AXES`; figure: "loss", "accuracy", "iou" or "boundary_f1".
        smoothing: weight of the moving average, 0 to below 1.
        log: a logarithmic loss.
        revision: a person's zoom is kept for as long as this stays the same.
    """
    percent = figure != "loss"
    traces = []
    for curve in curves:
        few = len(curve.x) < 60  # the points of single epochs are worth seeing
        traces.append(
            make_line(
                curve.x,
                smooth(curve.y, smoothing) * (100 if percent else 1),
                curve.name,
                color_run(curve.number),
                mode="lines+markers" if few else "lines",
                marker={"size": 4},
                hovertemplate="%{y:.1f} %" if percent else "%{y:.4~g}",
            )
        )
        if curve.number >= PALETTE:
            traces[-1]["line"]["dash"] = "dash"
    layout = {
        "template": TEMPLATE,
        "title": {"text": title},
        "uirevision": revision,
        "hovermode": "closest" if len(curves) > 8 else "x unified",  # a box of twenty lines would hide them all
        "showlegend": True,
        "margin": {"l": 46, "r": 8, "t": 32, "b": 46 + legend_height(len(curves))},
        "legend": {"x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom"},
        "xaxis": {
            "title": {"text": AXES[axis], "font": {"size": 11}, "standoff": 4},
            "rangemode": "tozero",
            "nticks": 10,
            "unifiedhovertitle": {"text": _HOVER[axis]},
        }
        | COUNTED,
        "yaxis": {"nticks": 7} | ({"ticksuffix": " %"} if percent else {"type": "log"} if log else {}),
    }
    if len(curves) > 8:
        for trace in traces:
            trace["hovertemplate"] = f"{_HOVER[axis]}: {trace['hovertemplate']}<extra>%{{fullData.name}}</extra>"
    return {"data": traces, "layout": layout}


def legend_height(curves: int) -> int:
    """Return the pixels that the legend of so many runs needs below the curves."""
    return 20 * -(-curves // 3)
