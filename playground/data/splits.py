"""Which training images are learned from and which are held back; which images stand for all. No torch."""

import numpy as np
from numpy.typing import NDArray

from playground.config import ConfigError, DataConfig


def split(targets: NDArray[np.integer], config: DataConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose rows for training and for validation, class by class, so that both keep the classes' shares.

    The choice depends on the data set and the knobs of `DataConfig` alone, not on the seed: runs that differ in the
    seed are judged on the same images. With folds, the rows that `images_per_class` leaves are cut by scikit-learn's
    StratifiedKFold, and fold `fold` is held back in place of the validation share.

    Args:
        targets: (N,) the class of each training image.

    Returns:
        (rows to train on, rows held back), each sorted, with no row in both. Every class that has an image keeps
        at least one to train on, or with folds every class that has two.

    Raises:
        ConfigError: no class has as many images as there are folds.
    """
    order = np.random.default_rng(0).permutation(len(targets))
    rows_of = [order[targets[order] == c] for c in np.unique(targets)]
    if config.images_per_class:
        most = config.images_per_class
        rows_of = [rows[:most] for rows in rows_of]
    if config.folds:
        return _fold(np.sort(np.concatenate(rows_of)), targets, config)
    held_back = [min(round(len(rows) * config.validation_share), len(rows) - 1) for rows in rows_of]
    parts = list(zip(rows_of, held_back, strict=True))
    train, val = [rows[n:] for rows, n in parts], [rows[:n] for rows, n in parts]
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(val))


def _fold(
    rows: NDArray[np.int64], targets: NDArray[np.integer], config: DataConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the rows into folds; return those of the other folds and those of the one that is held back."""
    # As scikit-learn's StratifiedKFold(folds, shuffle=True, random_state=0) does it, to the row (a test holds that):
    # to import that takes 2 s, in every worker of a cross-validation.
    if np.bincount(targets[rows]).max() < config.folds:
        largest = int(np.bincount(targets[rows]).max())
        raise ConfigError(
            f"{config.folds} folds need a class of as many images, and the largest has {largest}; "
            "take fewer folds or more images per class"
        )
    count = config.folds
    _, first, labels = np.unique(targets[rows], return_index=True, return_inverse=True)
    labels = np.argsort(np.argsort(first))[labels]  # classes numbered as they appear
    dealt, random = np.sort(labels), np.random.RandomState(0)
    fold_of = np.empty(len(rows), np.int64)
    for c in range(len(first)):
        shares = [np.count_nonzero(dealt[fold::count] == c) for fold in range(count)]
        folds = np.repeat(np.arange(count), shares)
        random.shuffle(folds)
        fold_of[labels == c] = folds
    return rows[fold_of != config.fold], rows[fold_of == config.fold]


def take_turns(targets: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Choose images that stand for all: the first of each class, then the second of each, and so on.

    However few of them are taken from the front, they are as mixed as can be, and always the same.

    Args:
        targets: (N,) class numbers; of masks (N, H, W) the first images are taken.

    Returns:
        (n,) rows, at most `count`.
    """
    if targets.ndim > 1:
        return np.arange(min(count, len(targets)))
    turn = np.empty(len(targets), np.int64)
    for label in np.unique(targets):
        rows = np.flatnonzero(targets == label)
        turn[rows] = np.arange(len(rows))
    return np.lexsort((targets, turn))[:count]
