"""What differs between one label an image and one a pixel: how targets are varied, counted and judged."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Generator, Tensor

from playground.config import DataConfig
from playground.data.augment import augment, augment_pairs
from playground.events import Scores
from playground.metrics import IGNORE
from playground.metrics.boundaries import boundary_f1, matches
from playground.metrics.scores import confusion_matrix, iou
from playground.training.losses import LossFunction

KEPT_MASKS = 24
"""Predicted masks are kept of the first so many test images."""

Outputs = Iterable[tuple[Tensor, Tensor]]
Judged = tuple[Scores, np.ndarray, np.ndarray]


class Classification:
    """One label an image: logits (N, K), targets (N,) int64."""

    def vary(self, images: Tensor, targets: Tensor, config: DataConfig, random: Generator) -> tuple[Tensor, Tensor]:
        """Augment a batch of uint8 images (N, C, H, W)."""
        return augment(images, config, random), targets

    def hits(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Count the images that are right."""
        return (logits.argmax(1) == targets).sum()

    def judge(self, outputs: Outputs, loss: LossFunction) -> Judged:
        """Return scores, the confusion matrix and the probabilities (N, num_classes) float16 of a split."""
        logits, targets = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        preds, probs = logits.argmax(1).cpu().numpy(), logits.softmax(1).half().cpu().numpy()
        truth = targets.cpu().numpy()
        scores = Scores(float(loss(logits, targets)), float((preds == truth).mean()))
        return scores, confusion_matrix(truth, preds, logits.shape[1]), probs


class Segmentation:
    """One label a pixel: logits (N, K, H, W), targets (N, H, W) uint8 where `IGNORE` is no class."""

    def vary(self, images: Tensor, targets: Tensor, config: DataConfig, random: Generator) -> tuple[Tensor, Tensor]:
        """Augment a batch of uint8 images (N, C, H, W) and move the masks along."""
        images, masks = augment_pairs(images, targets, config, random)
        assert masks is not None
        return images, masks.long()

    def hits(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the share of the pixels that are right, times the number of images."""
        known = targets != IGNORE
        return ((logits.argmax(1) == targets) & known).sum() / known.sum().clamp(min=1) * len(targets)

    def judge(self, outputs: Outputs, loss: LossFunction) -> Judged:
        """Return scores, the confusion matrix over all pixels and the first images' masks (n, H, W) uint8."""
        losses, images, confusion = 0.0, 0, np.zeros((0, 0), np.int64)
        edges, masks = torch.zeros(4, dtype=torch.float64), []
        for logits, targets in outputs:
            losses, images = losses + float(loss(logits, targets.long())) * len(targets), images + len(targets)
            preds = logits.argmax(1).byte()
            edges += matches(preds, targets).cpu()
            known = targets != IGNORE
            counted = confusion_matrix(targets[known].cpu(), preds[known].cpu(), logits.shape[1])
            confusion = confusion + counted if confusion.size else counted
            if sum(map(len, masks)) < KEPT_MASKS:
                masks.append(preds.cpu().numpy())
        accuracy = float(np.trace(confusion) / max(confusion.sum(), 1))
        occurs = confusion.sum(axis=1) > 0
        mean_iou = float(iou(confusion)[occurs].mean()) if occurs.any() else 0.0
        scores = Scores(losses / images, accuracy, mean_iou, boundary_f1(edges))
        return scores, confusion, np.concatenate(masks)[:KEPT_MASKS]


TASKS = {"classification": Classification, "segmentation": Segmentation}
