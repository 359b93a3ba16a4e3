"""What was understood of a person's zip, to be looked at before it is taken."""

import contextlib
import time
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.data.importing.layout import Item
from playground.data.importing.plan import Plan, headline
from playground.data.importing.save import read_sample
from playground.data.importing.sources import Skipped, Source, opened
from playground.images import ImageError
from playground.plots.masks import color_mask, overlay_mask, to_rgb
from playground.tasks import TASKS
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.gallery import pixels_url
from playground.ui.pages.segment.legend import legend

MOST_CLASSES, A_CLASS, PAIRS = 24, 8, 5
"""Classes with a row of samples, samples in a row, and pairs of image and mask."""
SIDE = 64
"""Of a small sample on the screen, in pixels, about."""
PATIENCE = 5.0
"""Seconds for the samples."""


@dataclass(frozen=True)
class Samples:
    """Pictures of a plan.

    Attributes:
        rows: of some classes, the name and a row of images, uint8 (H, W, 3); of masks the images, the images under
            their masks, and the masks.
        masks: (n, H, W); empty where images have one label.
    """

    rows: dict[str, NDArray[np.uint8]]
    masks: NDArray[np.uint8]


def draw_samples(source: Source, plan: Plan) -> Samples:
    """Read a few images of each class, or a few with their masks; fewer where they are so large that it takes long."""
    groups: dict[str, list[Item]] = {name: [] for name in plan.names[:MOST_CLASSES]}
    if TASKS[plan.task].target == "mask":
        spread = np.unique(np.linspace(0, len(plan.items) - 1, PAIRS).astype(int))  # a film's neighbours are alike
        groups = {"": [plan.items[k] for k in spread]}
    else:
        for item in plan.items:
            if len(groups.get(item.label, [None] * A_CLASS)) < A_CLASS:
                groups[item.label].append(item)
    found: dict[str, list] = {name: [] for name in groups}
    until = time.monotonic() + PATIENCE
    with opened(source) as contents:
        files = {file.path: file for file in contents.files}
        for turn in range(A_CLASS):  # one of each class first
            for name, items in groups.items():
                if turn < len(items) and (time.monotonic() < until or not any(found.values())):
                    with contextlib.suppress(ImageError):  # which is said when it is taken
                        found[name].append(read_sample(plan, files, items[turn]))
    if TASKS[plan.task].target == "mask":
        return _paired(found[""])
    rows = {
        name: np.concatenate([_edged(to_rgb(image)) for image, _ in images], axis=1)
        for name, images in found.items()
        if images
    }
    return Samples(rows, np.empty((0, 1, 1), np.uint8))


def _edged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Part a picture from the next by a line of white: sky beside sky would be one picture."""
    return np.pad(picture, ((0, 1), (0, 1), (0, 0)), constant_values=255)


def _paired(found: list) -> Samples:
    if not found:
        return Samples({}, np.empty((0, 1, 1), np.uint8))
    rows = (
        [_edged(to_rgb(image)) for image, _ in found],
        [_edged(overlay_mask(to_rgb(image), mask, 0.6)) for image, mask in found],
        [_edged(color_mask(mask)) for _, mask in found],
    )
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    factor = max(1, round(SIDE / found[0][0].shape[1]))
    return Samples({"": sheet.repeat(factor, 0).repeat(factor, 1)}, np.stack([mask for _, mask in found]))


def show_headline(plan: Plan) -> None:
    """Say in a line what was understood, and what is worth knowing of it."""
    icon = ":material/texture:" if TASKS[plan.task].target == "mask" else ":material/label:"
    st.markdown(f"{icon} **Understood:** {headline(plan)}.")
    for remark in plan.remarks:
        st.caption(f":material/info: {escape(remark)}")


def show_plan(plan: Plan, samples: Samples | None) -> None:
    """Show a plan: the classes with their counts and samples, the folders, and what is left out."""
    rows = samples.rows if samples else {}
    if not rows:
        st.caption("No sample can be shown: the first images cannot be read.")
    if TASKS[plan.task].target == "mask" and samples and rows:
        left, right = st.columns([2, 3], gap="medium")
        with left:
            _show_classes(plan, {})
        with right:
            st.image(pixels_url(rows[""]), width="stretch", alt="Samples: images, masks over them, masks")
            legend(samples.masks, plan.names)
    else:
        _show_classes(plan, rows)
    _show_folders(plan)
    if plan.duplicates:
        st.caption(f"{plan.duplicates:,} images are left out because another one is the same.")
    show_left_out(plan.left_out)


def _show_classes(plan: Plan, rows: dict[str, NDArray[np.uint8]]) -> None:
    table: dict[str, list] = {"Class": list(plan.names)}
    if rows:
        table["Samples"] = [pixels_url(rows[name]) if name in rows else None for name in plan.names]
    table["To learn from"] = [count.train for count in plan.classes]
    table["To test on"] = [count.test for count in plan.classes]
    if plan.ignored is not None:
        table["Of the pixels"] = [format_percent(count.share) for count in plan.classes]
    st.dataframe(
        table,
        hide_index=True,
        column_config={"Samples": st.column_config.ImageColumn(width="large")},
        row_height=44 if rows else None,
        height="auto" if len(plan.classes) <= 9 else 450,
        alt="Classes, with samples and how many images there are of each",
    )
    if plan.ignored is not None:
        st.caption(f"{format_percent(plan.ignored)} of the pixels are ignored: they have no class.")


def _show_folders(plan: Plan) -> None:
    folders = {path: found for path, found in plan.folders.items() if found[0] != "class"}
    if folders:
        words = [f"`{path.replace('`', ' ')}`: {role}, {count:,} images" for path, (role, count) in folders.items()]
        more = f" · … and {len(words) - 12:,} more" if len(words) > 12 else ""
        st.caption(f":material/folder: {' · '.join(words[:12])}{more}")


def show_left_out(left_out: Skipped) -> None:
    """List the files that are left out, and why."""
    if not left_out:
        return
    count = len(left_out)
    with st.expander("1 file was left out" if count == 1 else f"{count:,} files were left out", key="import_skipped"):
        st.dataframe(
            {"File": [path for path, _ in left_out], "Why": [why for _, why in left_out]},
            hide_index=True,
            alt="Files that were left out, and why",
        )
