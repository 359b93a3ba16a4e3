"""Any classifier as a sliding window: which class it takes each region of a larger image for."""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground import plots
from playground.inference.errors import InferenceError
from playground.interpret.colormap import ColorLimits, make_palette, quantise
from playground.interpret.receptive_field import ReceptiveField
from playground.metrics import scores
from playground.runs import RunFolder
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.live_chart import live_chart
from playground.ui.components.sheets import Picture, make_image_picture, sheets
from playground.ui.pages.inside.context import key_of_image, key_of_weights
from playground.ui.pages.segment import window_controls
from playground.ui.pages.segment.window_controls import Settings, Shown

if TYPE_CHECKING:
    from playground.inference.sliding_window import Classifier, SlidingWindowResult

WIDTH, WIDE = 300, 440
"""Of a picture on the screen, where there are three of them and where there are two."""
TOP = 5
POINT = "segment_point"
"""Where the session keeps (row, column) of the point that is looked at, in pixels of the image."""
COLOURS = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in plots.CLASS_COLOURS], np.float32)


def draw(run: RunFolder, epoch: int) -> None:
    """Draw the view of a run that labels images.

    Raises:
        InferenceError: the run cannot predict.
    """
    from playground.inference.load import find_dataset, load_model
    from playground.inference.sliding_window import Classifier

    info, mean, std = find_dataset(run)
    who = Classifier(load_model(run, epoch), info.size, mean, std)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        shown = window_controls.source(run, info.size)
        settings = window_controls.settings(who)
    if shown is None:
        return
    with right:
        try:
            _result(key_of_weights(run, epoch), who, shown, settings, info.classes)
        except InferenceError as error:
            st.error(escape(str(error)), icon=":material/error:")


def _result(weights: str, who: "Classifier", shown: Shown, settings: Settings, classes: tuple[str, ...]) -> None:
    """Compute and draw everything that follows from the choice; `weights` changes with the run and the epoch."""
    key = f"{weights} {key_of_image(shown.pixels)} {settings}"
    pass_key = f"{weights} {key_of_image(shown.pixels)} {settings.stride} {settings.how}"
    sweeps = [_swept(f"{pass_key} {region}", who, shown, region, settings) for region in settings.regions]
    probs, labels = _labelled(key, sweeps, shown, settings)
    _told(key, who, shown, settings, sweeps)
    if shown.labels is not None:
        _score(labels, shown.labels, classes)
    _pictures(shown, settings, classes, probs, labels)
    areas, point = st.columns(2, gap="medium")
    with areas:
        _areas(labels, classes, key)
    with point:
        _point(shown, settings, classes, probs, key)


# What is computed, once for everybody who looks at the same


@st.cache_resource(max_entries=12, show_spinner="Sliding over the image …")
def _swept(key: str, _who: "Classifier", _shown: Shown, _region: int, _settings: Settings) -> "SlidingWindowResult":
    from playground.inference.sliding_window import slide_window

    return slide_window(_who, _shown.pixels, _region, _settings.stride, _settings.how)


@st.cache_resource(max_entries=6, show_spinner=False)
def _labelled(
    key: str, _sweeps: "list[SlidingWindowResult]", _shown: Shown, _settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities as `fuse_probs` gives them, and the label of each pixel."""
    from playground.inference.sliding_window import fuse_probs, make_label_map

    height, width = _shown.pixels.shape[:2]
    sigma = _settings.side / 4 if _settings.smoothing == "gaussian" else 0.0
    probs = fuse_probs(_sweeps, height, width, _settings.fusion, sigma)
    return probs, make_label_map(probs, height, width, _settings.side if _settings.smoothing == "majority" else 0)


@st.cache_resource(max_entries=64, show_spinner=False)
def _deviation(
    key: str, _who: "Classifier", _shown: Shown, _settings: Settings, _sweep: "SlidingWindowResult"
) -> tuple[float, float, int]:
    from playground.inference.sliding_window import measure_deviation

    return measure_deviation(_who, _shown.pixels, _settings.regions[0], _settings.stride, _sweep)


# What is shown


def _told(key: str, who: "Classifier", shown: Shown, settings: Settings, sweeps: "list[SlidingWindowResult]") -> None:
    """Say how much was computed, and how."""
    from playground.inference.sliding_window import check_convertibility, find_network_stride

    windows, seconds = sum(sweep.windows for sweep in sweeps), sum(sweep.seconds for sweep in sweeps)
    way = "each by itself" if settings.how == "windows" else "in one pass" + (" a scale" if len(sweeps) > 1 else "")
    words = f"**{windows:,} regions in {seconds:.2f} s**, {way}."
    paces = [find_network_stride(who.size, region, settings.stride) * region / who.size for region in settings.regions]
    if any(abs(pace - settings.stride) > 0.01 for pace in paces):
        taken = " and ".join(f"{pace:.3g}" for pace in paces)
        words += f" The stride is {taken} px: whole pixels of the resized image."
    if settings.how == "one pass" and not check_convertibility(who.net).exact:
        mean, same, count = _deviation(f"{key} {settings.regions[0]}", who, shown, settings, sweeps[0])
        words += (
            f" Not exact, because the network pads its maps: of {count} regions of "
            f"{settings.regions[0]} px computed by themselves, "
            f"{format_percent(same, 0)} have the same label; probabilities differ by {100 * mean:.1f} points on "
            "average."
        )
    st.markdown(words)


def _pictures(
    shown: Shown, settings: Settings, classes: tuple[str, ...], probs: np.ndarray, labels: np.ndarray
) -> None:
    """Draw the image under its labels, the true ones beside it, and the probability of one class."""
    from playground.inference.sliding_window import find_cell_size

    frequent = int(np.bincount(labels.ravel()).argmax())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        opacity = st.slider(
            "Opacity",
            0.0,
            1.0,
            0.5,
            0.05,
            key="segment_opacity",
            persist_state="session",
            help="How strongly the regions cover the image.",
        )
        options = ["", *classes]  # "" follows the image
        if st.session_state.get("segment_class") not in options:
            st.session_state["segment_class"] = ""
        chosen = st.selectbox(
            "Probability map of",
            options,
            format_func=lambda name: name or f"The most frequent: {classes[frequent]}",
            key="segment_class",
            persist_state="session",
            help="Where the network takes the image for this class.",
        )
    height, width = labels.shape
    row, column = _place(shown)
    zoom = settings.stride

    def pick(_name: str, _tile: int, row: int, column: int) -> None:
        st.session_state[POINT] = (row * zoom + zoom // 2, column * zoom + zoom // 2)

    def picture(name: str, pixels: np.ndarray, title: str, note: str) -> Picture:
        alt = f"{shown.title}. {title}: {note}"
        more = {
            "title": title,
            "note": note,
            "width": WIDTH if shown.labels is not None else WIDE,
            "pick": True,
            "zoom": zoom,
        }
        framed = _around(row, column, settings.regions[0], labels.shape)
        return make_image_picture(pixels, name, alt, framed, at=(0, row // zoom, column // zoom), **more)

    drawn = [picture("labels", overlay(shown.pixels, labels, opacity), "What the network says", most(labels, classes))]
    if (truth := shown.labels) is not None:
        drawn.append(picture("truth", overlay(shown.pixels, truth, opacity), "What is there", most(truth, classes)))
    k = classes.index(chosen) if chosen else frequent
    cell = find_cell_size(height, width, len(classes))
    share = probs[:, :, k].repeat(cell, 0).repeat(cell, 1)[:height, :width]
    coloured = make_palette(False)[quantise(share, ColorLimits(np.zeros(1), np.ones(1), False))]
    spread = f"from {format_percent(float(share.min()), 0)} (dark) to {format_percent(float(share.max()), 0)} (bright)"
    drawn.append(picture("probability", coloured, f"Probability of {classes[k]}", spread))
    sheets(drawn, key="segment_pictures", label="The image and its labels", on_pick=pick)
    st.caption("Click a picture, or move with the arrow keys, to see the probabilities at a point.")


def overlay(pixels: np.ndarray, labels: np.ndarray, opacity: float) -> np.ndarray:
    """Lay the classes' colours over an image, uint8 (H, W, 3)."""
    colours = COLOURS[labels % len(COLOURS)]
    return np.rint(pixels + (colours - pixels) * np.float32(opacity)).astype(np.uint8)


def most(labels: np.ndarray, classes: tuple[str, ...]) -> str:
    """Name the three classes with the largest areas."""
    shares = np.bincount(labels.ravel(), minlength=len(classes)) / labels.size
    order = [k for k in np.argsort(-shares, kind="stable")[:3] if shares[k]]
    return ", ".join(f"{classes[k]} {format_percent(float(shares[k]), 0)}" for k in order)


def _place(shown: Shown) -> tuple[int, int]:
    """Return (row, column) of the point that is looked at, the middle until one is chosen."""
    height, width = shown.pixels.shape[:2]
    row, column = st.session_state.get(POINT, (height // 2, width // 2))
    return min(row, height - 1), min(column, width - 1)


def _around(row: int, column: int, region: int, shape: tuple[int, ...]) -> ReceptiveField:
    """Return the region around a point, moved into the image where it would reach past its edge."""
    top, left = (
        int(np.clip(at - region // 2, 0, side - region)) for at, side in zip((row, column), shape, strict=True)
    )
    return ReceptiveField(left, top, left + region, top + region, clipped=False)


def _areas(labels: np.ndarray, classes: tuple[str, ...], version: str) -> None:
    """Draw the legend, with each class's share of the area."""
    shares = np.bincount(labels.ravel(), minlength=len(classes)) / labels.size
    occurring = int((shares > 0).sum())
    st.markdown("**What is where**, by area")
    spoken = ", ".join(f"{classes[k]} {format_percent(float(shares[k]))}" for k in np.argsort(-shares)[:occurring])
    live_chart(
        plots.draw_probabilities(shares.tolist(), classes, top=occurring),
        key="segment_areas_chart",
        alt=f"Share of the area of each class that occurs: {spoken}",
        height=44 + 26 * occurring,
        version=version,
    )


def _score(labels: np.ndarray, truth: np.ndarray, classes: tuple[str, ...]) -> None:
    """Say how much of a scene is right: over all of its pixels, and class by class."""
    confusion = scores.count_confusion(truth, labels, len(classes))
    present = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    iou = scores.compute_iou(confusion)
    each = ", ".join(f"{classes[k]} {format_percent(float(iou[k]), 0)}" for k in present)
    st.markdown(
        f"**{format_percent(scores.compute_accuracy(confusion))}** of the pixels are right; mean IoU "
        f"**{format_percent(float(iou[present].mean()))}**.",
        help="IoU is the intersection over the union of where the network sees a class and where it is, over all "
        f"pixels of this scene; its mean is over the {len(present)} classes that occur in either: {escape(each)}.",
    )


def _point(shown: Shown, settings: Settings, classes: tuple[str, ...], probs: np.ndarray, version: str) -> None:
    """Draw the probabilities at the chosen point."""
    from playground.inference.sliding_window import find_cell_size

    row, column = _place(shown)
    cell = find_cell_size(*shown.pixels.shape[:2], len(classes))
    here = probs[row // cell, column // cell]
    truth = None if shown.labels is None else classes[int(shown.labels[row, column])]
    st.markdown(f"**At row {row}, column {column}**" + (f", where there is: {escape(truth)}" if truth else ""))
    order = np.argsort(-here, kind="stable")[:TOP]
    spoken = ", ".join(f"{classes[k]} {format_percent(float(here[k]))}" for k in order)
    live_chart(
        plots.draw_probabilities(here.tolist(), classes, top=TOP),
        key="segment_point_chart",
        alt=f"The likeliest classes at row {row}, column {column}: {spoken}",
        height=44 + 30 * len(order),
        version=f"{version} {row} {column}",
    )
    if settings.smoothing == "majority":
        st.caption("These are the probabilities before the majority is taken.")
