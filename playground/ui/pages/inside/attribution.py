"""Which pixels a class's score rests on, by two methods side by side."""

from typing import TYPE_CHECKING, get_args

import numpy as np
import streamlit as st

from playground import images
from playground.interpret.ops import shown
from playground.ui.common.pickers import format_percent
from playground.ui.components.sheets import make_image_picture, sheets
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside.context import PageContext

if TYPE_CHECKING:
    from playground.interpret.attribution import Attribution

SIDES = (("First method", "integrated_gradients"), ("Second method", "grad_cam"))


def _class(scene: PageContext) -> int:
    probs = scenes.trace_layers(scene).probs
    order = np.argsort(-probs, kind="stable").tolist()
    best = order[0]
    options = [-1, *order]

    def words(option: int) -> str:
        index = best if option < 0 else option
        share = f"{probs[index]:.1%}".replace("%", " %")
        return f"The likeliest: {scene.classes[index]}" if option < 0 else f"{scene.classes[index]} ({share})"

    if st.session_state.get("inside_class") not in options:
        st.session_state["inside_class"] = -1
    chosen = st.selectbox(
        "Class",
        options,
        format_func=words,
        key="inside_class",
        persist_state="session",
        help="For which class the pixels speak.",
    )
    return best if chosen < 0 else chosen


def _layer(scene: PageContext, number: int) -> str:
    chain = scenes.trace_layers(scene).chain
    names = [layer.name for layer in chain if layer.kind == "conv"]
    key = f"inside_cam_{number}"
    if st.session_state.get(key) not in names:
        if st.session_state.get(key) is not None:
            st.info(f"This network has no {st.session_state[key]}; this is {names[-1]}.", icon=":material/info:")
        st.session_state[key] = names[-1]
    return st.selectbox(
        "Layer",
        names,
        key=key,
        persist_state="session",
        help="Grad-CAM weighs the maps of this convolution: a late one knows more of classes, an early one of places.",
    )


def _side(scene: PageContext, number: int, class_index: int, opacity: float) -> None:
    from playground.interpret.attribution import METHODS, Method, draw_overlay

    label, default = SIDES[number]
    methods = list(get_args(Method))
    method = st.selectbox(
        label,
        methods,
        methods.index(default),
        format_func=lambda name: METHODS[name][0],
        key=f"inside_method_{number}",
        persist_state="session",
        help="How it is found out which pixels speak for the class.",
    )
    layer = _layer(scene, number) if method == "grad_cam" else ""
    found = scenes.attribute_class(scene, method, class_index, layer)
    factor = max(1, 320 // scene.info.size)
    values = found.values.repeat(factor, 0).repeat(factor, 1)
    big = images.enlarge(scene.seen, factor * scene.info.size)
    name, about = METHODS[method]
    note = f"from {shown(found.low)} to {shown(found.high)}; score {shown(found.score)}"
    alt = f"{name} for {scene.classes[class_index]}, laid over {scene.title}: {note}"
    laid = draw_overlay(big.transpose(2, 0, 1), values, found.signed, opacity)
    title = f"{name}: {scene.classes[class_index]}"
    sheets(
        [make_image_picture(laid, "", alt, title=title, note=note, width=320)], key=f"inside_why_{number}", label=title
    )
    st.caption(about)
    if method == "integrated_gradients":
        st.caption(sum_words(found))


def sum_words(found: "Attribution") -> str:
    """Say what the pixels add up to, beside what they should, and by how much they miss it."""
    apart = found.score - found.baseline
    missed = f", which is {format_percent(found.missed, 2)} off" if np.isfinite(found.missed) else ""
    return (
        f"In {found.steps} steps the pixels add up to {shown(found.total)}; the difference in score is {shown(apart)}"
        f"{missed}."
    )


def draw(scene: PageContext) -> None:
    """Draw the view."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        class_index = _class(scene)
        opacity = st.slider(
            "Opacity",
            0.0,
            1.0,
            0.6,
            0.05,
            key="inside_opacity",
            persist_state="session",
            help="How strongly the colours cover the image.",
        )
    for number, column in enumerate(st.columns(2, gap="medium")):
        with column:
            _side(scene, number, class_index, opacity)
