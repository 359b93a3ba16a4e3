"""Which training images are learned from, and which are held back. No torch."""

import numpy as np
from numpy.typing import NDArray

from playground.config import DataConfig


def split(targets: NDArray[np.int64], config: DataConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose rows for training and for validation, class by class, so that both keep the classes' shares.

    The choice depends on the data set and the two knobs alone, not on the seed: runs that differ in the seed
    are judged on the same images.

    Args:
        targets: (N,) the class of each training image.

    Returns:
        (rows to train on, rows held back), each sorted, with no row in both. Every class that has an image keeps
        at least one to train on.
    """
    order = np.random.default_rng(0).permutation(len(targets))
    train, val = [], []
    for c in np.unique(targets):
        rows = order[targets[order] == c]
        rows = rows[: config.images_per_class] if config.images_per_class else rows
        held_back = min(round(len(rows) * config.validation_share), len(rows) - 1)
        val.append(rows[:held_back])
        train.append(rows[held_back:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(val))
