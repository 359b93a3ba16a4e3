"""A network's answers to the test images after one epoch, beside what would have been right."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from playground.metrics.scores import count_confusion


@dataclass(frozen=True, eq=False)
class Predictions:
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
        return count_confusion(self.targets, self.preds, self.probs.shape[1])
