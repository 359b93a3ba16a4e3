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
from playground.plots.masks import PALETTE, clear_class, laid_over
from playground.runs import RunFolder
from playground.ui.common.escape import escape
from playground.ui.common.pickers import percent
from playground.ui.components.sheets import of_image, sheets
from playground.ui.pages.inside.context import image_key, weights_key
from playground.ui.pages.segment.legend import legend, shares


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
    from playground.inference.load import dataset_of

    own = max(pixels.shape[:2])
    trained = max(dataset_of(run)[0].shape[1:])
    sizes = sorted({own, *(side for side in (trained, 2 * trained, 4 * trained) if side < own)})
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
    from playground.inference.load import dataset_of
    from playground.inference.segment import pixel_probs

    height, width = _pixels.shape[:2]
    shown = Image.fromarray(_pixels)
    if (factor := side / max(height, width)) != 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        shown = shown.resize(size, Image.Resampling.BILINEAR, reducing_gap=3)
    if dataset_of(_run)[0].channels == 1:
        shown = shown.convert("L")
    seen = np.atleast_3d(np.asarray(shown)).transpose(2, 0, 1)
    mask = pixel_probs(_run, _epoch, np.ascontiguousarray(seen), scales).argmax(0).astype(np.uint8)
    return enlarged(mask, (height, width))


def _result(run: RunFolder, epoch: int, photo: Photo, side: int, scales: tuple[float, ...], opacity: float) -> None:
    from playground.inference.load import dataset_of

    pixels, name = photo.pixels, photo.name
    classes = dataset_of(run)[0].classes
    mask = _labelled(f"{weights_key(run, epoch)} {image_key(pixels)}", run, epoch, pixels, side, scales)
    height, width = photo.size
    covered = laid_over(pixels, mask, opacity, clear_class(classes))
    found = shares(mask, len(classes))
    largest = int(found.argmax())
    words = f"{classes[largest]} covers {percent(float(found[largest]))}"
    step = max(1, max(mask.shape) // 1024)  # the page needs no more; the downloads are whole
    pictures = [
        of_image(pixels[::step, ::step], "photo", name, title=name, note=f"{width:,} × {height:,} pixels", width=WIDTH),
        of_image(
            covered[::step, ::step], "mask", f"{name} with its mask: {words}", title="Its mask", note=words, width=WIDTH
        ),
    ]
    sheets(pictures, key="segment_photo_pictures", label="The photo and its mask")
    legend(mask, classes, clear=clear_class(classes))
    stem = name.rsplit(".", 1)[0][:60] or "photo"
    with st.container(horizontal=True):
        st.download_button(
            "Mask as PNG",
            lambda: indexed_png(enlarged(mask, photo.size)),
            f"{stem}-mask.png",
            "image/png",
            icon=":material/download:",
            key="segment_download_mask",
            help="One byte a pixel, the number of its class in the data set's order; with a palette.",
        )
        st.download_button(
            "Overlay as PNG",
            lambda: _png(Image.fromarray(whole_overlay(photo, mask, opacity, clear_class(classes)))),
            f"{stem}-overlay.png",
            "image/png",
            icon=":material/download:",
            key="segment_download_overlay",
            help="The photo with its mask, as it is shown.",
        )


def enlarged(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring a mask (h, w) uint8 to the photo's own (height, width)."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def whole_overlay(photo: Photo, mask: np.ndarray, opacity: float, clear: int | None) -> np.ndarray:
    """Lay the mask over the photo at its own resolution, for which the file is read anew: uint8 (height, width, 3)."""
    return laid_over(images.read_image(photo.data()), enlarged(mask, photo.size), opacity, clear)


def indexed_png(mask: np.ndarray) -> bytes:
    """Write a mask (H, W) uint8 as an indexed PNG: the pixel values are the classes, the palette their colours."""
    image = Image.frombytes("P", (mask.shape[1], mask.shape[0]), np.ascontiguousarray(mask).tobytes())
    image.putpalette(PALETTE.tobytes())
    return _png(image)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
