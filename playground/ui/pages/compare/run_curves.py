"""The runs' curves over one another."""

from collections.abc import Sequence

import streamlit as st

from playground.comparison import curves
from playground.plots import Figure
from playground.plots.compare import AXES, Curve, draw_overlay, legend_height
from playground.ui.common.escape import escape
from playground.ui.common.run_views import View
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.compare.chosen_runs import MEASURES, measures

HEIGHT = 340
AXIS_NAMES = {"step": "Steps", "epoch": "Epochs", "images": "Images seen", "seconds": "Seconds"}


def options(offered: Sequence[str]) -> tuple[str, str, float, bool]:
    """Draw the controls; returns (axis, measure, smoothing, log)."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="compare_options"):
        measure = st.selectbox(
            "Curve",
            offered,
            format_func=MEASURES.__getitem__,
            key="compare_measure",
            width=200,
            persist_state="session",
            help="Of which figure the curves are.",
        )
        axis = st.segmented_control(
            "Over",
            list(AXES),
            format_func=AXIS_NAMES.__getitem__,
            key="compare_axis",
            required=True,
            persist_state="session",
            help="Seconds are those of training, evaluation included, on the machine that trained the run.",
        )
        smoothing = 0.0
        if measure.startswith("train"):
            smoothing = st.slider(
                "Smoothing",
                0.0,
                0.95,
                0.9,
                0.05,
                key="compare_smoothing",
                width=160,
                persist_state="session",
                help="Weight of the past in the moving average.",
            )
        log = measure.endswith("loss") and st.toggle(
            "Log scale",
            key="compare_log",
            persist_state="session",
            help="Makes small losses as easy to tell apart as large ones.",
        )
    return axis or "epoch", measure, smoothing, log


@st.cache_resource(max_entries=32, show_spinner=False)
def _figure(
    key: str,
    _views: Sequence[View],
    _names: Sequence[str],
    _numbers: Sequence[int],
    axis: str,
    measure: str,
    smoothing: float,
    log: bool,
) -> tuple[Figure, dict[str, list[str]]]:
    """Return the figure, and {why they have no such curve: labels of runs}. `key` says which runs, and how far."""
    split, figure = measure.split("_", 1)
    drawn: list[Curve] = []
    without: dict[str, list[str]] = {}
    for view, name, number in zip(_views, _names, _numbers, strict=True):
        with view.lock:
            x, y = curves.read_curve(
                view.feed.progress,
                view.feed.epochs,
                axis=axis,
                split=split,
                figure=figure,
                per_epoch=curves.count_images_per_epoch(view.run.config),
            )
        if len(x):
            drawn.append(Curve(name, number, x, y))
        else:
            without.setdefault(_why(view, measure), []).append(name)
    revision = f"{axis} {measure} {log}"
    made = draw_overlay(
        drawn, axis=axis, figure=figure, title=MEASURES[measure], smoothing=smoothing, log=log, revision=revision
    )
    return made, without


def _why(view: View, measure: str) -> str:
    """Say why a run has no such curve."""
    if measure in curves.list_curves(view.run.config, view.feed.epochs):
        return "have no point of it yet"
    split, name = measure.split("_", 1)
    task = curves.find_task(view.run.config, view.feed.epochs)
    return "hold back no images" if split == "val" and name in task.measures else f"label {task.labelled}"


def draw(views: Sequence[View], names: Sequence[str], numbers: Sequence[int]) -> None:
    """Draw the controls and the curves."""
    axis, measure, smoothing, log = options(measures(views))
    runs = zip(views, names, numbers, strict=True)
    key = " ".join(f"{view.run.path}:{view.feed.version}:{name}:{number}" for view, name, number in runs)
    figure, without = _figure(key, views, names, numbers, axis, measure, smoothing, log)
    live_chart(
        figure,
        key="compare_curves",
        alt=f"{MEASURES[measure]} of {len(figure['data'])} runs by {AXES[axis]}: {', '.join(names)[:300]}",
        height=HEIGHT + legend_height(len(figure["data"])),
        version=f"{key} {axis} {measure} {smoothing} {log}",
    )
    for why, labels in without.items():
        st.caption(f"Without this curve, because they {why}: {escape(', '.join(labels))}.")
    tasks = {curves.find_task(view.run.config, view.feed.epochs) for view in views}
    if measure.endswith("accuracy") and any(task.metric.key != "accuracy" for task in tasks):
        st.caption("Of runs that label pixels, accuracy is the share of the pixels that are right.")
