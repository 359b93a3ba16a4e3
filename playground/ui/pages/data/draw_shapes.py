"""Drawing a data set of shapes, as easy or hard as one likes."""

from typing import Any

import numpy as np
import streamlit as st

from playground.data import own, shapes
from playground.data.catalog import CATALOG, DataError
from playground.data.shapes import LIMITS, Difficulty
from playground.plots.masks import color_mask, to_rgb
from playground.ui.common import session
from playground.ui.common.escape import escape
from playground.ui.common.progress import follow_progress
from playground.ui.components.gallery import pixels_url
from playground.ui.pages.segment.legend import legend

PREVIEW = 256
"""Width of the previewed image on the screen, in pixels."""


def _knob(what: str, label: str, default: float, step: float, help: str) -> Any:
    low, high = LIMITS[what]
    return st.slider(label, low, high, type(low)(default), type(low)(step), key=f"draw_{what}", help=help)


def _number(what: str, label: str, default: int, help: str | None = None) -> int:
    low, high = LIMITS[what]
    return st.number_input(label, int(low), int(high), default, key=f"draw_{what}", help=help)


@st.fragment
def draw_form() -> None:
    """Let a person draw a set of shapes of their own difficulty, and see an image of it as the knobs move."""
    left, right = st.columns([3, 2], gap="large")
    usual = Difficulty()
    with left:
        first, second = st.columns(2)
        with first:
            most = _knob("shapes", "Shapes", usual.shapes, 1, "An image holds one to this many.")
            occlusion = _knob(
                "occlusion",
                "Occlusion",
                usual.occlusion,
                0.05,
                "0 keeps the shapes apart; up to 1, they cover each other, and bars of background cover them.",
            )
            noise = _knob("noise", "Noise", usual.noise, 0.01, "Standard deviation of what is added to each pixel.")
        with second:
            contrast = _knob("contrast", "Contrast", usual.contrast, 0.05, "How far the colours lie apart.")
            size = _knob("size", "Size of the images (px)", 64, 16, "Larger ones train slower.")
            seed = _number("seed", "Seed", 0, "The same seed and knobs draw the same images.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                "Name",
                key="draw_name",
                placeholder="hard-shapes",
                max_chars=64,
                width="stretch",
                help="What the new data set is called.",
            )
            train = _number("train", "Training images", 2000)
            test = _number("test", "Test images", 500)
        asked = st.button(
            "Draw",
            icon=":material/draw:",
            type="primary",
            key="draw_go",
            help="Draw the images and keep them as a data set.",
        )
    difficulty = Difficulty(most, occlusion, noise, contrast)
    with right:
        _preview(size, seed, difficulty)
    if asked:
        _draw(name, train, test, size, difficulty, seed)


def _preview(size: int, seed: int, difficulty: Difficulty) -> None:
    """Show the first image and its mask."""
    (image,), (mask,) = shapes.generate(1, size, seed, difficulty)
    names = ", ".join(CATALOG["shapes"].classes[k] for k in np.unique(mask))
    factor = -(-PREVIEW // size)
    with st.container(horizontal=True, gap="small"):
        for title, pixels in (("The first image", to_rgb(image)), ("Its mask", color_mask(mask))):
            big = pixels.repeat(factor, 0).repeat(factor, 1)
            st.image(pixels_url(big), title, width=PREVIEW * 3 // 4, alt=f"{title}: {names}")
    legend(mask, CATALOG["shapes"].classes)


def _draw(name: str, train: int, test: int, size: int, difficulty: Difficulty, seed: int) -> None:
    if not name.strip():
        st.error("Give the new data set a name first.", icon=":material/error:")
        return
    bar = st.progress(0.0, "Drawing shapes")
    try:
        made = own.draw_shapes(name, train, test, size, difficulty, seed, follow_progress(bar))
    except DataError as error:
        bar.empty()
        st.error(escape(str(error)), icon=":material/error:")
        return
    session.DATA_DONE.set(f"{made.title} is ready")
    st.rerun()
