"""The confusion matrix: click a cell, or choose its classes, and its images appear."""

from typing import Any, cast

import streamlit as st

from playground.metrics.confusion import find_images, find_largest_error
from playground.plots.confusion import LABELLED, Show, draw_confusion
from playground.ui.common import pickers
from playground.ui.common.escape import escape
from playground.ui.common.url import Part
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.evaluate import context as scenes
from playground.ui.pages.evaluate import image
from playground.ui.pages.evaluate.context import PageContext
from playground.ui.pages.evaluate.controls import class_picker, segments, settle

SHOWS = {"counts": "Counts", "rows": "% of the row", "columns": "% of the column"}
ORDERS = {"class": "By class", "similar": "By similarity"}
TRUE, GUESS = "evaluate_true", "evaluate_guess"
CELL = {"true": Part(TRUE), "predicted": Part(GUESS), "image": Part("evaluate_cell_row")}
"""What the page's address tells of a cell: its classes' numbers, and which of its images is looked at."""


def draw(scene: PageContext) -> None:
    """Draw the view."""
    left, right = st.columns([1.35, 1], gap="medium")
    with right:
        true, guess = cell(scene)
    with left:
        with st.container(horizontal=True):
            show, order = segments("Show", SHOWS, "evaluate_show"), segments("Order", ORDERS, "evaluate_order")
        heatmap(scene, cast(Show, show), order, (true, guess))
    with right:
        images(scene, true, guess)


def heatmap(scene: PageContext, show: Show, order: str, cell: tuple[int, int]) -> None:
    """Draw the matrix with the chosen cell, of (true, predicted) class, outlined; a click chooses another."""
    count = len(scene.classes)
    places = [int(k) for k in scenes.order_classes(scene)] if order == "similar" else list(range(count))

    def clicked(point: dict[str, Any]) -> None:
        row, column = point["point"]
        st.session_state[TRUE], st.session_state[GUESS] = places[int(row)], places[int(column)]

    worst = find_largest_error(scene.counts)
    wrong = int(scene.counts.sum() - scene.counts.trace())
    alt = f"Confusion matrix of {count} classes after epoch {scene.epoch}: {wrong:,} mistakes"
    if wrong:
        alt += f", most often {scene.classes[worst[0]]} predicted as {scene.classes[worst[1]]}, {scene.counts[worst]:,}"
    live_chart(
        draw_confusion(
            scene.counts[places][:, places],
            [scene.classes[k] for k in places],
            show=show,
            chosen=(places.index(cell[0]), places.index(cell[1])),
            revision=f"{scene.run.id} {order}",
        ),
        key="evaluate_matrix",
        alt=alt,
        height=560 if count <= LABELLED else min(1000, 200 + 10 * count),
        version=f"{scene.key} {show} {places} {cell}",
        on_click=clicked,
    )
    text = "A row is a true class, a column a predicted class; the diagonal is right. "
    text += "Click a cell to see its images."
    if order == "similar":
        text += " Classes that are mistaken for each other stand side by side."
    st.caption(text)


def cell(scene: PageContext) -> tuple[int, int]:
    """Let a person choose a cell by its classes, and say what is in it; returns the true and the predicted class."""
    worst = find_largest_error(scene.counts)
    settle(scene.run.id, {TRUE: worst[0], GUESS: worst[1]})  # the most frequent mistake is another at each epoch
    columns = st.columns(2)
    with columns[0]:
        true = class_picker("True class", TRUE, scene.classes, worst[0])
    with columns[1]:
        guess = class_picker("Predicted", GUESS, scene.classes, worst[1])
    number = int(scene.counts[true, guess])
    row, column = int(scene.counts[true].sum()), int(scene.counts[:, guess].sum())
    parts = [
        _part(number, row, "of the true class", f"no test image is of {escape(scene.classes[true])}"),
        _part(number, column, "of the predictions", f"no test image is predicted as {escape(scene.classes[guess])}"),
    ]
    st.markdown(
        f"**{number:,} {'image' if number == 1 else 'images'}** of {escape(scene.classes[true])} predicted as "
        f"{escape(scene.classes[guess])}: {', '.join(parts)}."
    )
    return true, guess


def _part(number: int, whole: int, of: str, none: str) -> str:
    """Write a count as a share of a whole; of nothing there is no share."""
    return f"{number:,}/{whole:,} = {pickers.format_percent(number / whole)} {of}" if whole else none


def images(scene: PageContext, true: int, guess: int) -> None:
    """Draw the images of a cell, and one of them closely."""
    if scene.answers is None:
        return
    rows = find_images(scene.answers, true, guess).tolist()
    if not rows:
        st.caption("No test image is in this cell.")
        return
    label = f"{scene.classes[true]} predicted as {scene.classes[guess]}, the most confident first"
    chosen, shown = image.browse(scene, rows, "evaluate_cell", label)
    st.caption("The most confident first.")
    place = st.container()
    with st.container(border=True):
        image.details(scene, chosen)
    with place:  # drawn at last: the first time it takes some seconds
        image.mark_today(scene, shown)
