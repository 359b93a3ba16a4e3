"""What a training run says, as frozen values. `training.fit` yields them; a worker writes them as rows.

Epoch 0 is the network before its first step; epoch k is the network after k passes over the training images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Means over one split.

    Attributes:
        accuracy: the share of images, or of pixels, that are right.
        iou: mean intersection over union over the classes that occur, counted over all images; for segmentation alone.
        boundary_f1: how well boundaries are met, see `boundaries.matches`; for segmentation alone.
    """

    loss: float
    accuracy: float
    iou: float | None = None
    boundary_f1: float | None = None

    @property
    def figure(self) -> float:
        """What a run is judged by: the mean IoU where pixels are labelled, else the accuracy."""
        return self.accuracy if self.iou is None else self.iou


@dataclass(frozen=True)
class Snapshot:
    """All that an exact resume needs.

    Attributes:
        epoch: passes completed; step: optimizer steps taken.
        tensors: weights ("model."…), optimizer state ("optimizer."…) and random states ("rng."…).
        facts: the numbers beside them, fit for JSON.
    """

    epoch: int
    step: int
    tensors: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """One optimizer step was taken. The moment to pause, or to send a command."""

    epoch: int
    step: int


@dataclass(frozen=True)
class Progress:
    """Means over the steps since the last report.

    Attributes:
        epoch: passes begun, as a fraction (2.5 is the middle of the third); seconds: training time so far.
        grad_norm, weight_norm: Euclidean norms over all parameters at this step, the gradient before the step.
    """

    epoch: float
    step: int
    seconds: float
    loss: float
    accuracy: float
    learning_rate: float
    grad_norm: float
    weight_norm: float
    images_per_second: float


@dataclass(frozen=True)
class Epoch:
    """An epoch is over: figures of each split, the confusion matrix and what is kept of the network.

    Attributes:
        seconds: training time so far, evaluation included.
        train: means over the epoch's batches as they were trained on (None for epoch 0).
        val: None when no images are held back.
        confusion: counts over the test set, row = true class, column = predicted class.
        test_probs: (N, num_classes) float16, the test set's probabilities; where pixels are labelled, (n, H, W) uint8,
            the classes predicted for the first test images.
        val_probs: the same of the images held back, in the order of their rows; None when there are none.
    """

    epoch: int
    step: int
    seconds: float
    train: Scores | None
    val: Scores | None
    test: Scores
    confusion: list[list[int]]
    test_probs: np.ndarray
    snapshot: Snapshot
    val_probs: np.ndarray | None = None


@dataclass(frozen=True)
class Change:
    """A knob was given a new value while the run went on."""

    epoch: float
    step: int
    knob: str
    old: float
    new: float


@dataclass(frozen=True)
class Diverged:
    """The loss or the weights are no longer finite; nothing follows."""

    epoch: float
    step: int
    what: str


_APART = {"test_probs", "val_probs", "snapshot"}  # kept in files of their own
Event = Batch | Snapshot | Progress | Epoch | Change | Diverged


def to_row(event: Progress | Epoch | Change | Diverged) -> dict[str, Any]:
    """Return the event as a JSON-able row: its type and its figures, without arrays."""
    row: dict[str, Any] = {"type": type(event).__name__.lower()}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Scores):
            value = {name: figure for name, figure in vars(value).items() if figure is not None}
        if field.name not in _APART:
            row[field.name] = value
    return row


def labels_pixels(epochs: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the rows of epochs are of a run that labels pixels; not so for no rows."""
    return bool(epochs) and "iou" in (epochs[-1].get("test") or ())


def judged_by(scores: Mapping[str, float]) -> float:
    """Return `Scores.figure` of scores in a row."""
    return scores.get("iou", scores["accuracy"])
