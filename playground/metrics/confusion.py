"""The confusion matrix looked at closely: its classes in an order that shows groups, and the images of a cell."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.metrics.predictions import Predictions
from playground.metrics.scores import normalise_counts


def order_by_similarity(confusion: ArrayLike) -> NDArray[np.int64]:
    """Order the classes so that those that are mistaken for each other stand side by side.

    Hierarchical clustering with average linkage, the leaves in their best order (Bar-Joseph, Gifford & Jaakkola, "Fast
    optimal leaf ordering for hierarchical clustering", 2001). Two classes are the closer the larger the share of
    either that is mistaken for the other. The same counts give the same order, whose end with the smaller number comes
    first.

    Args:
        confusion: (K, K) counts, row = true class, column = predicted class.

    Returns:
        (K,), the numbers of the classes in their new order.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    mistaken = normalise_counts(confusion, "rows")
    np.fill_diagonal(mistaken, 0)
    if len(mistaken) < 3 or not mistaken.any():
        return np.arange(len(mistaken))
    alike = (mistaken + mistaken.T) / 2
    distances = (1 - alike / alike.max())[np.triu_indices(len(alike), 1)]
    order = leaves_list(linkage(distances, "average", optimal_ordering=True)).astype(np.int64)
    return order if order[0] < order[-1] else order[::-1]


def find_largest_error(confusion: ArrayLike) -> tuple[int, int]:
    """Return the true and the predicted class that are confused most often; (0, 0) where there is no mistake."""
    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    if not counts.any():
        return 0, 0
    true, predicted = np.unravel_index(int(counts.argmax()), counts.shape)
    return int(true), int(predicted)


def find_images(answers: Predictions, true: int, predicted: int) -> NDArray[np.int64]:
    """Return the images of one cell, the most confident answer first."""
    rows = np.flatnonzero((answers.targets == true) & (answers.preds == predicted))
    return rows[np.argsort(-answers.confidence[rows], kind="stable")]
