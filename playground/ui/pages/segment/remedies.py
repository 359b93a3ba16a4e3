"""What hurts segmentation, and its remedy: two runs, or one asked in two ways, and the figure that should move."""

import numpy as np
import streamlit as st

from playground import runs
from playground.comparison.remedies import REMEDIES, SCALES, Remedy, read_mask_metrics
from playground.errors import PlaygroundError
from playground.jobs import client
from playground.metrics import IGNORE
from playground.metrics.mask_scores import MASK_METRICS
from playground.plots.masks import mark_errors, to_rgb
from playground.runs import RunFolder
from playground.ui.common import person, pickers, run_views
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.sheets import make_image_picture, sheets
from playground.ui.pages.inside.context import key_of_weights, open_test_set

BLURRED_IMAGES = 60
SHOWN = 6
WIDTH = 150
SIDES = ("before", "after")


def draw(run: RunFolder, epoch: int) -> None:
    """Draw the view; the run is the one whose knobs the two new ones share.

    Raises:
        RunError, DataError, InferenceError: what is compared is not there.
    """
    name = st.segmented_control(
        "What hurts",
        list(REMEDIES),
        format_func=lambda name: REMEDIES[name].title,
        key="segment_remedy",
        default=next(iter(REMEDIES)),
        required=True,
        persist_state="session",
        help="Each trouble has its remedy; the page measures what the remedy does.",
    )
    remedy = REMEDIES[name]
    st.markdown(f"{remedy.problem} **Remedy:** {remedy.remedy[:1].lower()}{remedy.remedy[1:]}")
    if remedy.at_test:
        _asked_twice(run, epoch, remedy)
    else:
        _trained_twice(run, name, remedy)


# Two runs


def _knobs(config: dict) -> str:
    return ", ".join(f"{knob.replace('_', ' ')} {value}" for knob, value in config.items())


def _train(run: RunFolder, name: str, remedy: Remedy) -> None:
    """Queue the two runs, and show them."""
    try:
        for side, config in zip(SIDES, remedy.configs(run.config), strict=True):
            words = "without" if side == "before" else "with"
            made = runs.create_run(
                config, f"{remedy.title}, {words} remedy", parent=run.id, owner=person.current_person()
            )
            client.submit_run(made)
            st.session_state[f"segment_{name}_{side}"] = made.id
    except PlaygroundError as error:
        st.session_state["segment_remedy_error"] = str(error)


def _trained_twice(run: RunFolder, name: str, remedy: Remedy) -> None:
    st.caption(
        f"Without: {_knobs(dict(remedy.without))}. With: {_knobs(dict(remedy.remedied))}. "
        f"All other knobs as in {escape(run.name)}."
    )
    st.button(
        "Train both",
        icon=":material/model_training:",
        key=f"segment_train_{name}",
        type="primary",
        on_click=_train,
        args=(run, name, remedy),
        help="Two runs, one after the other or side by side; they appear below as they learn.",
    )
    if error := st.session_state.pop("segment_remedy_error", ""):
        st.error(escape(error), icon=":material/error:")
    sides: list[RunFolder] = []
    for side, column in zip(SIDES, st.columns(2, gap="medium"), strict=True):
        key = f"segment_{name}_{side}"
        st.session_state.setdefault(key, run.id)
        with column:
            label = "Without the remedy" if side == "before" else "With the remedy"
            if chosen := pickers.pick_run(label, key, tasks=[pickers.find_task(run)]):
                sides.append(chosen)
                st.caption(f"{chosen.status().state}, epoch {chosen.status().epoch} of {chosen.status().epochs}")
    rows = [run_views.watch_run(side).feed.epochs[-1:] for side in sides]
    if len(sides) < 2 or not all(rows):
        st.info("The comparison appears when both have an epoch behind them.", icon=":material/hourglass_empty:")
        return
    if sides[0] == sides[1]:
        st.info("Choose two runs, or train both.", icon=":material/info:")
        return
    _table(read_mask_metrics(rows[0][0]), read_mask_metrics(rows[1][0]), remedy)
    if sides[0].predictions_dataset == sides[1].predictions_dataset:
        data = open_test_set(sides[0])
        masks = [side.masks(row[0].epoch) for side, row in zip(sides, rows, strict=True)]
        _beside(np.asarray(data.test_images[:SHOWN]), np.asarray(data.test_targets[:SHOWN]), masks)


# One run, asked in two ways


def _asked_twice(run: RunFolder, epoch: int, remedy: Remedy) -> None:
    with st.container(horizontal=True, gap="large"):
        sigma = st.slider(
            "Blur of the test images, in pixels",
            0.0,
            4.0,
            3.0,
            0.25,
            key="segment_blur",
            width=320,
            help="The σ of the Gaussian that blurs them.",
        )
        sizes = st.segmented_control(
            "Sizes",
            list(SCALES),
            format_func=lambda name: ", ".join(f"{scale:g}" for scale in SCALES[name]),
            key="segment_sizes",
            default="smaller",
            required=True,
            help="The picture is shown at each of these, as factors on its own size.",
        )
    st.caption(f"On the first {BLURRED_IMAGES} test images: asked at their own size, and at all of these, averaged.")
    (before, one), (after, three) = (
        _judged(f"{key_of_weights(run, epoch)} {sigma}", run, epoch, sigma, scales)
        for scales in ((1.0,), SCALES[sizes])
    )
    _table(before, after, remedy)
    from playground.inference.segment import blur_images

    data = open_test_set(run)
    seen = blur_images(np.asarray(data.test_images[:SHOWN]), sigma)
    _beside(seen, np.asarray(data.test_targets[:SHOWN]), [one, three])


@st.cache_resource(max_entries=32, show_spinner="Asking the network …")
def _judged(
    key: str, _run: RunFolder, _epoch: int, _sigma: float, scales: tuple[float, ...]
) -> tuple[dict[str, float], np.ndarray]:
    from playground.inference.segment import blur_images, evaluate_at_scales

    data = open_test_set(_run)
    images = blur_images(np.asarray(data.test_images[:BLURRED_IMAGES]), _sigma)
    return evaluate_at_scales(_run, _epoch, images, np.asarray(data.test_targets[:BLURRED_IMAGES]), scales)


# What is shown of both


def _table(before: dict[str, float], after: dict[str, float], remedy: Remedy) -> None:
    """Draw the figures side by side; the one that should move stands first."""
    order = sorted(MASK_METRICS, key=lambda name: name != remedy.metric)
    with st.grid(len(order), min_column_width=150, gap="small", key="segment_before_after"):
        for name in order:
            title, help = MASK_METRICS[name]
            change = 100 * (after[name] - before[name])
            st.metric(
                f"**{title}**, should rise" if name == remedy.metric else title,
                format_percent(after[name]),
                f"{change:+.1f} points, from {format_percent(before[name])}",
                delta_color="normal" if abs(change) >= 0.05 else "off",
                help=help,
            )


def _beside(images: np.ndarray, targets: np.ndarray, masks: list[np.ndarray]) -> None:
    """Draw the errors of both on a few test images."""
    pictures = []
    for label, found in zip(("without", "with"), masks, strict=True):
        for i in range(min(SHOWN, len(found), len(images))):
            known = targets[i] != IGNORE
            wrong = (found[i] != targets[i]) & known
            share = format_percent(float(wrong.sum() / max(known.sum(), 1)))
            pixels = mark_errors(to_rgb(images[i]), wrong, known)
            alt = f"Test image {i} {label} the remedy: {share} of the pixels are wrong, in red"
            pictures.append(
                make_image_picture(pixels, f"{label} {i}", alt, title=f"Image {i}, {label}", note=share, width=WIDTH)
            )
    st.markdown("**Errors**, in red: without the remedy above, with it below")
    half = len(pictures) // 2
    sheets(pictures[:half], key="segment_errors_before", label="Without the remedy")
    sheets(pictures[half:], key="segment_errors_after", label="With the remedy")
