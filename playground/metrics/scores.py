"""Figures that derive from a confusion matrix: counts, row = true class, column = predicted class. No torch.

Top-k accuracy alone needs the probabilities themselves. 0/0 is 0, as in scikit-learn with zero_division=0.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


def count_confusion(targets: ArrayLike, preds: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Count (num_classes, num_classes): row = target, column = prediction.

    Args:
        targets, preds: whole numbers in [0, num_classes), of one shape.
    """
    pairs = np.asarray(targets, np.int64).ravel() * num_classes + np.asarray(preds, np.int64).ravel()
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def compute_accuracy(confusion: ArrayLike) -> float:
    """Return the share of the diagonal, in [0, 1]; 0 for an empty matrix."""
    counts = np.asarray(confusion)
    return float(np.trace(counts) / max(counts.sum(), 1))


def _share(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    """Divide, with 0/0 = 0: a class that never occurs scores 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def normalise_counts(confusion: ArrayLike, by: Literal["rows", "columns"]) -> NDArray[np.float64]:
    """Divide each count by the sum of its row (of its true class) or of its column (of its prediction); 0/0 = 0."""
    counts = np.asarray(confusion, float)
    whole = counts.sum(axis=1 if by == "rows" else 0, keepdims=True)
    return np.divide(counts, whole, out=np.zeros(counts.shape), where=whole > 0)


def compute_precision(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class: of the predictions of it, the share that is right."""
    counts = np.asarray(confusion)
    return _share(np.diag(counts), counts.sum(axis=0))


def compute_recall(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class: of its images, the share that is found."""
    counts = np.asarray(confusion)
    return _share(np.diag(counts), counts.sum(axis=1))


def compute_f1(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class the harmonic mean of precision and recall; it equals the Dice coefficient."""
    counts = np.asarray(confusion)
    return _share(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def compute_iou(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class intersection over union, over all that the matrix counts."""
    counts = np.asarray(confusion)
    return _share(np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts))


Kind = Literal["macro", "micro", "weighted"]


@dataclass(frozen=True)
class Average:
    """Precision, recall and F1 as one number each, in [0, 1]."""

    precision: float
    recall: float
    f1: float


def average_classes(confusion: ArrayLike, kind: Kind) -> Average:
    """Return precision, recall and F1 over all classes.

    Args:
        confusion: (K, K) counts.
        kind: "macro": the plain mean over the classes that have an image or a prediction, each counting the same;
            "weighted": their mean weighted by their number of images; "micro": from all classes' right answers and
            mistakes together, which for one answer an image makes all three the accuracy.
    """
    counts = np.asarray(confusion)
    if kind == "micro":
        return Average(*[compute_accuracy(counts)] * 3)
    weights = counts.sum(axis=1) if kind == "weighted" else (counts.sum(axis=0) + counts.sum(axis=1) > 0)
    whole = max(int(weights.sum()), 1)
    return Average(
        *(float(figure(counts) @ weights / whole) for figure in (compute_precision, compute_recall, compute_f1))
    )


def rank_true_classes(probs: ArrayLike, targets: ArrayLike) -> NDArray[np.int64]:
    """Return (N,): how many classes each image was taken for sooner than for its own; 0 where the answer is right.

    Of classes with the same probability the first comes first, as with `argmax`.

    Args:
        probs: (N, K); targets: (N,) in [0, K).
    """
    shares, own = np.asarray(probs), np.asarray(targets)[:, None]
    true = np.take_along_axis(shares, own, 1)
    earlier = np.arange(shares.shape[1]) < own
    return ((shares > true) | ((shares == true) & earlier)).sum(axis=1)


def count_top_k(probs: ArrayLike, targets: ArrayLike) -> NDArray[np.int64]:
    """Return (K,): at k - 1 the number of images whose class is among the k likeliest.

    Args:
        probs: (N, K); targets: (N,) in [0, K).
    """
    return np.bincount(rank_true_classes(probs, targets), minlength=np.asarray(probs).shape[1]).cumsum()
