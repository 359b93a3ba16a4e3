"""Where one class ends and another begins, in masks."""

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.metrics import IGNORE

TOLERANCE = 0.0075
"""How far off a boundary may be to count as found: this share of the image's diagonal (Csurka et al., 2013)."""


def boundary(masks: Tensor) -> Tensor:
    """Mark the pixels that have a pixel of another class among their eight neighbours.

    Args:
        masks: (N, H, W) whole numbers; `IGNORE` is no class, so where it begins there is no boundary.

    Returns:
        (N, H, W) bool.
    """
    marks = torch.zeros_like(masks, dtype=torch.bool)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        # Each pixel and its neighbour in that direction; the opposite directions are the same pairs.
        height, width = masks.shape[1] - down, masks.shape[2] - abs(right)
        x, across = (0, right) if right >= 0 else (-right, 0)
        one = (..., slice(0, height), slice(x, x + width))
        other = (..., slice(down, down + height), slice(across, across + width))
        differ = (masks[one] != masks[other]) & (masks[one] != IGNORE) & (masks[other] != IGNORE)
        marks[one] |= differ
        marks[other] |= differ
    return marks


def dilate(marks: Tensor, distance: int) -> Tensor:
    """Widen marks (N, H, W) bool by a square of `distance` pixels to each side."""
    side = 2 * distance + 1
    wide = F.max_pool2d(marks.float()[:, None], (1, side), 1, (0, distance))
    return F.max_pool2d(wide, (side, 1), 1, (distance, 0))[:, 0] > 0


def count_boundaries(preds: Tensor, targets: Tensor) -> Tensor:
    """Count what the boundary F1 is made of, over all images.

    A pixel of a predicted boundary is right if a true one lies within the tolerance, and the other way round. Pixels
    without a class do not count.

    Args:
        preds, targets: (N, H, W) whole numbers; `IGNORE` in the targets is no class.

    Returns:
        (4,) float64: predicted boundary pixels that are right, all of them, true ones that are found, all of them.
    """
    height, width = targets.shape[1:]
    distance = max(1, round(TOLERANCE * (height**2 + width**2) ** 0.5))
    known = targets != IGNORE
    found, true = boundary(preds) & known, boundary(targets)
    right = found & dilate(true, distance)
    seen = true & dilate(found, distance)
    return torch.stack([part.sum(dtype=torch.float64) for part in (right, found, seen, true)])


def compute_boundary_f1(counts: Tensor) -> float:
    """Return the harmonic mean of precision and recall, from the sums of `count_boundaries`; 0 for none."""
    right, found, seen, true = counts.tolist()
    precision, recall = right / max(found, 1), seen / max(true, 1)
    return 2 * precision * recall / (precision + recall) if right and seen else 0.0
