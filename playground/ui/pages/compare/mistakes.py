"""Two runs more closely: their confusion matrices, and the images that one gets right and the other wrong."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from playground import images
from playground.comparison import mistakes, significance
from playground.comparison.mistakes import PredictionComparison
from playground.comparison.significance import ALPHA
from playground.data.catalog import DataError
from playground.data.store import Arrays
from playground.metrics.scores import count_confusion, normalise_counts
from playground.plots.confusion import draw_confusion
from playground.runs import RunError
from playground.ui.common import session
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.common.run_views import View
from playground.ui.components.gallery import Item, data_url, gallery, pixels_url
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.compare import class_overlap as pixels
from playground.ui.pages.compare.sides import Side, choose
from playground.ui.pages.inside.context import open_test_set

SHOWN = 40
"""Images of each kind of disagreement, the most telling ones."""
KINDS = {"only_a": "Only A is right", "only_b": "Only B is right", "different_mistakes": "Both wrong, differently"}


def _matrices(a: Side, b: Side, data: Arrays | None, classes: Sequence[str]) -> None:
    """Draw both confusion matrices and their difference."""
    counts = [a.counts, b.counts]
    if data is not None and a.probs is not None and b.probs is not None:
        # On the same images, where each is kept: the bundled run was judged on more of them while it trained.
        targets = np.asarray(data.test_targets)
        counts = [
            count_confusion(targets, side.probs.argmax(1), len(classes)) for side in (a, b) if side.probs is not None
        ]
    same_images = a.task.target == "mask" or counts[0].sum() == counts[1].sum()
    show = "rows" if a.task.target == "mask" or not same_images else _cells()
    change = (
        counts[1] - counts[0]
        if show == "counts"
        else normalise_counts(counts[1], "rows") - normalise_counts(counts[0], "rows")
    )
    with st.grid(3, min_column_width=330, gap="small", key="compare_matrices"):
        for side, matrix in zip((a, b), counts, strict=True):
            _matrix(matrix, classes, side.letter, f"{side.letter}, after epoch {side.epoch}", show, False)
        _matrix(change, classes, "change", "B − A", show, True)
    if not same_images:
        st.caption(
            f"A was judged on {counts[0].sum():,} images and B on {counts[1].sum():,}: "
            "shares can be compared, counts not."
        )


def _cells() -> str:
    """Let a person choose what stands in the cells."""
    kinds = {"Counts": "counts", "Shares of each class": "rows"}
    kind = st.segmented_control(
        "Cells",
        list(kinds),
        key="compare_cells",
        default="Shares of each class",
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    return kinds[kind or "Counts"]


def _matrix(counts: np.ndarray, classes: Sequence[str], key: str, title: str, show: str, difference: bool) -> None:
    live_chart(
        draw_confusion(counts, classes, show=show, title=title, difference=difference, revision="pair"),  # ty: ignore[invalid-argument-type]
        key=f"compare_matrix_{key}",
        alt=f"Confusion matrix: {title}; rows are true classes, columns predictions",
        height=min(720, 380 if len(classes) <= 20 else 560),
        version=f"{title} {show} {counts.tobytes().hex() if counts.size <= 400 else hash(counts.tobytes())}",
    )


def verdict(found: PredictionComparison, a: Side, b: Side) -> str:
    """Say which is better on the images, and whether that could be chance."""
    only_a, only_b = len(found.only_a), len(found.only_b)
    accuracies = [format_percent((found.both + only) / found.images) for only in (only_a, only_b)]
    word = "more than chance" if found.p < ALPHA else "could be chance"
    return (
        f"On the same {found.images:,} test images **A** gets {accuracies[0]} right and **B** {accuracies[1]}. "
        f"{only_a:,} images are right with A alone, {only_b:,} with B alone: **{word}** "
        f"(McNemar's exact test, {significance.write_p_value(found.p)}). It says how these two trained networks differ "
        "on such images; whether the knobs did it, only more seeds can tell."
    )


def _open_both(row: int, a: Side, b: Side) -> None:
    """Open an image in Predict, with both runs side by side."""
    session.TEST_ROW.set(row)
    session.SOURCE.take()  # the picker's default is the test images
    query = {"run": a.run.id, "epoch": str(a.epoch), "run2": b.run.id, "epoch2": str(b.epoch)}
    st.switch_page("predict.py", query_params=query)


def _pick(row: int) -> None:
    st.session_state["compare_row"] = row


def _image(row: int, a: Side, b: Side, data: Arrays) -> None:
    """Draw the chosen image with what both take it for."""
    classes = data.info.classes
    truth = classes[int(data.test_targets[row])]
    with st.container(horizontal=True, vertical_alignment="center", key="compare_image"):
        pixels = images.enlarge(np.asarray(data.test_images[row]), 128)
        st.image(pixels_url(pixels), alt=f"Test image {row}, {truth}", width=128)
        with st.container(gap="xsmall"):
            st.markdown(f"Test image {row}: **{escape(truth)}**")
            for side in (a, b):
                assert side.probs is not None
                guess = int(side.probs[row].argmax())
                right = classes[guess] == truth
                icon = ":green[:material/check:]" if right else ":red[:material/close:]"
                st.markdown(
                    f"{icon} {side.letter}: {escape(classes[guess])}, {format_percent(float(side.probs[row, guess]))}"
                )
            if st.button(
                "Open both in Predict",
                icon=":material/image_search:",
                key="compare_open",
                help="Shows this image to both runs, with the probabilities of all classes.",
            ):
                _open_both(row, a, b)


def _disagreements(a: Side, b: Side, data: Arrays) -> None:
    """Draw the verdict and the images that the two take for different things."""
    assert a.probs is not None and b.probs is not None
    targets = np.asarray(data.test_targets)
    found = mistakes.compare_predictions(a.probs, b.probs, targets)
    st.markdown(verdict(found, a, b))
    rows = {kind: getattr(found, kind) for kind in KINDS}
    kind = st.segmented_control(
        "Images",
        list(KINDS),
        format_func=lambda kind: f"{KINDS[kind]}: {len(rows[kind]):,}",
        key="compare_kind",
        default="only_a",
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    shown = rows[kind or "only_a"][:SHOWN].tolist()
    if not shown:
        st.caption("There is no such image.")
        return
    wanted = st.session_state.get("compare_row")
    row = shown[shown.index(wanted)] if wanted in shown else shown[0]
    _image(row, a, b, data)
    classes = data.info.classes
    gallery(
        [
            Item(
                one,
                data_url(np.asarray(data.test_images[one])),
                f"{classes[targets[one]]}: A says {classes[int(a.probs[one].argmax())]}, "
                f"B says {classes[int(b.probs[one].argmax())]}",
            )
            for one in shown
        ],
        row,
        key="compare_gallery",
        label=KINDS[kind or "only_a"],
        on_choice=_pick,
    )
    if len(rows[kind or "only_a"]) > SHOWN:
        st.caption(f"The {SHOWN} of them that the two disagree about most.")


def draw(views: Sequence[View], names: Sequence[str]) -> None:
    """Draw the view."""
    if len(views) < 2:
        st.info("Choose a second run to see where the two disagree.", icon=":material/compare:")
        return
    a, b = choose(views, names)
    if a is None or b is None:
        waiting = " and ".join(letter for letter, side in zip("AB", (a, b), strict=True) if side is None)
        st.info(f"{waiting} has not been judged yet; that happens after each epoch.", icon=":material/hourglass_empty:")
        return
    if a.task is not b.task:
        labels = f"A labels {a.task.labelled} and B {b.task.labelled}"
        st.info(f"{labels}, so the two cannot be compared one by one.", icon=":material/info:")
        return
    classes = [_classes(side) for side in (a, b)]
    if classes[0] != classes[1]:
        st.info(
            "These two runs tell other classes apart, so their mistakes cannot be compared.", icon=":material/info:"
        )
        return
    data = None
    same = a.run.predictions_dataset == b.run.predictions_dataset
    if same and a.probs is not None and b.probs is not None and a.probs.shape == b.probs.shape:
        try:
            data = open_test_set(a.run)
            data = data if len(data.test_targets) == len(a.probs) else None
        except DataError as error:
            st.caption(f":material/cloud: The images cannot be shown: {escape(str(error))}.")
    _matrices(a, b, data, classes[0])
    if a.task.target == "mask":
        pixels.draw(a, b, classes[0], same)
    elif data is not None:
        _disagreements(a, b, data)
    elif not same:
        st.caption("The two were judged on test images of different data sets, so no image can be compared.")


def _classes(side: Side) -> tuple[str, ...]:
    """Return the names of the classes; numbers where the data set is not known here any more."""
    try:
        return side.run.dataset.classes
    except RunError:
        return tuple(f"class {i}" for i in range(len(side.counts)))
