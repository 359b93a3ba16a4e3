"""What the masks of a whole test set are judged by. No torch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.metrics import IGNORE
from playground.metrics.scores import compute_f1, compute_iou

MASK_METRICS: Mapping[str, tuple[str, str]] = {
    "iou": ("Mean IoU", "Intersection over union, a mean over the classes, counted over the whole test set."),
    "worst_iou": ("IoU of the worst class", "Over the whole test set."),
    "accuracy": ("Pixel accuracy", "The share of the pixels that are right."),
    "dice": ("Mean Dice", "2·overlap / (predicted + true area), a mean over the classes, over the whole test set."),
    "boundary_f1": ("Boundary F1", "How well predicted and true boundaries meet, within 0.75 % of the diagonal."),
}
"""What two runs are compared by: {name: (title, what it is)}."""


def compute_mask_metrics(confusion: ArrayLike, boundary_f1: float | None) -> dict[str, float]:
    """Return the metrics of `MASK_METRICS`, fractions.

    Args:
        confusion: (K, K) counts of pixels, row = true class, column = predicted class.
        boundary_f1: how well boundaries are met, a fraction; None counts as 0.
    """
    counts = np.asarray(confusion)
    occurs = counts.sum(axis=1) > 0
    overlap = compute_iou(counts)[occurs]
    return {
        "iou": float(overlap.mean()) if overlap.size else 0.0,
        "worst_iou": float(overlap.min()) if overlap.size else 0.0,
        "accuracy": float(np.trace(counts) / max(counts.sum(), 1)),
        "dice": float(compute_f1(counts)[occurs].mean()) if overlap.size else 0.0,
        "boundary_f1": boundary_f1 or 0.0,
    }


def class_fractions(mask: NDArray[np.integer], num_classes: int) -> NDArray[np.float64]:
    """Return each class's fraction of the pixels of a mask that have one, (num_classes,)."""
    known = mask[mask != IGNORE]
    return np.bincount(known.ravel(), minlength=num_classes)[:num_classes] / max(known.size, 1)
