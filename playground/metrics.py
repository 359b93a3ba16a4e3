"""Figures that derive from a confusion matrix: counts, row = true class, column = predicted class. No torch."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def confusion_matrix(targets: ArrayLike, preds: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Count (num_classes, num_classes): row = target, column = prediction.

    Args:
        targets, preds: whole numbers in [0, num_classes), of one shape.
    """
    pairs = np.asarray(targets, np.int64).ravel() * num_classes + np.asarray(preds, np.int64).ravel()
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(confusion: ArrayLike) -> float:
    """Return the share of the diagonal, in [0, 1]; 0 for an empty matrix."""
    counts = np.asarray(confusion)
    return float(np.trace(counts) / max(counts.sum(), 1))


def _share(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    """Divide, with 0/0 = 0: a class that never occurs scores 0, as in scikit-learn with zero_division=0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def precision(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class: of the predictions of it, the share that is right."""
    counts = np.asarray(confusion)
    return _share(np.diag(counts), counts.sum(axis=0))


def recall(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class: of its images, the share that is found."""
    counts = np.asarray(confusion)
    return _share(np.diag(counts), counts.sum(axis=1))


def f1(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class the harmonic mean of precision and recall; it equals the Dice coefficient."""
    counts = np.asarray(confusion)
    return _share(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def iou(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return for each class intersection over union, over all that the matrix counts."""
    counts = np.asarray(confusion)
    return _share(np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts))
