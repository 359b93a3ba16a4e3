"""Masks as pictures: a colour for each class, laid over the image or beside it."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.plots.style import RIGHT, WRONG, color_class

UNKNOWN = (128, 128, 128)
"""What a pixel without a class looks like."""


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


PALETTE: NDArray[np.uint8] = np.array([_rgb(color_class(i)) for i in range(255)] + [UNKNOWN], np.uint8)
"""(256, 3), the colour of each value of a mask."""


def color_mask(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask (H, W) in the colours of its classes, (H, W, 3)."""
    return PALETTE[mask]


def to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (C, H, W) of one or three channels as (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))


def overlay_mask(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], opacity: float, clear: int | None = None
) -> NDArray[np.uint8]:
    """Lay a mask (H, W) over its image (H, W, 3); at opacity 0 the image alone is seen, at 1 the mask alone.

    Args:
        clear: the class that leaves the image as it is.
    """
    weight = np.where(mask == clear, 0.0, np.clip(opacity, 0, 1)).astype(np.float32)[..., None]
    return np.rint(image + (PALETTE[mask].astype(np.float32) - image) * weight).astype(np.uint8)


def find_clear_class(classes: Sequence[str]) -> int | None:
    """Return the class that is no thing but what is behind all things, if the first is called so."""
    return 0 if classes and classes[0].lower() in ("background", "void", "other") else None


def mark_errors(image: NDArray[np.uint8], wrong: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Show what is wrong in red on a faint grey image (H, W, 3), and what has no true class as flat grey.

    Args:
        wrong, known: (H, W).
    """
    grey = image.mean(2, keepdims=True).repeat(3, 2) * 0.5 + np.array(_rgb(RIGHT)) * 0.25 + 32
    shown = np.where(wrong[..., None], _rgb(WRONG), grey)
    return np.where(known[..., None], shown, UNKNOWN).clip(0, 255).astype(np.uint8)


def indexed_png(mask: NDArray[np.uint8]) -> bytes:
    """Write a mask (H, W) as an indexed PNG: the pixel values are the classes, the palette their colours."""
    image = Image.frombytes("P", (mask.shape[1], mask.shape[0]), np.ascontiguousarray(mask).tobytes())
    image.putpalette(PALETTE.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
