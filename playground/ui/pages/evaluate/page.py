"""Judge: what a network gets right and wrong, at any epoch, with every figure's formula and counts."""

import importlib

import streamlit as st

from playground import runs
from playground.config import ConfigError
from playground.data.catalog import DataError
from playground.metrics import scores
from playground.runs import RunError, RunFolder
from playground.tasks import of_page
from playground.ui.common import pickers, url
from playground.ui.common.escape import escape
from playground.ui.common.url import Part
from playground.ui.pages.evaluate import context as scenes
from playground.ui.pages.evaluate import controls
from playground.ui.pages.evaluate.confusion import CELL
from playground.ui.pages.evaluate.context import PageContext

TICK = 1.0
VIEWS = {  # what the address calls each view: its title, its icon and its module
    "matrix": ("Confusion matrix", "grid_on", "confusion"),
    "per_class": ("Per class", "table_rows", "per_class"),
    "curves": ("Curves", "show_chart", "ranking"),
    "calibration": ("Calibration", "balance", "calibration"),
    "hardest": ("Hardest images", "psychology_alt", "hardest"),
}
LINK = {"view": Part("evaluate_view", VIEWS)}
BY_COUNTS = ("matrix", "per_class")  # the views that the confusion matrix alone can fill


def head() -> tuple[RunFolder, PageContext | None]:
    """Draw the pickers and return what they chose; what is wrong with it is said in one line."""
    columns = st.columns([1.2, 1.8], gap="medium")
    with columns[0]:
        run = pickers.pick_run("Run", controls.RUN, tasks=of_page("evaluate"))
    if run is None:
        st.stop()  # the picker has said why
    with columns[1]:
        epoch = pickers.pick_epoch(run, controls.EPOCH)
    if epoch is None:
        status = run.status()
        later = "it can be judged after its first look at the test images" if status.active else "it kept no epoch"
        st.info(f"{escape(run.name)} is {status.state}; {later}.", icon=":material/hourglass_empty:")
        return run, None
    try:
        scene = scenes.load_context(run, epoch)
    except (RunError, ConfigError, DataError) as error:
        st.error(escape(str(error)), icon=":material/error:")
        return run, None
    right, total = int(scene.counts.trace()), int(scene.counts.sum())
    share = pickers.format_percent(scores.compute_accuracy(scene.counts))
    st.markdown(f"After epoch {epoch}: **{right:,} of {total:,}** {escape(scene.images)} are right, **{share}**.")
    if scene.why:
        st.info(escape(scene.why), icon=":material/image_not_supported:")
    return run, scene


def view(scene: PageContext) -> None:
    """Draw the chosen view; the others compute nothing."""
    st.session_state.setdefault("evaluate_view", "matrix")  # not as the widget's default: a link may set it
    chosen = st.segmented_control(
        "View",
        list(VIEWS),
        format_func=lambda name: f":material/{VIEWS[name][1]}: {VIEWS[name][0]}",
        key="evaluate_view",
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    if scene.answers is None and chosen not in BY_COUNTS:
        st.caption("This view needs the probabilities of the test images, which cannot be read here.")
        return
    module = VIEWS[chosen or next(iter(VIEWS))][2]
    importlib.import_module(f"playground.ui.pages.evaluate.{module}").draw(scene)


def board(active: bool) -> None:
    """Everything; drawn again every `TICK` seconds while the run trains."""
    run, scene = head()
    if scene:
        view(scene)
    pickers.write_url("evaluate", run, LINK | (CELL if st.session_state.get("evaluate_view") == "matrix" else {}))
    if run.status().active != active:
        url.say_moved()
        st.rerun()


def draw() -> None:
    """Draw the page."""
    pickers.follow_url("evaluate", parts=LINK | CELL)
    if st.session_state[controls.RUN] or runs.list_runs():
        chosen = st.session_state[controls.RUN]
        active = bool(chosen) and runs.open_run(chosen).status().active
        st.fragment(board, run_every=TICK if active else None)(active)
    else:
        st.info("There is no trained network yet. Train one; it can be judged at once.", icon=":material/info:")
        st.page_link("train.py", label="Train a network", icon=":material/model_training:")
