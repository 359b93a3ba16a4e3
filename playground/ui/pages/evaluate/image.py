"""Images to choose from, and one of them closely, with ways into Predict and Inside."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import streamlit as st

from playground import images, plots
from playground.errors import PlaygroundError
from playground.ui.common import pickers, session
from playground.ui.common.escape import escape
from playground.ui.components.gallery import PAGE, Item, data_url, gallery, pixels_url
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.evaluate import context as scenes
from playground.ui.pages.evaluate.context import PageContext


def choose(key: str, row: int) -> None:
    """Make a test image the chosen one of a gallery."""
    st.session_state[f"{key}_row"] = row


def browse(
    scene: PageContext, rows: list[int], key: str, label: str, note: Callable[[int], str] | None = None
) -> tuple[int, list[int]]:
    """Draw images in pages of a gallery; returns the chosen one, which is the first until one is picked, and the page.

    Args:
        scene: What is judged, with its images.
        rows: the test images' numbers, at least one, in the order to show them.
        key: tells galleries apart.
        label: what the images are.
        note: says what else there is to say of an image, for its tooltip.
    """
    assert scene.answers and scene.data, "the page asks only where there are images"
    chosen = st.session_state.get(f"{key}_row")
    chosen = chosen if chosen in rows else rows[0]
    pages, place = -(-len(rows) // PAGE), st.container()
    page = min(st.pagination(pages, key=f"{key}_page", max_visible_pages=5), pages) if pages > 1 else 1
    items, shown = [], rows[(page - 1) * PAGE : page * PAGE]
    for row in shown:
        true, guess = scene.classes[scene.answers.targets[row]], scene.classes[scene.answers.preds[row]]
        sure = pickers.format_percent(float(scene.answers.confidence[row]))
        about = f"{true}, predicted as {guess} with {sure}, test image {row}{note(row) if note else ''}"
        mark = "right" if scene.answers.right[row] else "wrong"
        items.append(Item(row, data_url(scene.data.test_images[row]), about, mark))
    with place:
        gallery(items, chosen, key=key, label=label, on_choice=partial(choose, key))
    return chosen, shown


def mark_today(scene: PageContext, rows: list[int]) -> None:
    """Say whose answers these are, and name those of the images that the network takes for another class today."""
    assert scene.answers, "the page asks only where there are answers"
    words = "The answers are those that training kept."
    try:
        with nullcontext() if "torch" in sys.modules else st.spinner("Asking the network again …"):
            probs = scenes.predict_now(scene, rows)
    except PlaygroundError as error:
        st.caption(f"{words} The network cannot be asked again: {escape(str(error))}")
        return
    others = [(row, p) for row, p in zip(rows, probs, strict=True) if p.argmax() != scene.answers.preds[row]]
    if not others:
        st.caption(f"{words} Asked again here, in float32, the network names the same class for each image shown.")
        return
    found = ", ".join(
        f"{row} ({escape(scene.classes[int(p.argmax())])}, {pickers.format_percent(float(p.max()))})"
        for row, p in others
    )
    st.caption(
        f":material/sync_problem: {words} Asked again here, in float32, the network names another class for "
        f"{'test image' if len(others) == 1 else f'{len(others)} of {len(rows)} test images:'} {found}. Training may "
        "compute in bfloat16 or on a GPU, which rounds otherwise; Predict and Inside say what is said here."
    )


def details(scene: PageContext, row: int) -> None:
    """Draw one image with what it is and what it was predicted as, and open it elsewhere."""
    assert scene.answers and scene.data, "the page asks only where there are images"
    probs, truth = scene.answers.probs[row], scene.classes[scene.answers.targets[row]]
    guess = scene.classes[scene.answers.preds[row]]
    look, words = st.columns([1, 2.2], gap="small")
    look.image(
        pixels_url(images.enlarge(scene.data.test_images[row], 192)),
        alt=f"Test image {row}, {truth}",
        width="stretch",
    )
    with words:
        sure = pickers.format_percent(float(scene.answers.confidence[row]))
        if guess == truth:
            st.markdown(f"**Test image {row}** :green-badge[:material/check: Right: {escape(guess)}, {sure}]")
        else:
            own = pickers.format_percent(float(probs[scene.answers.targets[row]]))
            st.markdown(f"**Test image {row}** :red-badge[:material/close: Wrong: {escape(guess)}, {sure}]")
            st.caption(f"True class: {escape(truth)} ({own})")
        live_chart(
            plots.draw_probabilities(probs.tolist(), scene.classes, top=3, truth=truth, revision=scene.run.id),
            key="evaluate_bars",
            alt=f"The likeliest classes of test image {row}: {guess} {sure.replace('%', 'per cent')}",
            height=118,
            version=f"{scene.key} {row}",
        )
    with st.container(horizontal=True):
        for page, title, icon in (("predict", "Predict", "image_search"), ("inside", "Inside", "visibility")):
            if st.button(
                f"Open in {title}",
                icon=f":material/{icon}:",
                key=f"evaluate_open_{page}",
                help="Shows this image there.",
            ):
                leave(scene, row, page)


def leave(scene: PageContext, row: int, page: str) -> None:
    """Go to a page that shows the image to the same run at the same epoch."""
    session.TEST_ROW.set(row)
    session.SOURCE.take()  # so that the picker there starts at its default, the test images
    session.PHOTO.set(None)
    st.switch_page(f"{page}.py", query_params={"run": scene.run.id, "epoch": str(scene.epoch)})
