"""Two runs that label pixels: the overlap of each class, and the test images that one of them draws better."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from playground.comparison import masks
from playground.comparison.masks import MaskComparison
from playground.data.catalog import DataError
from playground.errors import PlaygroundError
from playground.plots.masks import find_clear_class, overlay_mask, to_rgb
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.sheets import Picture, make_image_picture, sheets
from playground.ui.pages.compare.sides import Side
from playground.ui.pages.inside.context import key_of_weights
from playground.ui.pages.segment.fixed_images import SMALL, classes_in, enlarged, test_images
from playground.ui.pages.segment.legend import legend

CHOSEN = "compare_mask"
OPACITY = 0.7


def draw(a: Side, b: Side, classes: Sequence[str], same: bool) -> None:
    """Draw the view.

    Args:
        a, b: the two, of the same classes.
        same: whether they were judged on the same test images.
    """
    first, second = masks.compute_overlaps(a.counts), masks.compute_overlaps(b.counts)
    st.markdown(verdict(_mean(first), _mean(second), same))
    _table(first, second, classes)
    if not same or a.masks is None or b.masks is None:  # why there are none was said where they were read
        return
    try:
        images, truth = test_images(a.run, a.masks[: len(b.masks)])
        found = masks.compare_masks(a.masks, b.masks, truth)
    except DataError as error:
        st.caption(f":material/cloud: The images cannot be shown: {escape(str(error))}.")
    except PlaygroundError as error:
        st.caption(f":material/warning: {escape(str(error))}")
    else:
        _pictures(a, b, found, images, truth, classes)


def _mean(overlaps: np.ndarray) -> float:
    """Return the mean IoU; NaN does not count."""
    return float(np.nanmean(overlaps)) if not np.isnan(overlaps).all() else 0.0


def verdict(first: float, second: float, same: bool) -> str:
    """Say which is better, and what that is worth."""
    figures = f"**A** reaches a mean IoU of {format_percent(first)} and **B** of {format_percent(second)}"
    if not same:
        return f"Each on its own test images, {figures}: images of different data sets cannot be compared one by one."
    return (
        f"On the same test images {figures}: {100 * (second - first):+.1f} points. Pixels side by side are right or "
        "wrong together, so no test of single pixels can tell whether that is chance; more seeds can, under “Luck or "
        "not”."
    )


def _table(first: np.ndarray, second: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the IoU of each class that occurs, and their mean."""
    occurs = ~(np.isnan(first) & np.isnan(second))
    rows = [(name, x, y) for name, x, y, has in zip(classes, first, second, occurs, strict=True) if has]
    rows.append(("Mean", _mean(first), _mean(second)))
    percents = st.column_config.NumberColumn(format="%.1f %%")
    st.dataframe(
        {
            "Class": [name for name, _, _ in rows],
            "A": [100 * x for _, x, _ in rows],
            "B": [100 * y for _, _, y in rows],
            "B − A": [100 * (y - x) for _, x, y in rows],
        },
        hide_index=True,
        height="content",
        width="content",
        key="compare_classes",
        column_config={"A": percents, "B": percents, "B − A": st.column_config.NumberColumn(format="%+.1f points")},
        alt="Intersection over union of each class, of A and of B",
    )
    st.caption("Intersection over union of each class, over all test images; pixels without a class do not count.")


def _pictures(
    a: Side, b: Side, found: MaskComparison, images: np.ndarray, truth: np.ndarray, classes: Sequence[str]
) -> None:
    """Draw the images whose masks are kept, those first on which the two differ most, and one of them large."""
    assert a.masks is not None and b.masks is not None
    order = found.order.tolist()
    wanted = st.session_state.get(CHOSEN)
    chosen = wanted if isinstance(wanted, int) and wanted in order else order[0]
    st.markdown(
        f"**The {len(order)} test images whose masks are kept**, those first on which the two differ most: who gets "
        "more of the pixels right, by how many points"
    )
    key = f"{key_of_weights(a.run, a.epoch)} {key_of_weights(b.run, b.epoch)}"
    sheets(
        _strip(key, chosen, found, images),
        key="compare_masks",
        label="Test images by how much the two differ",
        on_pick=lambda name, *_: st.session_state.update({CHOSEN: int(name)}),
    )
    masks = a.masks[chosen], b.masks[chosen]
    right = float(found.right_a[chosen]), float(found.right_b[chosen])
    clear = find_clear_class(classes)
    sheets(
        _large(key, chosen, images[chosen], truth[chosen], masks, right, clear),
        key="compare_masks_large",
        label=f"Test image {chosen}: the image, the truth, and the masks of A and B",
    )
    for side, mask, column in zip((a, b), masks, st.columns(2), strict=True):
        with column:
            st.caption(f"The classes of {side.letter}")
            legend(mask, classes, truth[chosen], clear)


def better(first: float, second: float) -> str:
    """Say who gets more right, by how many points: "B +3.1"."""
    points = 100 * (second - first)
    return "±0.0" if abs(points) < 0.05 else f"{'B' if points > 0 else 'A'} +{abs(points):.1f}"


@st.cache_resource(max_entries=64, show_spinner=False)
def _strip(key: str, chosen: int, _found: MaskComparison, _images: np.ndarray) -> list[Picture]:
    pictures = []
    for i in _found.order.tolist():
        note = better(_found.right_a[i], _found.right_b[i])
        pixels = to_rgb(_images[i])
        box = (0, 0, pixels.shape[1], pixels.shape[0]) if i == chosen else None
        alt = f"Test image {i}: {note} points"
        pictures.append(
            make_image_picture(pixels, str(i), alt, note=note, width=SMALL, pick=True, unit="image", box=box)
        )
    return pictures


@st.cache_resource(max_entries=64, show_spinner=False)
def _large(
    key: str,
    number: int,
    _image: np.ndarray,
    _truth: np.ndarray,
    _masks: tuple[np.ndarray, np.ndarray],
    _right: tuple[float, float],
    _clear: int | None,
) -> list[Picture]:
    rgb = to_rgb(_image)
    made = [
        ("The image", rgb, f"Test image {number}"),
        ("The truth", overlay_mask(rgb, _truth, OPACITY, _clear), classes_in(_truth)),
    ]
    for letter, mask, right in zip("AB", _masks, _right, strict=True):
        made.append(
            (letter, overlay_mask(rgb, mask, OPACITY, _clear), f"{format_percent(right)} of the pixels are right")
        )
    return enlarged(made)
