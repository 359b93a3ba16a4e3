"""Losses by name: one label an image, or one a pixel."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from playground.choices import LOSSES
from playground.config import TrainingConfig
from playground.metrics import IGNORE
from playground.metrics.boundaries import boundary

LossFunction = Callable[[Tensor, Tensor], Tensor]
FOCUS = 2.0
"""The exponent of the focal loss that its authors found best."""


def loss_function(config: TrainingConfig, class_weights: Tensor | None = None) -> LossFunction:
    """Return the loss: logits (N, K) float32 and targets (N,) int64 to a mean over the images.

    For segmentation, logits (N, K, H, W) and targets (N, H, W) give a mean over the pixels that have a class.

    - Cross-entropy is torch's.
    - MSE is the squared distance between the probabilities and the one-hot target, summed over the classes (the Brier
      score), so that its scale does not depend on their number.
    - Focal (Lin et al., 2017) is cross-entropy times (1 − p)², p the probability of the true class.
    - Dice (Milletari et al., 2016) is 1 minus the mean over the batch's classes of 2·Σpt / (Σp + Σt).
    - Several terms are added up.

    Args:
        class_weights: (K,) float32, what an image or pixel of each class counts; None for 1. Dice is a mean over the
            classes as it is, and takes none.
    """
    parts = LOSSES[config.loss].functions

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        # Softmax over planes, each in one piece, takes a third of the time of softmax over channels_last.
        logits = logits.contiguous()
        return torch.stack([part(logits, targets, config, class_weights) for part in parts]).sum()

    return loss


def cross_entropy(logits: Tensor, targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Return torch's cross-entropy, a mean over what counts."""
    smoothing = config.label_smoothing
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, weight=class_weights, label_smoothing=smoothing)
    each = F.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORE, label_smoothing=smoothing)
    return _mean(each, targets, config, class_weights)


def focal(logits: Tensor, targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Return the focal loss, a mean over what counts."""
    each = F.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORE)
    each = (1 - torch.exp(-each)) ** FOCUS * each  # what is easy already counts little
    return _mean(each, targets, config, class_weights)


def brier(logits: Tensor, targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Return the squared distance of the probabilities from the one-hot target, a mean over what counts."""
    wanted = _one_hot(targets, logits.shape[1])
    if config.label_smoothing:
        wanted = wanted * (1 - config.label_smoothing) + config.label_smoothing / logits.shape[1]
    each = (logits.softmax(1) - wanted).square().sum(1)
    return _mean(each, targets, config, class_weights)


def dice(logits: Tensor, targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Return the Dice loss of the batch's classes."""
    known = targets != IGNORE
    classes = targets.masked_fill(~known, 0)
    probs = logits.softmax(1)
    of_truth = probs.gather(1, classes[:, None])[:, 0] * known
    none = probs.new_zeros(logits.shape[1])
    overlap = none.index_add(0, classes.flatten(), of_truth.flatten())
    true = none.index_add(0, classes.flatten(), known.flatten().float())
    areas = (probs * known[:, None]).sum(0 if targets.ndim == 1 else (0, 2, 3)) + true
    # 1 minus the mean overlap of the batch's classes
    return 1 - (2 * overlap / areas.clamp(min=1e-6)).sum() / (true > 0).sum().clamp(min=1)


def _one_hot(targets: Tensor, classes: int) -> Tensor:
    """Return (N, K, …) float32; all 0 where the target is `IGNORE`."""
    known = targets != IGNORE
    return F.one_hot(targets.masked_fill(~known, 0), classes).movedim(-1, 1).float() * known[:, None]


def counted(targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Return what each target counts in the mean, float32 in the targets' shape.

    What has no class counts nothing; rare classes and boundaries may count for more.
    """
    weights = (targets != IGNORE).float()
    if class_weights is not None:
        weights = weights * class_weights[targets.masked_fill(targets == IGNORE, 0)]
    if targets.ndim == 3 and config.boundary_weight:
        weights = weights * (1 + config.boundary_weight * boundary(targets))
    return weights


def _mean(each: Tensor, targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Average over what counts, by how much it counts."""
    weights = counted(targets, config, class_weights)
    return (each * weights).sum() / weights.sum().clamp(min=1e-6)


def image_counts(targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """Return what each image counts in the mean, (N,) float32: the sum over its pixels, where each has a class."""
    counts = []
    for some in targets.split(256):
        weights = counted(some.long(), config, class_weights)
        counts.append(weights if targets.ndim == 1 else weights.flatten(1).sum(1))
    return torch.cat(counts)


def share(rows: Tensor, order: Tensor, counts: Tensor | None) -> float:
    """Return the part of the gradient over all images that is a batch's: what its images count.

    Args:
        rows: the batch; order: all rows of the epoch; counts: of each image, (N,); None where all count the same.
    """
    if counts is None:
        return len(rows) / len(order)
    return float(counts[rows].sum() / counts[order].sum().clamp(min=1e-6))


def median_frequency(targets: NDArray[np.integer], num_classes: int) -> NDArray[np.float32]:
    """Return (num_classes,), what each class should count: the median frequency over the class's own.

    Eigen & Fergus, 2015: the frequency of a class is its share of the pixels of those images that show it (of all
    images, where each has one label). A class that never occurs counts 1.

    Args:
        targets: (N,), or (N, H, W) where `IGNORE` is no class.
    """
    counts, seen = np.zeros(num_classes), np.zeros(num_classes)
    for start in range(0, len(targets), 256):
        some = np.asarray(targets[start : start + 256])
        table = np.stack([np.bincount(one[one != IGNORE].ravel(), minlength=num_classes) for one in some[:, None]])
        counts += table.sum(0)
        # An image of one label belongs to the set; one of many pixels shows a class or does not.
        seen += (table > 0).T @ table.sum(1) if targets.ndim == 3 else table.sum()
    frequency = np.divide(counts, seen, out=np.zeros(num_classes), where=counts > 0)
    middle = np.median(frequency[counts > 0]) if counts.any() else 1.0
    return np.divide(middle, frequency, out=np.ones(num_classes), where=counts > 0).astype(np.float32)
