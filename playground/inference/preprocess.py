"""A photo → what a network of a data set reads, and from there back to the photo's own size. Without torch."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground import images
from playground.data.catalog import DatasetInfo


def crop_square(photo: NDArray[np.uint8], dataset: DatasetInfo) -> NDArray[np.uint8]:
    """Return what a network that labels whole images reads: the photo's centred square, as small as it was trained on.

    Args:
        photo: uint8 (h, w, 3), as `images.read_photo` gives it.

    Returns:
        uint8 (C, size, size).
    """
    return images.fit_to(photo, dataset.size, dataset.channels)


def offer_sides(photo: NDArray[np.uint8], dataset: DatasetInfo) -> list[int]:
    """Return at which longer sides a network that labels pixels may read a photo (h, w, 3), in pixels, ascending.

    The first is the one to take unasked: what it was trained on, or the photo's own where that is smaller, for a
    network knows things at the size that they had there. The last is the photo's own.
    """
    own, trained = max(photo.shape[:2]), max(dataset.shape[1:])
    return sorted({own, *(side for side in (trained, 2 * trained, 4 * trained) if side < own)})


def resize_to_side(photo: NDArray[np.uint8], dataset: DatasetInfo, side: int) -> NDArray[np.uint8]:
    """Return what a network that labels pixels reads: the whole photo, resized.

    Args:
        photo: uint8 (h, w, 3).
        side: the longer side of the result, in pixels.

    Returns:
        uint8 (C, h', w').
    """
    height, width = photo.shape[:2]
    shown = Image.fromarray(photo)
    if (factor := side / max(height, width)) != 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        shown = shown.resize(size, Image.Resampling.BILINEAR, reducing_gap=3)
    if dataset.channels == 1:
        shown = shown.convert("L")
    return np.ascontiguousarray(np.atleast_3d(np.asarray(shown)).transpose(2, 0, 1))


def restore_size(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a mask (h, w) to a photo's (height, width); each pixel takes the class of the nearest, so none is new."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
