"""The hardest images: the highest loss, the most changes of mind, the most often forgotten."""

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from playground.metrics import hardest
from playground.plots.evaluation import draw_history
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.evaluate import context as scenes
from playground.ui.pages.evaluate import image
from playground.ui.pages.evaluate.context import PageContext
from playground.ui.pages.evaluate.controls import segments
from playground.ui.pages.inside import figures

if TYPE_CHECKING:
    from playground.metrics.hardest import History

ORDERS = {"loss": "Highest loss", "flips": "Most flips", "forgotten": "Most forgotten"}
STRIPS = 16
"""Images in the strip of right and wrong over the epochs."""


def draw(scene: PageContext) -> None:
    """Draw the view."""
    assert scene.answers, "the page asks only where there are answers"
    order = segments("Order", ORDERS, "evaluate_hardest")
    past = scenes.read_history(scene)
    if order != "loss" and len(past.epochs) < 2:
        st.caption("It takes two kept epochs to see an answer change.")
        return
    counts = {"flips": past.flips, "forgotten": past.forgotten}.get(order)
    rows = (
        hardest.order_by_loss(scene.answers) if counts is None else hardest.order_by_count(counts, scene.answers)
    ).tolist()
    st.caption(explain(order, scene, past))
    if not rows:
        st.caption("No image has any.")
        return
    key = f"evaluate_{order}"
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        chosen, shown = image.browse(
            scene,
            rows,
            key,
            f"The hardest images: {ORDERS[order].lower()}",
            lambda row: f", {past.flips[row]} flips, forgotten {past.forgotten[row]} times",
        )
        place = st.container()
        if len(past.epochs) > 1:
            strip(scene, past, rows[:STRIPS], key)
    with right, st.container(border=True):
        image.details(scene, chosen)
        over_time(scene, chosen)
    with place:
        image.mark_today(scene, shown)


def explain(order: str, scene: PageContext, past: "History") -> str:
    """Say what the order means, with its counts."""
    epochs, total = len(past.epochs), len(past.targets)
    if order == "loss":
        wrong = int((~scene.answers.right).sum()) if scene.answers else 0
        return (
            f"By $-\\ln p$ of the true class after epoch {scene.epoch}, the highest first: {wrong:,} of {total:,} "
            f"images are wrong, and {past.never_right:,} were never right at any of {epochs:,} kept epochs."
        )
    if order == "flips":
        return (
            f"How often the answer changed from one of {epochs:,} kept epochs to the next: {int(past.flips.sum()):,} "
            f"changes, at {int((past.flips > 0).sum()):,} of {total:,} images."
        )
    return (
        f"How often a right answer turned wrong at the next of {epochs:,} kept epochs: {int(past.forgotten.sum()):,} "
        f"times, at {int((past.forgotten > 0).sum()):,} of {total:,} images (Toneva et al. 2019 count it for training "
        "images)."
    )


def over_time(scene: PageContext, row: int) -> None:
    """Draw what one image was predicted as at each kept epoch."""
    assert scene.answers, "the page asks only where there are answers"
    found = scenes.read_over_time(scene, row)
    if len(found) < 2:
        return
    truth = scene.classes[scene.answers.targets[row]]
    live_chart(
        figures.over_time(found, scene.classes, scene.epoch, scene.run.id),
        key="evaluate_over_time",
        alt=f"Probability of each class for test image {row}, {truth}, over {len(found)} epochs",
        height=300,
        version=f"{scene.key} {row} {sorted(found)}",
    )


def strip(scene: PageContext, past: "History", rows: list[int], key: str) -> None:
    """Draw right and wrong over the epochs for the first images of a gallery; a click chooses one."""

    def clicked(point: dict[str, Any]) -> None:
        image.choose(key, rows[int(point["point"][0])])

    st.markdown("**Right and wrong over the kept epochs**, the first images of the list; click one to see it")
    guesses = [[scene.classes[guess] for guess in past.preds[:, row]] for row in rows]
    live_chart(
        draw_history(
            past.right[:, rows].T,
            guesses,
            past.epochs,
            [f"{scene.classes[past.targets[row]]}, image {row}" for row in rows],
            f"{scene.run.id} {rows}",
        ),
        key="evaluate_strip",
        alt=f"Right and wrong at {len(past.epochs)} epochs for {len(rows)} test images; "
        f"on average right {np.mean(past.right[:, rows]):.0%} of the time".replace("%", " %"),
        height=60 + 22 * len(rows),
        version=f"{scene.key} {rows} {past.epochs}",
        on_click=clicked,
    )
