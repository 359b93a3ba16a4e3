"""What the best guess gets that never looks at the image: what a network has to beat. No torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.choices import LOSSES
from playground.config import TrainingConfig


@dataclass(frozen=True)
class Baseline:
    """What guessing gets.

    Attributes:
        accuracy: the share of the most common class.
        score: what a run is judged by, of calling everything that class.
        loss: of giving each class the probability of its share, about.
    """

    accuracy: float
    score: float
    loss: float


def compute_baseline(training: TrainingConfig, shares: NDArray[np.float64], score: float) -> Baseline:
    """Return what guessing gets.

    Args:
        training: for the loss.
        shares: (K,) how common each class is; they add up to 1.
        score: what a run is judged by, of calling everything the most common class.
    """
    # What a class or a boundary counts for depends on the training masks; equal shares are never too low a loss.
    weighed = training.class_weights or training.boundary_weight
    alike = np.full(len(shares), 1 / len(shares))
    return Baseline(
        accuracy=float(shares.max()), score=score, loss=_loss(training, alike if weighed else shares[shares > 0])
    )


def _loss(training: TrainingConfig, shares: NDArray[np.float64]) -> float:
    """Return the loss (see `losses.loss_function`) of answering every image with the classes' shares."""
    p = shares * (1 - training.label_smoothing) + training.label_smoothing / len(shares)
    return LOSSES[training.loss].guess(p)
