"""What a run predicted of its test images after an epoch, checked against the test set that is here."""

import numpy as np
from numpy.typing import NDArray

from playground.metrics.predictions import Predictions
from playground.runs.files import RunError
from playground.runs.folder import RunFolder


def read_predictions(run: RunFolder, epoch: int, targets: NDArray[np.int64], num_classes: int) -> Predictions:
    """Read what a run answered after an epoch.

    Args:
        run: The run.
        epoch: One of `run.predicted_epochs()`.
        targets: (N,) int64, of the test set that the predictions are of, in its order.
        num_classes: how many classes that set has.

    Raises:
        RunError: the epoch's predictions are missing or damaged, or are of other images; one line.
    """
    known = run.predicted_epochs()
    if epoch not in known:
        kept = f"choose one of {', '.join(map(str, known[-8:]))}" if known else "no epoch of this run has any"
        raise RunError(f"Epoch {epoch} was kept without its predictions; {kept}")
    probs = run.predictions(epoch)
    if probs.shape != (len(targets), num_classes):
        raise RunError(
            f"The predictions of epoch {epoch} are of {probs.shape[0]:,} images and {probs.shape[1]:,} classes, and "
            f"the test set has {len(targets):,} and {num_classes:,}; it is not the one that this run was tested on"
        )
    if not _are_probabilities(probs):
        raise RunError(f"The predictions of epoch {epoch} are damaged: they are no probabilities; choose another epoch")
    return Predictions(probs, targets)


def _are_probabilities(probs: NDArray[np.float32]) -> bool:
    """Allow for what 16 bits round off."""
    return bool((probs >= 0).all() and (np.abs(probs.sum(axis=1) - 1) < 0.02).all())
