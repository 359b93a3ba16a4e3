"""An image and its mask, cut and shrunk alike."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def fit_pair(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut the same middle out of an image and its mask, and resize both, the mask without mixing its values.

    Args:
        image: uint8 (H, W, 3); mask: uint8 (H, W), or of another size with the same ratio of sides.

    Returns:
        uint8 (3, height, width) and (height, width).
    """
    cut = Image.fromarray(_middle(image, height, width)).resize((width, height), Image.Resampling.BILINEAR)
    labels = Image.fromarray(_middle(mask, height, width)).resize((width, height), Image.Resampling.NEAREST)
    return np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1)), np.asarray(labels)


def common_shape(shapes: Sequence[tuple[int, int]], size: int) -> tuple[int, int]:
    """Return (height, width): the commonest ratio of sides, the longer one `size`."""
    (height, width), _ = Counter(shapes).most_common(1)[0]
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def lies_on(mask: tuple[int, int], image: tuple[int, int]) -> bool:
    """Say whether a mask's sides have the ratio of its image's, but for the rounding of a mask that was shrunk."""
    return abs(mask[0] * image[1] - mask[1] * image[0]) < max(image)


def _middle(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut out the largest middle part that has the sides' ratio."""
    scale = min(pixels.shape[0] / height, pixels.shape[1] / width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (pixels.shape[0] - tall) // 2, (pixels.shape[1] - wide) // 2
    return pixels[top : top + tall, left : left + wide]
