"""The confusion matrix as a figure: one cell for each true class and each class it was predicted as."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.metrics.scores import normalise_counts
from playground.plots.style import RIGHT, SEQUENTIAL, TEMPLATE, Figure, escape_markup, shorten, to_json

Show = Literal["counts", "rows", "columns"]

LABELLED = 20
"""Up to so many classes the number is written into each cell; beyond, the cells are too small."""
CORRECT = [[0, "#12352a"], [1, RIGHT]]
"""The diagonal, where right answers are, has a scale of its own in the colour of right answers: on the errors' scale
it would outshine them all."""
DIVERGING = [[0, "#5e3c99"], [0.25, "#a79bc4"], [0.5, "#dfe3e8"], [0.75, "#eda95f"], [1, "#e66101"]]
"""Less, the same, more; after C. Brewer's "PuOr", which the colour-blind can read."""
_UNITS = {"counts": "images", "rows": "% of the true class", "columns": "% of the predictions"}


def draw_confusion(
    counts: ArrayLike,
    classes: Sequence[str],
    *,
    show: Show = "counts",
    title: str = "",
    difference: bool = False,
    chosen: tuple[int, int] | None = None,
    revision: str = "",
) -> Figure:
    """Draw a confusion matrix; of a click on a cell, `point` is [row, column].

    Errors are on the sequential scale, up to the largest of them; the diagonal is on one of greens. A cell without an
    image has no number.

    Args:
        counts: (K, K), row = true class, column = predicted class. With `difference` signed numbers: counts, or, where
            `show` says so, shares that have been subtracted, as fractions.
        classes: the K names, in the order of rows and columns; they are the values of category axes, so that a class
            called "10" is no number on them.
        show: counts, or per cent of the row (of each true class) or of the column (of each prediction).
        title: above the figure.
        difference: the numbers are signed: one diverging scale for all cells, centred on 0.
        chosen: (row, column) of a cell to be outlined.
        revision: for as long as it is the same a person's zoom is kept.
    """
    values = np.asarray(counts, float)
    if show != "counts":
        values = 100 * (values if difference else normalise_counts(values, show))
    diagonal = np.eye(len(values), dtype=bool)
    if difference:
        traces = [_cells(values, np.ones_like(diagonal), classes, show, signed=True)]
    else:
        traces = [
            _cells(values, ~diagonal, classes, show),
            _cells(values, diagonal, classes, show) | {"colorscale": CORRECT, "showscale": False},
        ]
    return {"data": traces, "layout": _layout(classes, title, revision) | {"shapes": _outline(chosen, len(values))}}


def _outline(cell: tuple[int, int] | None, count: int) -> list[Figure]:
    """Frame a cell in white on black, which is seen on every colour."""
    if cell is None:
        return []
    row, column = cell  # numbers in a shape are places on the axis, whatever the names
    frame = {"type": "rect", "x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    thin = 1 if count > LABELLED else 2
    return [frame | {"line": {"color": colour, "width": w}} for colour, w in (("#000", 2 * thin + 1), ("#fff", thin))]


def _cells(
    values: NDArray[np.float64], keep: NDArray[np.bool_], classes: Sequence[str], show: Show, *, signed: bool = False
) -> Figure:
    """Return the trace of the cells that `keep` says; the others are gaps, through which a click reaches below."""
    kept = values[keep]
    limit = max(float(np.abs(kept).max(initial=0)), 1.0 if show == "counts" else 0.1)
    sign, digits = "+" if signed else "", 0 if show == "counts" else 1
    trace = {
        "type": "heatmap",
        "x": [escape_markup(name) for name in classes],
        "y": [escape_markup(name) for name in classes],
        "z": [to_json(row) for row in np.where(keep, values, np.nan)],
        "zmin": -limit if signed else 0,
        "zmax": limit,
        "colorscale": DIVERGING if signed else SEQUENTIAL,
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 10}, "len": 1, "ypad": 0, "nticks": 6},
        "xgap": 1 if len(values) <= LABELLED else 0,
        "ygap": 1 if len(values) <= LABELLED else 0,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}} → %{{x}}: %{{z:{sign},.{digits}f}} {_UNITS[show]}<extra></extra>",
    }
    if len(values) <= LABELLED:
        trace["text"] = [[f"{v:{sign},.{digits}f}" if v else "" for v in row] for row in np.where(keep, values, 0)]
        trace |= {"texttemplate": "%{text}", "textfont": {"size": 12 if len(values) <= 12 else 9}}
    return trace


def _layout(classes: Sequence[str], title: str, revision: str) -> Figure:
    count = len(classes)
    axis = {
        "type": "category",
        "tickmode": "array",
        "tickvals": [escape_markup(name) for name in classes],
        "ticktext": [escape_markup(shorten(name)) for name in classes],
        "showgrid": False,
        "showline": False,
        "automargin": True,
        "tickfont": {"size": 11 if count <= LABELLED else 8},
    }
    across = axis | {"title": {"text": "predicted", "standoff": 6}, "range": [-0.5, count - 0.5]}
    down = axis | {"title": {"text": "true", "standoff": 6}, "range": [count - 0.5, -0.5]}
    return {
        "template": TEMPLATE,
        "uirevision": revision,
        "title": {"text": title},
        "margin": {"l": 8, "r": 8, "t": 32 if title else 8, "b": 8},
        "hovermode": "closest",
        "xaxis": across | {"tickangle": -45 if count <= LABELLED else -90},
        "yaxis": down,
    }
