"""The figures of a study: its members' curves, accuracy over the knobs, and a range test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from playground.plots.style import (
    NEUTRAL,
    SEQUENTIAL,
    TEMPLATE,
    TRAIN,
    VALIDATION,
    Figure,
    color_class,
    escape_markup,
    make_line,
    to_json,
)

FEW = 12
"""A knob with at most so many different values has a row or a column for each in the map; else it is an axis."""

WORSE_TO_BETTER = [[0, "#6f86b3"], [0.6, NEUTRAL], [1, VALIDATION]]
"""For thin lines, which the sequential scale's dark end would hide on a dark page."""


@dataclass(frozen=True)
class Column:
    """A knob's values over the members.

    Attributes:
        title: what to call it.
        texts: (N,) the values as text.
        numbers: (N,) the same as numbers; None where they are none.
        log: whether they are to be seen on a logarithmic axis.
        continuous: whether they were drawn from a range, so that a row for each would say nothing.
    """

    title: str
    texts: tuple[str, ...]
    numbers: tuple[float, ...] | None = None
    log: bool = False
    continuous: bool = False

    @property
    def few(self) -> bool:
        """Whether each value can have a row of its own."""
        return not self.continuous and len(self.order) <= FEW

    @property
    def order(self) -> list[str]:
        """The different values, in order."""
        if self.numbers is None:
            return sorted(set(self.texts))
        return [text for _, text in sorted(set(zip(self.numbers, self.texts, strict=True)))]


def _layout(title: str, revision: str, **more: Any) -> Figure:
    return {"template": TEMPLATE, "title": {"text": title}, "uirevision": revision, "hovermode": "closest", **more}


def draw_members(
    members: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    measure: str = "Accuracy",
    mean: bool = True,
    revision: str = "",
) -> Figure:
    """Draw a thin curve of each member and, where it is asked for and there are several, their mean.

    Args:
        measure: what is drawn, with its split.
        mean: whether the members repeat each other but for seed or fold; of different knobs a mean says nothing.
        members: (name, epochs (N,), accuracies (N,) as fractions) of each.
        revision: a person's zoom is kept for as long as this stays the same.
    """
    many = len(members) > FEW
    data = []
    for i, (name, epochs, values) in enumerate(members):
        trace = make_line(
            np.array(epochs, float), 100 * np.array(values, float), name, color_class(i), showlegend=not many
        )
        trace |= {"hovertemplate": "%{y:.1f} %", "mode": "lines" if len(epochs) > 1 else "markers"}
        trace["line"]["width"] = 1.3
        data.append(trace)
    reached = min((len(epochs) for _, epochs, _ in members), default=0)
    if mean and len(members) > 1 and reached > 1:
        middle = np.mean([values[:reached] for _, _, values in members], axis=0)
        trace = make_line(np.array(members[0][1][:reached], float), 100 * middle, "mean", NEUTRAL)
        trace |= {"hovertemplate": "%{y:.1f} %", "showlegend": True}
        trace["line"]["width"] = 3.5
        data.append(trace)
    axes = {
        "xaxis": {"title": {"text": "epoch", "standoff": 4}, "nticks": 8, "rangemode": "tozero"}
        | {"unifiedhovertitle": {"text": "epoch %{x}"}},
        "yaxis": {"ticksuffix": " %", "nticks": 6},
    }
    return {"data": data, "layout": _layout(measure, revision, **axes) | {"hovermode": "x unified"}}


def _dimension(column: Column) -> dict[str, Any]:
    if column.numbers is None or column.few:
        order = column.order
        numbers = [order.index(text) for text in column.texts]
        # One value alone would be drawn at no height at all.
        ends = [-0.5, 0.5] if len(order) == 1 else [0, len(order) - 1]
        return {"label": column.title, "values": numbers, "range": ends} | {
            "tickvals": list(range(len(order))),
            "ticktext": order,
        }
    if not column.log:
        return {"label": column.title, "values": to_json(column.numbers)}
    logs = [math.log10(x) for x in column.numbers]
    ticks = list(range(math.floor(min(logs)), math.ceil(max(logs)) + 1))
    return {
        "label": column.title,
        "values": to_json(logs),
        "range": [ticks[0], ticks[-1]],
        "tickvals": ticks,
        "ticktext": [f"{10.0**tick:g}" for tick in ticks],
    }


def draw_parallel_coordinates(
    columns: Sequence[Column], accuracies: Sequence[float], *, measure: str = "Accuracy", revision: str = ""
) -> Figure:
    """Draw each member as a line through its knobs' values to its accuracy; the best are orange.

    Args:
        columns: the knobs; accuracies: (N,) fractions.
        revision: what a person has narrowed down is kept for as long as this stays the same.
    """
    share = to_json([100 * a for a in accuracies])
    trace = {
        "type": "parcoords",
        "dimensions": [*map(_dimension, columns), {"label": f"{measure} (%)", "values": share}],
        "line": {"color": share, "colorscale": WORSE_TO_BETTER, "showscale": False},
        "labelfont": {"size": 12},
    }
    return {"data": [trace], "layout": _layout("", revision, margin={"l": 60, "r": 48, "t": 48, "b": 20})}


def _axis(column: Column) -> dict[str, Any]:
    title = {"title": {"text": column.title, "standoff": 6}, "automargin": True}
    if column.numbers is None:
        return title | {"type": "category", "categoryorder": "array", "categoryarray": column.order}
    return title | ({"type": "log"} if column.log else {})


def draw_over_setting(
    column: Column, accuracies: Sequence[float], names: Sequence[str], *, measure: str = "Accuracy", revision: str = ""
) -> Figure:
    """Draw the accuracy (fractions, (N,)) of each member over one knob."""
    values = list(column.texts) if column.numbers is None else to_json(column.numbers)
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": values,
        "y": to_json([100 * a for a in accuracies]),
        "text": [escape_markup(name) for name in names],
        "marker": {"size": 9, "color": VALIDATION, "line": {"width": 1, "color": "#fff"}},
        "hovertemplate": "%{text}<br>%{y:.1f} %<extra></extra>",
        "cliponaxis": False,
    }
    layout = _layout(f"{measure} over {column.title.lower()}", revision, xaxis=_axis(column), showlegend=False)
    return {"data": [points], "layout": layout | {"yaxis": {"ticksuffix": " %", "nticks": 6}}}


def draw_setting_map(
    across: Column, down: Column, accuracies: Sequence[float], *, measure: str = "Accuracy", revision: str = ""
) -> Figure:
    """Draw the accuracy (fractions, (N,)) over two knobs: a cell for each pair of values, or points where many.

    A cell shows the mean of the members in it, over whatever else they differ in.
    """
    title = f"{measure} over {across.title.lower()} and {down.title.lower()}"
    bar = {"thickness": 10, "ticksuffix": " %", "outlinewidth": 0}
    if not (across.few and down.few):
        points = {
            "type": "scatter",
            "mode": "markers",
            "x": list(across.texts) if across.numbers is None else to_json(across.numbers),
            "y": list(down.texts) if down.numbers is None else to_json(down.numbers),
            "marker": {"size": 14, "color": to_json([100 * a for a in accuracies]), "colorscale": SEQUENTIAL}
            | {"colorbar": bar, "showscale": True, "line": {"width": 1, "color": "#fff"}},
            "hovertemplate": "%{x}, %{y}: %{marker.color:.1f} %<extra></extra>",
            "cliponaxis": False,
        }
        return {"data": [points], "layout": _layout(title, revision, xaxis=_axis(across), yaxis=_axis(down))}
    cells: dict[tuple[str, str], list[float]] = {}
    for x, y, accuracy in zip(across.texts, down.texts, accuracies, strict=True):
        cells.setdefault((x, y), []).append(100 * accuracy)
    means = [[_mean(cells.get((x, y))) for x in across.order] for y in down.order]
    heat = {
        "type": "heatmap",
        "x": [str(x) for x in across.order],
        "y": [str(y) for y in down.order],
        "z": means,
        "text": [["" if z is None else f"{z:.1f}" for z in row] for row in means],
        "texttemplate": "%{text}",
        "colorscale": SEQUENTIAL,
        "colorbar": bar,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "hovertemplate": f"{across.title} %{{x}}<br>{down.title} %{{y}}<br>%{{z:.1f}} %<extra></extra>",
    }
    axes = {name: _axis(column) | {"type": "category"} for name, column in (("xaxis", across), ("yaxis", down))}
    return {"data": [heat], "layout": _layout(title, revision, **axes)}


def _mean(values: Sequence[float] | None) -> float | None:
    return None if not values else float(f"{sum(values) / len(values):.4g}")


def draw_range_test(
    rates: Sequence[float],
    losses: Sequence[float],
    raw: Sequence[float],
    marks: Mapping[str, float | None],
    *,
    revision: str = "",
) -> Figure:
    """Draw the loss over the learning rate.

    Args:
        rates: (N,); losses: (N,) smoothed; raw: (N,) as measured.
        marks: {label: a learning rate to mark with a line, or None}.
    """
    x = np.array(rates, float)
    faint = make_line(x, np.array(raw, float), "each report", TRAIN, opacity=0.3, hoverinfo="skip", hovertemplate=None)
    faint["line"]["width"] = 1
    data = [faint, make_line(x, np.array(losses, float), "smoothed", TRAIN)]
    shapes, notes = [], []
    for label, rate in marks.items():
        if rate:
            dotted = {"color": NEUTRAL, "width": 1.5, "dash": "dot"}
            shapes.append({"type": "line", "x0": rate, "x1": rate, "y0": 0, "y1": 1, "yref": "paper", "line": dotted})
            place = {"x": math.log10(rate), "y": 1, "yref": "paper", "xanchor": "right", "yanchor": "top"}
            notes.append(
                {"text": f"{label} {rate:g}", "textangle": 90, "showarrow": False, "font": {"size": 11}} | place
            )
    first, lowest = (losses[0], min(losses)) if len(losses) else (1.0, 0.0)
    top = first + max(
        0.3 * (first - lowest), 0.1 * abs(first)
    )  # past the break it shoots up and would flatten the rest
    layout = _layout("Training loss over the learning rate", revision, shapes=shapes, annotations=notes)
    layout["xaxis"] = {"type": "log", "title": {"text": "learning rate", "standoff": 4}}
    layout["yaxis"] = {"range": [max(0.0, lowest - 0.4 * (first - lowest)), top], "nticks": 6}
    return {"data": data, "layout": layout}
