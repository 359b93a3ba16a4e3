"""What a person chooses for the view of regions: an image, and how to slide over it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground import images
from playground.data.catalog import DataError
from playground.data.scenes import MAX_REGIONS, Mosaic, compose_scene
from playground.images import ImageError
from playground.runs import RunFolder
from playground.ui.common.escape import escape
from playground.ui.pages.inside.context import open_test_set

if TYPE_CHECKING:
    from playground.inference.sliding_window import Classifier, Fusion, How, Smoothing

LONGEST = 512
"""Pixels of a photo's longer side; a larger one is shrunk."""
STRIDES = (1, 2, 4, 8, 16, 32)
SPREAD = 1.5
"""From one scale to the next."""
SOURCES = {"scene": ":material/texture: Composed scene", "upload": ":material/upload: Upload"}
HOWS = {"windows": "Exact", "one pass": "Fast"}
SMOOTHINGS = {"none": "None", "majority": "Majority", "gaussian": "Gaussian"}


@dataclass(frozen=True, eq=False)
class Shown:
    """The image that is looked at.

    Attributes:
        pixels: uint8 (H, W, 3); labels: (H, W), the true class of each pixel, where it is known.
        title: what to call it.
    """

    pixels: np.ndarray
    title: str
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Settings:
    """What a person set; sizes and the stride in pixels of the image."""

    regions: tuple[int, ...]
    stride: int
    how: "How"
    fusion: "Fusion"
    smoothing: "Smoothing"
    side: int


def segments(label: str, options: dict[str, str], key: str, help: str | None = None, default: str = "") -> str:
    """Let a person choose one of a few ways, the first one unasked or `default`; `options` is {value: title}."""
    return st.segmented_control(
        label,
        list(options),
        format_func=lambda value: options[value],
        key=key,
        default=default or next(iter(options)),
        required=True,
        persist_state="session",
        help=help,
        wrap=True,
    )


def source(run: RunFolder, size: int) -> Shown | None:
    """Let a person choose an image: a scene of the run's test images, or a file.

    Args:
        size: the side of the network's input in pixels.
    """
    if segments("Image", SOURCES, "segment_source") == "upload":
        return _upload()
    columns = st.columns(2)
    with columns[0]:
        seed = st.number_input(
            "Scene", 0, 9999, 0, key="segment_seed", persist_state="session", help="Each number is another scene."
        )
    with columns[1]:
        regions = st.number_input(
            "Areas",
            1,
            MAX_REGIONS,
            6,
            key="segment_areas",
            persist_state="session",
            help="How many areas the scene has, each of test images of one class; the true map is known.",
        )
    try:
        data = open_test_set(run)
    except DataError as error:
        st.error(f"{escape(str(error))}. Upload a photo instead.", icon=":material/error:")
        return None
    side = int(np.clip(8 * size, 256, LONGEST))
    composed = _composed(
        f"{data.info.name} {data.info.mean} {seed} {regions} {side}", data.test_images, data.test_targets, seed, regions
    )
    return Shown(composed.image, f"Scene {seed}", composed.labels)


@st.cache_resource(max_entries=32, show_spinner=False)
def _composed(key: str, _images: np.ndarray, _targets: np.ndarray, _seed: int, _regions: int) -> Mosaic:
    return compose_scene(_images, _targets, seed=_seed, regions=_regions, size=int(key.split()[-1]))


def _upload() -> Shown | None:
    # Any type may be chosen: a file that is no photo is told what it is.
    file = st.file_uploader(
        "A photo: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF",
        key="segment_upload",
        max_upload_size=images.MAX_BYTES >> 20,
        help="It stays in this session and is not kept.",
    )
    if file is None:
        st.caption("Choose a photo, or drop one here.")
        return None
    try:
        pixels, before = _read(file.getvalue())
    except ImageError as error:
        st.error(escape(str(error)), icon=":material/broken_image:")
        return None
    if before != pixels.shape[:2]:
        st.caption(f"Shrunk from {before[1]:,} × {before[0]:,} to {pixels.shape[1]} × {pixels.shape[0]} pixels.")
    return Shown(pixels, file.name)


@st.cache_data(max_entries=16, show_spinner=False)
def _read(data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the photo, at most `LONGEST` on its longer side, and its (height, width) before."""
    return images.read_photo(data, LONGEST)


def settings(who: "Classifier") -> Settings:
    """Let a person set how the network slides over the image."""
    size = who.size
    step = max(1, size // 8)
    region = st.slider(
        "Region size",
        size // 2,
        4 * size,
        3 * size // 2,
        step,
        format="%d px",
        key=f"segment_region_{size}",
        persist_state="session",
        help=f"How much of the image the network sees at once. It is resized to the network's {size} × {size} pixels.",
    )
    stride = st.select_slider(
        "Stride",
        STRIDES,
        8,
        format_func=lambda px: f"{px} px",
        key="segment_stride",
        persist_state="session",
        help="From one region to the next. A smaller one draws finer, and costs more.",
    )
    scales = int(
        segments(
            "Scales",
            {"1": "1", "2": "2", "3": "3"},
            "segment_scales",
            f"Look with regions of several sizes, each {SPREAD} times the one before.",
            default="2",
        )
    )
    regions = tuple(sorted({round(region * SPREAD**power) for power in ((0,), (0, 1), (-1, 0, 1))[scales - 1]}))
    fusion = "mean"
    if len(regions) > 1:
        st.caption(f"Regions of {' and '.join(map(str, regions))} pixels")
        fusion = segments(
            "Fusion",
            {"mean": "Mean", "max": "Max"},
            "segment_fusion",
            "Of the scales' probabilities: their mean, or each class's highest, scaled to add up to 100 % again.",
        )
    return Settings(regions, stride, _how(who), fusion, *_smoothing())  # ty: ignore[invalid-argument-type]


def _smoothing() -> tuple[str, int]:
    smoothing = segments(
        "Smoothing",
        SMOOTHINGS,
        "segment_smoothing",
        "Majority: each pixel takes the most frequent label around it. Gaussian: the probabilities are blurred, with a "
        "σ of a quarter of the size.",
        default="gaussian",
    )
    side = 0
    if smoothing != "none":
        side = st.slider(
            "Smoothing size",
            3,
            63,
            31,
            2,
            format="%d px",
            key="segment_side",
            persist_state="session",
            help="The side of the square, in pixels, within which labels are smoothed.",
        )
    return smoothing, side


def _how(who: "Classifier") -> "How":
    """Say how the windows are computed; where the network's padding makes one pass inexact, let a person choose."""
    from playground.inference.sliding_window import check_convertibility

    found = check_convertibility(who.net)
    if found.exact:
        return "one pass"
    if not found.possible:
        st.info(f"{found.why}: each region is computed by itself.", icon=":material/info:")
        return "windows"
    return segments(  # ty: ignore[invalid-explicit-return]
        "Computation",
        HOWS,
        "segment_how",
        f"{found.why}, so one pass over the image gives something else. Exact: each region by itself, which takes "
        "tens of times as long. Fast: one pass, in which a region sees its neighbours in place of the zeros. For a "
        "network with padding 0 the two are the same.",
    )
