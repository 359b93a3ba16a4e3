"""A photo's mask, by a network that labels pixels, at the photo's own resolution."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image

from playground import images
from playground.comparison import remedies
from playground.images import ImageError
from playground.inference.preprocess import offer_sides, restore_size
from playground.metrics.mask_scores import class_fractions
from playground.plots.masks import find_clear_class, indexed_png, overlay_mask
from playground.runs import RunFolder
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.sheets import make_image_picture, sheets
from playground.ui.pages.inside.context import key_of_image, key_of_weights
from playground.ui.pages.segment.legend import legend


@dataclass(frozen=True)
class Photo:
    """An upload: its file's name, pixels (h, w, 3) as they are computed, the (height, width) of the file, the file."""

    name: str
    pixels: np.ndarray
    size: tuple[int, int]
    data: Callable[[], bytes]


SCALES = {"one": (1.0,), "three": remedies.SCALES["around"]}
WIDTH = 480


def draw(run: RunFolder, epoch: int) -> None:
    """Draw the view.

    Raises:
        InferenceError: the run cannot predict.
    """
    left, right = st.columns([1, 2.4], gap="medium")
    with left:
        photo = _upload()
        if photo is None:
            return
        side, scales, opacity = _settings(run, photo.pixels)
    with right:
        _result(run, epoch, photo, side, SCALES[scales], opacity)


def _upload() -> Photo | None:
    # Any type may be chosen: a file that is no photo is told what it is.
    file = st.file_uploader(
        "A photo: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF",
        key="segment_photo",
        max_upload_size=images.MAX_BYTES >> 20,
        help="It stays in this session and is not kept.",
    )
    if file is None:
        st.caption("Choose a photo, or drop one here: each of its pixels gets a class.")
        return None
    try:
        pixels, size = _read(file.getvalue())
        return Photo(file.name, pixels, size, file.getvalue)
    except ImageError as error:
        st.error(escape(str(error)), icon=":material/broken_image:")
        return None


@st.cache_data(max_entries=8, show_spinner=False)
def _read(data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
    return images.read_photo(data)


def _settings(run: RunFolder, pixels: np.ndarray) -> tuple[int, str, float]:
    """Let a person choose the longer side that the network sees, the scales, and how strongly the mask covers."""
    own = max(pixels.shape[:2])
    trained = max(run.dataset.shape[1:])
    sizes = offer_sides(pixels, run.dataset)
    side = st.select_slider(
        "Seen at",
        sizes,
        sizes[0],
        format_func=lambda side: (
            f"{side} px" + (", as trained" if side == trained else ", its own" if side == own else "")
        ),
        key=f"segment_side_{run.id}_{own}",
        help="The longer side of what the network is shown. Trained on small images, it knows things at their size "
        "there; at the photo's own resolution it sees finer edges and larger shapes than it learned.",
    )
    scales = st.segmented_control(
        "Scales",
        list(SCALES),
        format_func=lambda name: {"one": "One", "three": "Three, averaged"}[name],
        key="segment_scales",
        default="one",
        required=True,
        persist_state="session",
        help="Averaging what it says at 0.75, 1 and 1.25 times the size; it helps a little if the picture is sharp.",
    )
    opacity = st.slider(
        "Opacity",
        0.0,
        1.0,
        0.6,
        0.05,
        key="segment_photo_opacity",
        persist_state="session",
        help="How strongly the mask covers the photo.",
    )
    return int(side), scales, opacity


@st.cache_resource(max_entries=8, show_spinner="Labelling each pixel …")
def _labelled(
    key: str, _run: RunFolder, _epoch: int, _pixels: np.ndarray, side: int, scales: tuple[float, ...]
) -> np.ndarray:
    """Return the mask (h, w) of the pixels."""
    from playground.inference.segment import label_photo

    return label_photo(_run, _epoch, _pixels, side, scales)


def _result(run: RunFolder, epoch: int, photo: Photo, side: int, scales: tuple[float, ...], opacity: float) -> None:
    pixels, name = photo.pixels, photo.name
    classes = run.dataset.classes
    mask = _labelled(f"{key_of_weights(run, epoch)} {key_of_image(pixels)}", run, epoch, pixels, side, scales)
    height, width = photo.size
    covered = overlay_mask(pixels, mask, opacity, find_clear_class(classes))
    found = class_fractions(mask, len(classes))
    largest = int(found.argmax())
    words = f"{classes[largest]} covers {format_percent(float(found[largest]))}"
    step = max(1, max(mask.shape) // 1024)  # the page needs no more; the downloads are whole
    pictures = [
        make_image_picture(
            pixels[::step, ::step], "photo", name, title=name, note=f"{width:,} × {height:,} pixels", width=WIDTH
        ),
        make_image_picture(
            covered[::step, ::step], "mask", f"{name} with its mask: {words}", title="Its mask", note=words, width=WIDTH
        ),
    ]
    sheets(pictures, key="segment_photo_pictures", label="The photo and its mask")
    legend(mask, classes, clear=find_clear_class(classes))
    stem = name.rsplit(".", 1)[0][:60] or "photo"
    with st.container(horizontal=True):
        st.download_button(
            "Mask as PNG",
            lambda: indexed_png(restore_size(mask, photo.size)),
            f"{stem}-mask.png",
            "image/png",
            icon=":material/download:",
            key="segment_download_mask",
            help="One byte a pixel, the number of its class in the data set's order; with a palette.",
        )
        st.download_button(
            "Overlay as PNG",
            lambda: _png(Image.fromarray(whole_overlay(photo, mask, opacity, find_clear_class(classes)))),
            f"{stem}-overlay.png",
            "image/png",
            icon=":material/download:",
            key="segment_download_overlay",
            help="The photo with its mask, as it is shown.",
        )


def whole_overlay(photo: Photo, mask: np.ndarray, opacity: float, clear: int | None) -> np.ndarray:
    """Lay the mask over the photo at its own resolution, for which the file is read anew: uint8 (height, width, 3)."""
    return overlay_mask(images.read_image(photo.data()), restore_size(mask, photo.size), opacity, clear)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
