"""Segment: a label for each place of an image, by any network."""

import importlib
import sys

import streamlit as st

from playground import runs
from playground.runs import RunFolder
from playground.ui.common import guard, pickers, url
from playground.ui.common.escape import escape
from playground.ui.common.url import Part
from playground.ui.pages.segment.fixed_images import CHOSEN

TICK = 1.0
RUN, EPOCH = "segment_run", "segment_epoch"
VIEWS = {  # what the address calls each view: its title, its icon and its module
    "regions": ("Regions", "grid_view", "regions"),
    "masks": ("Test images", "image", "fixed_images"),
    "photo": ("Your photo", "add_photo_alternate", "photo"),
    "remedies": ("Remedies", "healing", "remedies"),
}
LINK = {"view": Part("segment_view", VIEWS), "image": Part(CHOSEN)}


def head() -> tuple[RunFolder, int | None]:
    """Draw the pickers and return what they chose."""
    columns = st.columns([1.2, 1.8], gap="medium")
    with columns[0]:
        run = pickers.pick_run(
            "Run",
            RUN,
            help="A network that labels images is slid over the picture, region by region; one that was trained on "
            "masks labels each pixel.",
        )
    assert run is not None, "the page is not drawn without runs"
    with columns[1]:
        epoch = pickers.pick_epoch(run, EPOCH)
    if epoch is None:
        status = run.status()
        later = "it can be used as soon as it has weights" if status.active else "it kept none; choose another run"
        st.info(f"{escape(run.name)} is {status.state}; {later}.", icon=":material/hourglass_empty:")
    return run, epoch


def view(run: RunFolder, epoch: int) -> None:
    """Draw the chosen view; the others compute nothing."""
    views = pickers.find_task(run).views["segment"]
    chosen = views[0]
    if len(views) > 1:
        if st.session_state.get("segment_view") not in views:  # not as the widget's default: a link may set it
            st.session_state["segment_view"] = chosen
        chosen = st.segmented_control(
            "View",
            views,
            format_func=lambda name: f":material/{VIEWS[name][1]}: {VIEWS[name][0]}",
            key="segment_view",
            required=True,
            persist_state="session",
            label_visibility="collapsed",
        )
    with guard.guard():
        if "torch" not in sys.modules:
            with st.spinner("Starting the network; the first time takes some seconds …"):
                importlib.import_module("playground.inference.classify")
        module = VIEWS[chosen or views[0]][2]
        importlib.import_module(f"playground.ui.pages.segment.{module}").draw(run, epoch)


def board(active: bool) -> None:
    """Everything; drawn again every `TICK` seconds while the run trains."""
    run, epoch = head()
    if epoch is not None:
        view(run, epoch)
    several = len(pickers.find_task(run).views["segment"]) > 1
    pickers.write_url("segment", run, LINK if several else pickers.NOTHING)
    if run.status().active != active:
        url.say_moved()
        st.rerun()


def draw() -> None:
    """Draw the page."""
    pickers.follow_url("segment", LINK)
    if st.session_state[RUN] or runs.list_runs():
        chosen = st.session_state[RUN]
        active = bool(chosen) and runs.open_run(chosen).status().active
        st.fragment(board, run_every=TICK if active else None)(active)
    else:
        st.info(
            "There is no trained network yet. Train one; it can be slid over images at once.", icon=":material/info:"
        )
        st.page_link("train.py", label="Train a network", icon=":material/model_training:")
