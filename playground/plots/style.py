"""What all figures share: colours that mean the same everywhere, one template, and how a line is made short."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Figure = dict[str, Any]

TRAIN, VALIDATION, TEST = "#3e8ed0", "#d98200", "#c4649b"
"""One colour for each split, wherever it appears; apart for the colour-blind too."""

RIGHT, WRONG = "#2a9d5c", "#d8473d"
"""A right and a wrong prediction; always with a symbol beside, because red and green are alike to some."""

NEUTRAL = "#8490a3"

CLASS_COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#e58bc0", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#a01868", "#92dadd"),
    *("#1f5f9c", "#b87400", "#f0654a", "#f2b8d8", "#b678dd", "#70433a", "#ffa060", "#7d7140", "#6d1047", "#3f9ea3"),
)
"""A colour for each class: M. Petroff's sequence of ten ("Accessible color sequences for data visualization", 2021),
but for its two greys, which are hard to tell apart and look like what has no class; here they are a pink and a wine
red. Then ten more of the same hues, lighter or darker; further classes start again."""

SEQUENTIAL = "Cividis"
"""Perceptually uniform and the same to the colour-blind."""

MAX_POINTS = 300
"""Points of one trace; more cannot be told apart and cost the browser time on every update."""

_AXIS = {"automargin": False, "ticks": "", "showline": True, "zeroline": False, "tickfont": {"size": 11}}
_AXIS |= {"exponentformat": "power"}  # Plotly's own would write 0.0001 as 100µ
COUNTED = {"exponentformat": "SI"}
"""An axis of what is counted, whose thousands may be written 20k; below 1 it stays a plain number down to 0.001."""
TEMPLATE: Figure = {
    "layout": {
        "font": {"size": 12},
        "margin": {"l": 46, "r": 8, "t": 32, "b": 34},
        "hovermode": "x unified",
        "colorway": list(CLASS_COLOURS),
        "legend": {
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 11},
            "itemwidth": 30,
        },
        "title": {
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "pad": {"b": 9},
            "font": {"size": 13},
        },
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
}


def color_class(index: int) -> str:
    """Return the colour of a class by its number."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def escape_markup(text: str) -> str:
    """Return a name that is not ours, such as a class's, for Plotly to show as it stands: Plotly reads some HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def shorten(text: str, limit: int = 24) -> str:
    """Cut a name off where it would be too long for an axis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def downsample(x: np.ndarray, y: np.ndarray, limit: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Keep at most `limit` points: first, last, and each stretch's lowest and highest, so no peak is lost.

    Args:
        x, y: (N,) float.
    """
    if len(x) <= limit:
        return x, y
    finite = np.where(np.isfinite(y), y, np.inf)  # a stretch that blew up is worth seeing
    edges = np.linspace(1, len(x) - 1, (limit - 2) // 2 + 1).astype(int)
    kept = {0, len(x) - 1}
    for start, end in itertools.pairwise(edges):
        if end > start:
            kept |= {start + int(finite[start:end].argmin()), start + int(finite[start:end].argmax())}
    index = np.array(sorted(kept))
    return x[index], y[index]


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Return the exponential moving average, corrected for its start (Kingma & Ba 2015, section 3).

    Args:
        values: (N,) float; values that are not finite do not count and come back as they are.
        weight: 0 (no smoothing) to below 1, what the past counts in each step.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"smoothing weight {weight} is not from 0 to below 1")
    average, share, out = 0.0, 1.0, np.array(values, float)
    for i, value in enumerate(values):
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            share *= weight
            out[i] = average / (1 - share)
    return out


def to_json(values: np.ndarray | Sequence[float]) -> list[float | None]:
    """Five significant digits are more than a screen shows; JSON knows no NaN."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in np.asarray(values, float).tolist()]


def make_line(x: np.ndarray, y: np.ndarray, name: str, colour: str, **extra: Any) -> Figure:
    """Return a line trace, downsampled; the name may be anybody's."""
    x, y = downsample(np.asarray(x, float), np.asarray(y, float))
    trace = {"type": "scatter", "mode": "lines", "x": to_json(x), "y": to_json(y), "name": escape_markup(name)}
    return {**trace, "line": {"color": colour, "width": 2}, "hovertemplate": "%{y:.4~g}", **extra}
