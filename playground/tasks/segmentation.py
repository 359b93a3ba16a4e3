"""One label a pixel."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from playground.events import Scores
from playground.metrics import IGNORE
from playground.metrics.scores import compute_iou, count_confusion
from playground.tasks.base import Judged, Metric, Outputs, Task

if TYPE_CHECKING:
    from torch import Tensor

KEPT_MASKS = 24
"""Predicted masks are kept of the first so many test images."""


class Segmentation(Task):
    """One label a pixel: logits (N, K, H, W), targets (N, H, W) where `IGNORE` is no class."""

    name = "segmentation"
    unit, labelled, gives = "pixel", "pixels", "a label for each pixel"
    target = "mask"
    demo = "demo-segmentation"
    pages = ("segment",)
    views = {"segment": ("masks", "photo", "remedies")}  # noqa: RUF012
    architectures = ("unet", "fcn")
    network = "playground.models.segmentation:PixelNet"
    metric = Metric("iou", "mean IoU", "Mean IoU")
    measures = ("loss", "accuracy", "iou", "boundary_f1")
    unused = {"fc_width": "a network that labels pixels has no such layer"}  # noqa: RUF012
    skewed = True
    sides, side = (32, 512), 128
    offered = (32, 64, 96, 128, 160, 192, 240, 256, 320, 384, 512)
    target_dtype = np.uint8

    def strata(self, targets: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the same for all: where each pixel has a class, an image has none."""
        return np.zeros(len(targets), np.int64)

    def count_strata(self, num_classes: int) -> int:
        """Return 1: all images count as of one kind."""
        return 1

    def target_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return height and width."""
        return shape[1:]

    def guess_score(self, shares: NDArray[np.float64]) -> float:
        """Return the mean IoU over the classes that occur: one of them is met as often as it is there, others never."""
        return float(shares.max()) / int((shares > 0).sum())

    def count_correct(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the share of the pixels that are right, times the number of images."""
        known = targets != IGNORE
        return ((logits.argmax(1) == targets) & known).sum() / known.sum().clamp(min=1) * len(targets)

    def evaluate(self, outputs: Outputs, loss: Callable[["Tensor", "Tensor"], "Tensor"]) -> Judged:
        """Return scores, the confusion matrix over all pixels and the first images' masks (n, H, W) uint8."""
        import torch

        from playground.metrics.boundaries import compute_boundary_f1, count_boundaries

        losses, images, confusion = 0.0, 0, np.zeros((0, 0), np.int64)
        edges, masks = torch.zeros(4, dtype=torch.float64), []
        for logits, targets in outputs:
            losses, images = losses + float(loss(logits, targets.long())) * len(targets), images + len(targets)
            preds = logits.argmax(1).byte()
            edges += count_boundaries(preds, targets).cpu()
            known = targets != IGNORE
            counted = count_confusion(targets[known].cpu(), preds[known].cpu(), logits.shape[1])
            confusion = confusion + counted if confusion.size else counted
            if sum(map(len, masks)) < KEPT_MASKS:
                masks.append(preds.cpu().numpy())
        accuracy = float(np.trace(confusion) / max(confusion.sum(), 1))
        occurs = confusion.sum(axis=1) > 0
        mean_iou = float(compute_iou(confusion)[occurs].mean()) if occurs.any() else 0.0
        scores = Scores(losses / images, accuracy, mean_iou, compute_boundary_f1(edges))
        return scores, confusion, np.concatenate(masks)[:KEPT_MASKS]
