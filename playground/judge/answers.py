"""A network's answers to the test images after one epoch, beside what would have been right."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from playground.metrics import confusion_matrix
from playground.runs import RunError, RunFolder


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered, and what is true.

    Attributes:
        probs: (N, K) float32 in [0, 1], one row an image.
        targets: (N,) int64 in [0, K).
    """

    probs: NDArray[np.float32]
    targets: NDArray[np.int64]

    @cached_property
    def preds(self) -> NDArray[np.int64]:
        """The likeliest class of each image, (N,)."""
        return self.probs.argmax(axis=1)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the likeliest class, (N,)."""
        return self.probs.max(axis=1)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right, (N,)."""
        return self.preds == self.targets

    @cached_property
    def true_probs(self) -> NDArray[np.float32]:
        """The probability of each image's own class, (N,)."""
        return np.take_along_axis(self.probs, self.targets[:, None], 1)[:, 0]

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """The confusion matrix (K, K): row = true class, column = predicted class."""
        return confusion_matrix(self.targets, self.preds, self.probs.shape[1])


def read_answers(run: RunFolder, epoch: int, targets: NDArray[np.int64], num_classes: int) -> Answers:
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
    return Answers(probs, targets)


def _are_probabilities(probs: NDArray[np.float32]) -> bool:
    """Allow for what 16 bits round off."""
    return bool((probs >= 0).all() and (np.abs(probs.sum(axis=1) - 1) < 0.02).all())
