"""A run's live curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from playground.events import Change, EpochRow, Scores, best_row
from playground.plots.style import (
    COUNTED,
    NEUTRAL,
    TEMPLATE,
    TEST,
    TRAIN,
    VALIDATION,
    Figure,
    make_line,
    smooth,
    to_json,
)
from playground.tasks import TASKS, Metric, of_rows

STEADY = 9
"""Reports that a speed is the median of."""


def _axis_end(latest: float, total: float) -> float:
    """End the x axis at a round number of epochs past the latest, so that it moves seldom and the curve fills it."""
    for round_number in (1, 2, 5, 10, 20, 50, 100, 200, 500):
        if latest <= round_number < total:
            return round_number
    return total


def _panel(title: str, revision: str, end: float, **yaxis: Any) -> Figure:
    layout = {
        "template": TEMPLATE,
        "title": {"text": title, "pad": {"l": -38}},  # from the edge: on a phone the legend needs the rest
        "uirevision": revision,
        "xaxis": {"range": [0, end], "title": {"text": "epoch", "font": {"size": 11}, "standoff": 4}, "nticks": 8}
        | {"unifiedhovertitle": {"text": "epoch %{x:.2~f}"}},
        "yaxis": {"nticks": 6, **yaxis},
        "shapes": [],
        "annotations": [],
    }
    return {"data": [], "layout": layout}


def _keep_line(figure: Figure) -> None:
    """Keep a line of text free between the title and the plot, where it covers no curve."""
    layout = figure["layout"]
    layout["margin"] = {"t": 46}
    layout["title"]["pad"] |= {"b": 26}
    layout["legend"] = {"yref": "container", "y": 1, "yanchor": "top"}


def _figure(scores: Scores, key: str) -> float:
    return scores.score if key == "accuracy" else scores.loss


def _series(epochs: Sequence[EpochRow], split: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    points = [(row.epoch, _figure(scores, key)) for row in epochs if (scores := row.get(split))]
    x, y = zip(*points, strict=True) if points else ((), ())
    return np.array(x, float), np.array(y, float)


def _mark_changes(figure: Figure, changes: Sequence[Change], labels: Mapping[str, str]) -> None:
    """Draw each change of a knob as a dotted line, with what changed along it; near ones share a label."""
    latest = {(row.step, row.knob): row for row in changes}  # a slider passes many values in one step
    end = figure["layout"]["xaxis"]["range"][1]
    for row in latest.values():
        x = float(f"{row.epoch:.5g}")
        dotted = {"color": NEUTRAL, "width": 1, "dash": "dot"}
        figure["layout"]["shapes"].append(
            {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": dotted, "layer": "below"}
        )
    for together in _side_by_side(sorted(latest.values(), key=lambda row: row.epoch), end):
        figure["layout"]["annotations"].append(
            {
                "text": "<br>".join(_words(knob, rows, labels) for knob, rows in together.items()),
                "x": float(f"{_start(together, end):.5g}"),
                "y": 1,
                "yref": "paper",
                "yanchor": "top",
                "xanchor": "left",
                "align": "left",
                "textangle": 90,
                "showarrow": False,
                "font": {"size": 10},
                "opacity": 0.8,
            }
        )


LINE = 0.05
"""About how much of the x axis a line of an upright label takes up in a chart of the width of a phone."""


def _side_by_side(changes: Sequence[Change], end: float) -> list[dict[str, list[Change]]]:
    """Put changes, in order of their epochs, into labels {knob: its changes} that do not cover each other."""
    found: list[dict[str, list[Change]]] = []
    for row in changes:
        found.append({row.knob: [row]})
        while len(found) > 1 and _start(found[-1], end) < _start(found[-2], end) + LINE * end * len(found[-2]):
            for knob, rows in found.pop().items():
                found[-1].setdefault(knob, []).extend(rows)
    return found


def _start(label: Mapping[str, Sequence[Change]], end: float) -> float:
    """Return where a label begins on the axis, which goes from 0 to `end`: at its first change, or before the edge."""
    return min(*(rows[0].epoch for rows in label.values()), end * (1 - LINE * len(label)))


def _words(knob: str, rows: Sequence[Change], labels: Mapping[str, str]) -> str:
    """Say how a knob was changed, at once or step by step."""
    times = f", in {len(rows)} steps" if len(rows) > 1 else ""
    return f"{labels.get(knob, knob).lower()} {rows[0].old:.3g} → {rows[-1].new:.3g}{times}"


def _mark_cursor(figure: Figure, epoch: float) -> None:
    """Draw the line of an epoch, and none under the pointer, which would look like a second one."""
    figure["layout"]["xaxis"]["showspikes"] = False
    figure["layout"]["shapes"].append(
        {"type": "line", "x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 1.5}}
        | {"line": {"color": NEUTRAL, "width": 1.5}}
    )


GAP = "rgba(216, 71, 61, 0.16)"
"""The gap of an overfitting run: `WRONG`, faint enough for the curves on top of it."""
_SPLITS = (("val", "validation", VALIDATION, "solid"), ("test", "test", TEST, "dot"))


def _score_panel(
    figure: Figure,
    progress: Mapping[str, Sequence[float]],
    epochs: Sequence[EpochRow],
    key: str,
    smoothing: float,
) -> None:
    """Draw one of loss and accuracy: train as it went, validation and test at each epoch, the best epoch marked."""
    scale = 100.0 if key == "accuracy" else 1.0
    template = "%{y:.1f} %" if key == "accuracy" else "%{y:.4~g}"
    x = np.array(progress.get("epoch", ()), float)
    raw = np.array(progress.get(key, ()), float) * scale
    if smoothing and len(raw) > 2:
        figure["data"].append(
            make_line(x, raw, "train, raw", TRAIN, opacity=0.25, showlegend=False, hoverinfo="skip", hovertemplate=None)
        )
        figure["data"][-1]["line"]["width"] = 1
    # One point is no line: the first must be seen too.
    mode = "lines" if len(raw) > 1 else "markers"
    # Training images are judged by accuracy, whatever the others are judged by.
    name = "train, pixel accuracy" if key == "accuracy" and _metric(epochs).key != "accuracy" else "train"
    figure["data"].append(make_line(x, smooth(raw, smoothing), name, TRAIN, mode=mode, hovertemplate=template))
    for split, name, colour, dash in _SPLITS:
        x, y = _series(epochs, split, key)
        if len(x):
            trace = make_line(
                x, y * scale, name, colour, mode="lines+markers", marker={"size": 4}, hovertemplate=template
            )
            trace["line"] |= {"dash": dash, "width": 2 if split == "val" else 1.5}
            figure["data"].append(trace)
    _mark_best(figure, epochs, key, scale)


def _metric(epochs: Sequence[EpochRow]) -> Metric:
    """Return what the run is judged by."""
    return (of_rows(epochs) or TASKS["classification"]).metric


def _shade_gap(figure: Figure, epochs: Sequence[EpochRow], key: str, since: float) -> None:
    """Fill what is between training and validation (test, if none is held back) from an epoch on."""
    split = "val" if any(row.get("val") for row in epochs) else "test"
    rows = [row for row in epochs if row.epoch >= since and row.get("train") and row.get(split)]
    scale = 100.0 if key == "accuracy" else 1.0
    x = np.array([row.epoch for row in rows], float)
    train, judged = (np.array([_figure(row[s], key) for row in rows], float) * scale for s in ("train", split))
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": to_json(np.concatenate([x, x[::-1]])),
        "y": to_json(np.concatenate([train, judged[::-1]])),
        "fill": "toself",
        "fillcolor": GAP,
        "line": {"width": 0},
        "name": "overfitting",
        "showlegend": False,  # a fourth entry would not fit beside the title
        "hoverinfo": "skip",
    }
    figure["data"].insert(0, band)


def _mark_best(figure: Figure, epochs: Sequence[EpochRow], key: str, scale: float) -> None:
    """Put a star on the epoch that the validation images chose."""
    best = best_row(epochs)
    if best and best.val and best.epoch:
        epoch, score, colour = best.epoch, best.val.score, VALIDATION
        figure["data"].append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [epoch],
                "y": to_json([_figure(best.val, key) * scale]),
                "name": "best",
                "marker": {"symbol": "star", "size": 12, "color": colour, "line": {"width": 1, "color": "#fff"}},
                "cliponaxis": False,
                "showlegend": False,
                "hoverinfo": "skip",
            }
        )
        if key == "accuracy":
            figure["layout"]["annotations"].append(
                {
                    "text": f"best validation {score:.1%}, epoch {epoch:g}".replace("%", " %"),
                    "x": 1,
                    "y": 1,
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "right",
                    "yanchor": "bottom",
                    "yshift": 3,  # a star at 100 % reaches above the plot
                    "showarrow": False,
                    "font": {"size": 11, "color": colour},
                }
            )


def take_running_median(values: np.ndarray) -> np.ndarray:
    """Return the median of each value (N,) and the up to `STEADY` - 1 before it.

    Between two reports may lie a single step, and the first of a run wakes all caches: one such speed says little.
    """
    if not len(values):
        return values
    padded = np.concatenate([np.full(STEADY - 1, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, STEADY)
    return np.nanmedian(windows, axis=1)


def draw_curves(
    progress: Mapping[str, Sequence[float]],
    epochs: Sequence[EpochRow],
    changes: Sequence[Change] = (),
    *,
    total_epochs: float,
    revision: str = "",
    smoothing: float = 0.0,
    log: bool = False,
    cursor: float | None = None,
    labels: Mapping[str, str] | None = None,
    overfitting_since: float | None = None,
) -> dict[str, Figure]:
    """Draw a run's four live curves: "loss", "accuracy", "learning_rate" and "throughput".

    Args:
        progress: columns of the progress rows, each (N,): "epoch", "loss", "accuracy" (a fraction), "learning_rate",
            "images_per_second"; empty before the first.
        epochs: the epoch rows; changes: the change rows.
        total_epochs: where the x axis ends at last.
        revision: a person's zoom is kept for as long as this stays the same.
        smoothing: weight of the moving average over the train curves, 0 to below 1; the raw curve stays, faintly.
        log: logarithmic loss and learning rate.
        cursor: an epoch to mark with a line.
        labels: names of the knobs, for the changes.
        overfitting_since: an epoch from which the gap between training and validation is shaded.
    """
    x = np.array(progress.get("epoch", ()), float)
    latest = max([*x[-1:].tolist(), *(row.epoch for row in epochs[-1:]), 0.0])
    end = _axis_end(latest, max(total_epochs, 1))
    scale = {"type": "log", "uirevision": f"{revision}-log"} if log else {"uirevision": revision}
    tozero = {} if log else {"rangemode": "tozero"}
    figures = {
        "loss": _panel("Loss", revision, end, **scale, **tozero),
        "accuracy": _panel(_metric(epochs).title, revision, end, range=[0, 100], ticksuffix=" %"),
        "learning_rate": _panel("Learning rate", revision, end, **scale, **tozero),
        "throughput": _panel("Images per second", revision, end, rangemode="tozero", **COUNTED),
    }
    for key in ("loss", "accuracy"):
        _keep_line(figures[key])  # in both, so that they stand at one height
        _score_panel(figures[key], progress, epochs, key, smoothing)
        _mark_changes(figures[key], changes, labels or {})
        if overfitting_since is not None and (key == "loss" or _metric(epochs).key == "accuracy"):
            _shade_gap(figures[key], epochs, key, overfitting_since)
    for key, column in (("learning_rate", "learning_rate"), ("throughput", "images_per_second")):
        mode = "lines" if len(x) > 1 else "markers"
        values = np.array(progress.get(column, ()), float)
        shown = take_running_median(values) if key == "throughput" else values
        figures[key]["data"].append(make_line(x, shown, key, NEUTRAL, mode=mode, showlegend=False))
    for figure in figures.values():
        if figure["layout"]["yaxis"].get("range") is None and not any(trace["x"] for trace in figure["data"]):
            figure["layout"]["yaxis"]["showticklabels"] = False  # a scale without a curve would say nothing
    if cursor is not None:
        for figure in figures.values():
            _mark_cursor(figure, cursor)
    return figures
