"""What the network took the image for at each kept epoch."""

import time

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.ui.common.escape import escape
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside import figures
from playground.ui.pages.inside.context import PageContext, key_of_image

PATIENCE = 5.0
"""Seconds for new epochs in one drawing; what is computed is kept."""


def draw(scene: PageContext) -> None:
    """Draw the view."""
    found: dict[int, np.ndarray] = {}
    bad: dict[int, str] = {}
    epochs, started = scene.run.epochs(), time.monotonic()
    # The chosen epoch and the ends first: they are what is looked at.
    for epoch in sorted(epochs, key=lambda e: e not in (scene.epoch, epochs[0], epochs[-1])):
        if time.monotonic() - started > PATIENCE:
            break
        try:
            found[epoch] = scenes.compute_probs(scene, epoch)
        except PlaygroundError as error:  # that epoch alone
            bad[epoch] = str(error)
    for epoch, line in bad.items():
        st.warning(f"Epoch {epoch} is left out: {line}", icon=":material/warning:")
    if not found:
        return
    chosen = found.get(scene.epoch)
    best = "" if chosen is None else f"{scene.classes[int(chosen.argmax())]} {float(chosen.max()):.1%}"
    alt = f"Probability of each class for {scene.title} over {len(found)} epochs; at epoch {scene.epoch}: {best}"
    st.markdown(f"**What the network took {escape(scene.title[:60].lower())} for**, at each kept epoch")
    live_chart(
        figures.over_time(found, scene.classes, scene.epoch, scene.run.id),
        key="inside_over_time",
        alt=alt.replace("%", " %"),
        height=420,
        version=f"{scene.run.id} {scene.epoch} {key_of_image(scene.seen)} {sorted(found)}",
    )
    if len(scene.classes) > figures.MAX_CLASSES:
        st.caption(f"Of {len(scene.classes)} classes the {figures.MAX_CLASSES} that were ever likeliest are drawn.")
    if left := len(epochs) - len(found) - len(bad):
        st.caption(f"{left} more epochs are not computed yet; any change on the page goes on with them.")
