"""Figures from arrays: plain Plotly figures as dicts, one template, colours that mean the same everywhere.

Nothing here imports Plotly: a figure is its JSON, which costs microseconds to make. The text and grid colours follow
the app's theme in the browser; the colours here hold on light and dark alike.
"""

from playground.plots.bars import draw_probabilities
from playground.plots.curves import STEADY, draw_curves, take_running_median
from playground.plots.style import (
    CLASS_COLOURS,
    MAX_POINTS,
    NEUTRAL,
    RIGHT,
    SEQUENTIAL,
    TEMPLATE,
    TEST,
    TRAIN,
    VALIDATION,
    WRONG,
    Figure,
    color_class,
    downsample,
    make_line,
    smooth,
)

__all__ = [
    "CLASS_COLOURS",
    "MAX_POINTS",
    "NEUTRAL",
    "RIGHT",
    "SEQUENTIAL",
    "STEADY",
    "TEMPLATE",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "WRONG",
    "Figure",
    "color_class",
    "downsample",
    "draw_curves",
    "draw_probabilities",
    "make_line",
    "smooth",
    "take_running_median",
]
