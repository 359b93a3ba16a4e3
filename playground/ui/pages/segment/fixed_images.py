"""What a network that labels pixels makes of fixed test images, epoch by epoch, beside the truth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from scipy import ndimage

from playground.comparison.remedies import read_mask_metrics
from playground.data import catalog, shapes, store
from playground.data.catalog import DataError
from playground.events import EpochRow
from playground.metrics import IGNORE, scores
from playground.metrics.mask_scores import MASK_METRICS
from playground.plots import NEUTRAL, TEMPLATE, TEST, Figure, make_line
from playground.plots.masks import find_clear_class, mark_errors, overlay_mask, to_rgb
from playground.runs import RunFolder
from playground.ui.common import run_views
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.live_chart import live_chart
from playground.ui.components.sheets import Picture, make_image_picture, sheets
from playground.ui.pages.inside.context import key_of_weights, open_test_set
from playground.ui.pages.segment.legend import legend

CHOSEN = "segment_image"
SMALL, LARGE = 92, 260
"""Widths of pictures on the screen."""
MANY = 24
"""A table of more classes than this scrolls."""
ERROR_WORDS = (
    "In the pictures of errors what is wrong is red, and what is right is the image, greyed and greenish; flat grey is "
    "left out, as it has no true class or is no boundary (no nearer than two pixels to another class). The mean IoU of "
    "an image is over the classes of its truth."
)
CURVES = {"iou": TEST, "boundary_f1": NEUTRAL}


def draw(run: RunFolder, epoch: int) -> None:
    """Draw the view.

    Raises:
        RunError, DataError: the masks or the test images are not there.
    """
    masks, classes = run.masks(epoch), run.dataset.classes
    images, truth = test_images(run, masks)
    chosen = min(st.session_state.get(CHOSEN, 0), len(masks) - 1)
    st.markdown(
        f"**Test images after epoch {epoch}**, each with its mean IoU; click one to see it large, or move with the "
        "arrow keys"
    )
    strip = [_small(run, epoch, i, images[i], masks[i], truth[i]) for i in range(len(masks))]
    strip[chosen] = replace(strip[chosen], box=(0, 0, *strip[chosen].size))
    sheets(
        strip,
        key="segment_strip",
        label="Test images with what the network sees in them",
        on_pick=lambda name, *_: st.session_state.update({CHOSEN: int(name)}),
    )
    opacity = st.slider(
        "Opacity",
        0.0,
        1.0,
        0.7,
        0.05,
        key="segment_opacity",
        persist_state="session",
        width=240,
        help="How strongly the mask covers the image.",
    )
    large = _large(images[chosen], masks[chosen], truth[chosen], opacity, find_clear_class(classes))
    sheets(large, key="segment_large", label="One test image")
    legend(masks[chosen], classes, truth[chosen], find_clear_class(classes))
    st.caption(ERROR_WORDS)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        _figures(run, epoch)
    with right:
        _per_class(run, epoch, classes)


def test_images(run: RunFolder, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first test images (n, C, H, W), of which the run gave these masks (n, H, W), and their true masks.

    Raises:
        DataError: they are not on this machine, or another data set is there under the name of the run's.
    """
    count = len(masks)
    if run.predictions_dataset == "shapes" and not catalog.is_ready("shapes"):
        return _drawn(count)  # the whole set takes seconds, and may never be asked for
    data = open_test_set(run)
    images, truth = np.asarray(data.test_images[:count]), np.asarray(data.test_targets[:count])
    if truth.shape != masks.shape:
        raise DataError(f"{data.info.title} on this machine is not the data set that the run was judged on")
    return images, truth


@st.cache_resource(max_entries=2, show_spinner=False)
def _drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    return shapes.first_test_images(count)


def _overlap(pred: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean IoU of one image, over the classes of its truth."""
    known = truth != IGNORE
    counts = scores.count_confusion(truth[known], pred[known], int(max(pred.max(), truth[known].max(initial=0))) + 1)
    occurs = counts.sum(1) > 0
    return float(scores.compute_iou(counts)[occurs].mean()) if occurs.any() else 0.0


@st.cache_resource(max_entries=2048, show_spinner=False)
def _picture(
    key: str, number: int, clear: int | None, _image: np.ndarray, _mask: np.ndarray, _truth: np.ndarray
) -> Picture:
    note = f"IoU {format_percent(_overlap(_mask, _truth), 0)}"
    shown = overlay_mask(to_rgb(_image), _mask, 0.6, clear)
    return make_image_picture(
        shown, str(number), f"Test image {number}, mean {note}", note=note, width=SMALL, pick=True, unit="image"
    )


def _small(run: RunFolder, epoch: int, number: int, image: np.ndarray, mask: np.ndarray, truth: np.ndarray) -> Picture:
    clear = find_clear_class(run.dataset.classes)
    return _picture(key_of_weights(run, epoch), number, clear, image, mask, truth)


def _large(image: np.ndarray, mask: np.ndarray, truth: np.ndarray, opacity: float, clear: int | None) -> list[Picture]:
    rgb, known = to_rgb(image), truth != IGNORE
    wrong = (mask != truth) & known
    at_edges = _edges(truth) | _edges(mask)
    shares = f"{format_percent(float(wrong.sum() / max(known.sum(), 1)))} of the pixels are wrong"
    near = f"{format_percent(float((wrong & at_edges).sum() / max(wrong.sum(), 1)), 0)} of the errors lie here"
    made = [
        ("The image", rgb, f"{rgb.shape[1]} × {rgb.shape[0]} pixels"),
        ("The truth", overlay_mask(rgb, truth, opacity, clear), classes_in(truth)),
        (
            "What the network says",
            overlay_mask(rgb, mask, opacity, clear),
            f"mean IoU {format_percent(_overlap(mask, truth), 0)}",
        ),
        ("Errors", mark_errors(rgb, wrong, known), shares),
        ("Errors at boundaries", mark_errors(rgb, wrong & at_edges, known & at_edges), near),
    ]
    return enlarged(made)


def classes_in(truth: np.ndarray) -> str:
    """Say how many classes a mask shows: "3 classes"."""
    count = len(np.unique(truth[truth != IGNORE]))
    return f"{count} class{'es' if count != 1 else ''}"


def enlarged(made: Sequence[tuple[str, np.ndarray, str]]) -> list[Picture]:
    """Return pictures of (title, pixels uint8 (H, W, 3), note), each pixel drawn as a square."""
    pictures = []
    for title, pixels, note in made:
        factor = max(1, LARGE // pixels.shape[1])
        big = pixels.repeat(factor, 0).repeat(factor, 1)
        pictures.append(make_image_picture(big, title, f"{title}. {note}", title=title, note=note, width=LARGE))
    return pictures


def _edges(mask: np.ndarray) -> np.ndarray:
    """Mark what is within two pixels of another class: (H, W) bool."""
    return ndimage.maximum_filter(mask, 5) != ndimage.minimum_filter(mask, 5)


def _row(run: RunFolder, epoch: int) -> EpochRow | None:
    return next((row for row in run_views.watch_run(run).feed.epochs if row.epoch == epoch), None)


def _figures(run: RunFolder, epoch: int) -> None:
    """Draw the figures at this epoch, and how they moved."""
    rows = run_views.watch_run(run).feed.epochs
    if row := _row(run, epoch):
        found = read_mask_metrics(row)
        st.markdown(f"**All test images together**, after epoch {epoch}")
        with st.grid(3, min_column_width=120, gap="small"):
            for name in ("iou", "dice", "worst_iou", "boundary_f1", "accuracy"):
                title, help = MASK_METRICS[name]
                st.metric(title, format_percent(found[name]), help=help)
    values = {name: [read_mask_metrics(row)[name] for row in rows] for name in CURVES}
    spoken = ", ".join(f"{MASK_METRICS[name][0]} {format_percent(values[name][-1])}" for name in CURVES if rows)
    live_chart(
        _curve([row.epoch for row in rows], values, epoch, run.id),
        key="segment_curve",
        alt=f"Figures on the test images over {len(rows)} epochs; at the end {spoken}",
        height=230,
        version=f"{run.id} {len(rows)} {epoch}",
    )


def _curve(epochs: list[int], values: dict[str, list[float]], epoch: int, revision: str) -> Figure:
    x = np.array(epochs, float)
    traces = [
        make_line(
            x,
            100 * np.array(values[name]),
            MASK_METRICS[name][0],
            colour,
            mode="lines+markers",
            hovertemplate="%{y:.1f} %",
        )
        for name, colour in CURVES.items()
    ]
    cursor = {"type": "line", "x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
    layout = {
        "template": TEMPLATE,
        "uirevision": revision,
        "title": {"text": "On the test images"},
        "xaxis": {"title": {"text": "epoch", "font": {"size": 11}, "standoff": 4}, "nticks": 8},
        "yaxis": {"range": [0, 101], "ticksuffix": " %", "nticks": 6},
        "shapes": [cursor | {"line": {"color": NEUTRAL, "width": 1.5}}],
    }
    return {"data": traces, "layout": layout}


def _per_class(run: RunFolder, epoch: int, classes: tuple[str, ...]) -> None:
    """Draw a table of the classes, over all test images."""
    row = _row(run, epoch)
    if not row:
        return
    counts = np.asarray(row.confusion)
    share = counts.sum(1) / max(counts.sum(), 1)
    columns = {"Pixels": share, "IoU": scores.compute_iou(counts), "Dice": scores.compute_f1(counts)}
    columns |= {"Precision": scores.compute_precision(counts), "Recall": scores.compute_recall(counts)}
    st.dataframe(
        {"Class": classes} | {name: 100 * values for name, values in columns.items()},
        hide_index=True,
        height="content" if len(classes) <= MANY else "auto",
        key="segment_classes",
        alt="Of each class: its share of the pixels, IoU, Dice, precision and recall",
        column_config={name: st.column_config.NumberColumn(format="%.1f %%") for name in columns},
    )
    st.caption(
        f"Over all test images of {escape(store.title_of(run.predictions_dataset))}; "
        "pixels without a class do not count."
    )
