"""Choosing what is looked into: a run, an epoch, an image; and playing the epochs like a film."""

import re
import time
from collections.abc import Collection

import numpy as np
import streamlit as st

from playground import images, runs
from playground.data.catalog import DataError
from playground.runs import RunFolder
from playground.ui.common import image_picker, pickers, session
from playground.ui.common.escape import escape
from playground.ui.common.session import Picked
from playground.ui.common.url import Part
from playground.ui.pages.inside.context import open_test_set
from playground.ui.pages.inside.maps import COLUMN, LAYER, MAP, ROW

STEP = 1.0
"""Seconds that an epoch is shown for while the epochs play."""
RUN, EPOCH, VIEW = "inside_run", "inside_epoch", "inside_view"
IMAGE = {"image": Part("predict_row")}
MAPS = {"layer": Part(LAYER, re.compile("[A-Za-z0-9_.]{1,60}")), "map": Part(MAP)}
PLACE = {"row": Part(ROW), "column": Part(COLUMN)}


def follow_url(views: Collection[str]) -> None:
    """Take what the page shows from the URL when it was changed from outside, and hold the film."""
    if pickers.follow_url("inside", parts={"view": Part(VIEW, views), **IMAGE, **MAPS, **PLACE}):
        st.session_state["inside_playing"] = False
        if "image" in st.query_params:
            session.PHOTO.set(None)


def link_of(view: str) -> dict[str, Part]:
    """Return what the URL tells of a view, beside run and epoch; a photo of one's own is not in it."""
    parts = {"view": Part(VIEW)} | ({} if session.PHOTO.get() else IMAGE)
    if view in ("maps", "kernels", "over_time", "exciting", "edit"):
        parts |= MAPS
    return parts | (PLACE if view == "maps" else {})


def playing() -> bool:
    """Whether the epochs play."""
    return bool(st.session_state.get("inside_playing"))


def toggle_play() -> None:
    """Start at the chosen epoch, at the first if that is the last; or hold."""
    st.session_state["inside_playing"] = not playing()
    st.session_state["inside_stepped"] = time.monotonic()
    epochs = runs.open_run(st.session_state[RUN]).epochs()
    if playing() and st.session_state.get(EPOCH) in (None, *epochs[-1:]) and epochs:
        pickers.choose_epoch(EPOCH, epochs[0])


def step(run: RunFolder) -> None:
    """Go on to the next epoch when it is time; at the end a film of a finished run stops, and a live one follows."""
    epochs, now = run.epochs(), time.monotonic()
    # Clicks draw the page, too: they must not make the film faster.
    if not playing() or now - st.session_state.get("inside_stepped", 0.0) < 0.8 * STEP:
        return
    st.session_state["inside_stepped"] = now
    later = [epoch for epoch in epochs if epoch > (st.session_state.get(EPOCH) or 0)]
    if st.session_state.get(EPOCH) is None or len(later) < 2:
        pickers.choose_epoch(EPOCH, None)
        st.session_state["inside_playing"] = False
    else:
        pickers.choose_epoch(EPOCH, later[0])


def play_button(run: RunFolder) -> None:
    """Draw the button that plays the epochs, or holds them."""
    st.button(
        "Pause" if playing() else "Play",
        icon=":material/pause:" if playing() else ":material/play_arrow:",
        key="inside_play",
        on_click=toggle_play,
        disabled=len(run.epochs()) < 2,
        help="Step through the kept epochs, one a second.",
    )


def image(run: RunFolder, epoch: int | None) -> Picked | None:
    """Let a person choose an image in a pop-up; while it is closed, the last choice holds."""
    popup = st.popover(
        "Choose an image",
        icon=":material/image:",
        key="inside_images",
        on_change="rerun",
        help="A test image, an upload or a photo.",
    )
    if popup.open:
        with popup:
            picked = image_picker.pick_image(run, epoch)
        if picked:
            session.PHOTO.set(picked if picked.photo else None)
    if photo := session.PHOTO.get():
        return photo
    try:
        data = open_test_set(run)
    except DataError as error:
        st.caption(f"{escape(str(error))}. Upload a photo instead.")
        return None
    row = session.TEST_ROW.get()  # the same image as on the Predict page
    row = row if 0 <= row < len(data.test_targets) else 0
    return Picked(
        np.ascontiguousarray(images.enlarge(np.asarray(data.test_images[row]), 1)),
        f"Test image {row}",
        data.info.classes[int(data.test_targets[row])],
    )
