"""Two runs that label pixels: the overlap of each class, and the images that one of them draws better."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.metrics import IGNORE
from playground.metrics.scores import compute_iou
from playground.runs import RunError


def compute_overlaps(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return each class's intersection over union; NaN for one that no pixel is of, which does not count in a mean."""
    return np.where(np.asarray(confusion).sum(axis=1) > 0, compute_iou(confusion), np.nan)


@dataclass(frozen=True)
class MaskComparison:
    """What two runs A and B make of the same test images' pixels.

    Attributes:
        right_a, right_b: (n,) the share of each image's pixels that are right, of those that have a class.
        order: (n,) the images, those first where the two shares are furthest apart.
    """

    right_a: NDArray[np.float64]
    right_b: NDArray[np.float64]
    order: NDArray[np.int64]


def compare_masks(first: NDArray[np.uint8], second: NDArray[np.uint8], truth: NDArray[np.uint8]) -> MaskComparison:
    """Compare two runs' masks, each (n, H, W); one may have more images than the other, and those do not count.

    Raises:
        RunError: they are not of the same images.
    """
    count = min(len(first), len(second), len(truth))
    if not first.shape[1:] == second.shape[1:] == truth.shape[1:]:
        raise RunError("the two runs were not judged on the same test images, so they cannot be compared one by one")
    known = truth[:count] != IGNORE
    right_a, right_b = (
        ((found[:count] == truth[:count]) & known).sum((1, 2)) / known.sum((1, 2)).clip(1) for found in (first, second)
    )
    return MaskComparison(right_a, right_b, np.argsort(-np.abs(right_b - right_a), kind="stable"))
