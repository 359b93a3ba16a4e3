"""The table of runs: the knobs that differ, what each run reached and what that cost."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from playground.comparison import costs, settings
from playground.comparison.costs import RunCosts
from playground.config import KNOBS, flatten
from playground.data.store import title_of
from playground.tasks import TASKS, Task
from playground.ui.common.knobs import name_of
from playground.ui.common.pickers import format_percent
from playground.ui.common.run_views import View
from playground.ui.pages.train.network import format_count, format_duration
from playground.ui.pages.train.transport import BADGES, epochs_words

EXPLAINED = f"""
- The **best epoch** is the one with the highest accuracy or mean IoU on the validation images; where none are held
  back it is the last, since choosing by the test images would flatter a run. **Final** is after the last epoch.
- **Mean IoU** (intersection over union) is what runs that label pixels are judged by: of each class, the pixels that
  are rightly called so, divided by those that are called so or are so; a mean over the classes, counted over all
  images. On training images it is not counted; there **pixel accuracy** is the share of the pixels that are right.
- **Parameters** are the numbers that are learned, **MACs** the multiplications with an addition that one image takes
  on its way forward. Training takes about {costs.MACS_OF_A_STEP} times as many for each image seen.
- **A point** is one percentage point of final test accuracy above guessing (10 % for ten classes), or of mean IoU above
  that of calling every pixel the most common class: seconds and MACs of the whole training, divided by the points it
  gained. Seconds depend on the machine, MACs do not.
"""


def knob_value(name: str, value: Any) -> str:
    """Write a knob's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "dataset":
        return title_of(value)
    if KNOBS[name].kind == "choice":
        return name_of(value)
    return f"{value:g}" if isinstance(value, float) else KNOBS[name].format(value)


@st.cache_resource(max_entries=256, show_spinner=False)
def _reached(path: str, version: int, _view: View) -> RunCosts:
    with _view.lock:
        return costs.sum_up_costs(_view.run.config, _view.feed.status, _view.feed.progress, _view.feed.epochs)


def reached(view: View) -> RunCosts:
    """Return a run's figures."""
    return _reached(str(view.run.path), view.feed.version, view)


def knob_rows(views: Sequence[View]) -> dict[str, list[str]]:
    """Return {label: value in each run} of the knobs that differ at the start, or were changed on the way."""
    began, ended = [view.run.config for view in views], [view.config for view in views]
    apart = settings.find_differences(began + ended)
    pairs = [(flatten(a), flatten(b)) for a, b in zip(began, ended, strict=True)]
    rows = {}
    for name in apart:
        unit = f" ({KNOBS[name].unit})" if KNOBS[name].unit else ""
        rows[KNOBS[name].label + unit] = [
            knob_value(name, a[name]) + (f" → {knob_value(name, b[name])}" if a[name] != b[name] else "")
            for a, b in pairs
        ]
    return rows


def _reached_rows(found: Sequence[RunCosts]) -> dict[str, list[str]]:
    """Return the best and final figures, of runs of each task in rows of their own.

    A dash where a run has none.
    """
    rows = {}
    for task in TASKS.values():
        for split, name in (("test", "test"), ("val", "validation"), ("train", "training")):
            having = [one.task is task and split in one.final for one in found]
            if any(having):
                figure = f"{name} {measured(task, split)}"
                both = list(zip(found, having, strict=True))
                rows[f"Best epoch's {figure}"] = [_best(one, split) if has else "–" for one, has in both]
                rows[f"Final {figure}"] = [format_percent(one.final[split]) if has else "–" for one, has in both]
    return rows


def measured(task: Task, split: str = "test") -> str:
    """Name the figure that runs of a task are judged by; training images are judged by accuracy."""
    if split != "train" or task.metric.key == "accuracy":
        return task.metric.name
    return f"{task.unit} accuracy"


def _best(one: RunCosts, split: str) -> str:
    return f"{format_percent(one.best[split])} (epoch {one.best_epoch})" if split in one.best else "–"


def figure_rows(views: Sequence[View]) -> dict[str, list[str]]:
    """Return {label: figure of each run}."""
    found = [reached(view) for view in views]
    rows = {"State": [BADGES.get(view.status.state, BADGES["failed"])[0] for view in views]}
    rows |= _reached_rows(found)
    return rows | {
        "Epochs done": [epochs_words(one.epochs) for one in found],
        "Images seen": ["–" if one.images is None else format_count(round(one.images)) for one in found],
        "Parameters": [f"{one.parameters:,}" for one in found],
        "Multiplications per image (MACs)": [format_count(one.macs) if one.macs else "–" for one in found],
        "Training time": [format_duration(one.seconds) for one in found],
        "Images a second": [f"{one.images_per_second:,.0f}" if one.images_per_second else "–" for one in found],
        "Seconds a point": [_cost(one.seconds_per_point, " s") for one in found],
        "MACs per point": [_cost(one.macs_per_point) for one in found],
    }


def _cost(value: float | None, unit: str = "") -> str:
    """Write a cost with three digits; a dash where nothing was gained."""
    if value is None:
        return "–"
    return (f"{value / 1e12:.3g} T" if value >= 1e12 else format_count(float(f"{value:.3g}"))) + unit


def draw(views: Sequence[View], names: Sequence[str]) -> None:
    """Draw the table: a row for each knob and figure, a column for each run."""
    knobs, figures = knob_rows(views), figure_rows(views)
    rows = knobs | figures
    first = "Knobs that differ, and figures" if knobs else "Figures"
    # A run may be called like the first column.
    columns = {first: list(rows)} | {f"{name} " if name == first else name: [] for name in names}
    for i, column in enumerate(list(columns)[1:]):
        columns[column] = [values[i] for values in rows.values()]
    config: dict[str, Any] = {name: st.column_config.TextColumn(width=150) for name in columns}
    config[first] = st.column_config.TextColumn(width=200, pinned=True)
    st.dataframe(
        columns,
        column_config=config,
        hide_index=True,
        height="content",
        key="compare_table",
        alt=f"{len(knobs)} knobs that differ, and {len(figures)} figures, of {len(names)} runs",
    )
    with st.popover(
        "What the figures mean", icon=":material/help:", type="tertiary", help="How each column is measured."
    ):
        st.markdown(EXPLAINED)
    if not knobs and len(views) > 1:
        st.caption("All knobs of these runs are the same.")
