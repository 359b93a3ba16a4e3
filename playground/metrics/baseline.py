"""What the best guess gets that never looks at the image: what a network has to beat. No torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.choices import LOSSES
from playground.config import TrainingConfig


@dataclass(frozen=True)
class Guess:
    """What guessing gets.

    Attributes:
        accuracy: of images one in so many as there are classes; of pixels the share of the most common class.
        figure: what a run is judged by: of pixels the mean IoU of calling all of them that class, else the accuracy.
        loss: of giving each class the probability of its share, about.
    """

    accuracy: float
    figure: float
    loss: float


def guess(training: TrainingConfig, confusion: ArrayLike, pixels: bool) -> Guess:
    """Return what guessing gets.

    Args:
        training: for the loss.
        confusion: (K, K) counts over the test set, row = true class.
        pixels: whether it counts pixels, whose classes are seldom equally common; images are taken to be.
    """
    counts = np.asarray(confusion).sum(axis=1)
    alike = np.full(len(counts), 1 / len(counts))
    shares = counts / counts.sum() if pixels and counts.any() else alike
    occurs = shares > 0
    accuracy = float(shares.max())
    # What a class or a boundary counts for depends on the training masks; equal shares are never too low a loss.
    weighed = training.class_weights or training.boundary_weight
    return Guess(
        accuracy=accuracy,
        figure=accuracy / int(occurs.sum()) if pixels else accuracy,
        loss=_loss(training, alike if weighed else shares[occurs]),
    )


def _loss(training: TrainingConfig, shares: NDArray[np.float64]) -> float:
    """Return the loss (see `losses.loss_function`) of answering every image with the classes' shares."""
    p = shares * (1 - training.label_smoothing) + training.label_smoothing / len(shares)
    return LOSSES[training.loss].guess(p)
