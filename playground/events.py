"""What a training run says, as frozen values. `training.fit` yields them; a worker writes them as rows.

Epoch 0 is the network before its first step; epoch k is the network after k passes over the training images.

The types give the ranges, too. Whoever makes an event keeps them by itself; what is read from a file is held to them
(`runs.rows`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e300, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""2**53: what a browser still counts exactly."""
Passes = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


def _check_square(counts: list[list[int]]) -> list[list[int]]:
    if any(len(row) != len(counts) for row in counts):
        raise ValueError("a confusion matrix has to be square")
    return counts


Confusion = Annotated[list[list[Count]], Field(min_length=1, max_length=1024), AfterValidator(_check_square)]


@dataclass(frozen=True)
class Scores:
    """Means over one split.

    Attributes:
        accuracy: the share of images, or of pixels, that are right.
        iou: mean intersection over union over the classes that occur, counted over all images; for segmentation alone.
        boundary_f1: how well boundaries are met, see `metrics.boundaries.count_boundaries`; for segmentation alone.
    """

    loss: Finite
    accuracy: Fraction
    iou: Fraction | None = None
    boundary_f1: Fraction | None = None

    @property
    def metric(self) -> Literal["accuracy", "iou"]:
        """The name of what a run is judged by."""
        return "accuracy" if self.iou is None else "iou"

    @property
    def score(self) -> float:
        """What a run is judged by."""
        return getattr(self, self.metric)


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

    epoch: Passes
    step: Count
    seconds: Seconds
    loss: Finite
    accuracy: Fraction
    learning_rate: NotNegative
    grad_norm: NotNegative
    weight_norm: NotNegative
    images_per_second: NotNegative
    type: Literal["progress"] = field(default="progress", kw_only=True)


@dataclass(frozen=True)
class EpochRow:
    """An epoch is over: the figures of each split and the confusion matrix.

    Attributes:
        seconds: training time so far, evaluation included.
        train: means over the epoch's batches as they were trained on (None for epoch 0).
        val: None when no images are held back.
        confusion: counts over the test set, row = true class, column = predicted class.
    """

    type: Literal["epoch"] = field(default="epoch", kw_only=True)
    epoch: Count
    step: Count
    seconds: Seconds
    train: Scores | None = field(default=None, kw_only=True)
    val: Scores | None = field(default=None, kw_only=True)
    test: Scores
    confusion: Confusion

    @property
    def judged(self) -> Scores:
        """What chooses the best epoch: of the images held back, or of the test images when there are none."""
        return self.val or self.test

    @property
    def scores(self) -> dict[str, float]:
        """{split: what it is judged by}, for the splits that were judged."""
        return {split: scores.score for split in ("train", "val", "test") if (scores := self.get(split))}

    def get(self, split: str) -> Scores | None:
        """Return the scores on "train", "val" or "test", where there are any."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    def __getitem__(self, split: str) -> Scores:
        """Return the scores on "train", "val" or "test".

        Raises:
            KeyError: the epoch has none of these.
        """
        if (scores := self.get(split)) is None:
            raise KeyError(split)
        return scores


@dataclass(frozen=True)
class Epoch(EpochRow):
    """The row of an epoch with what is kept of the network, in files of its own.

    Attributes:
        test_probs: (N, num_classes) float16, the test set's probabilities; where pixels are labelled, (n, H, W) uint8,
            the classes predicted for the first test images.
        val_probs: the same of the images held back, in the order of their rows; None when there are none.
    """

    test_probs: np.ndarray
    snapshot: Snapshot
    val_probs: np.ndarray | None = None


@dataclass(frozen=True)
class Change:
    """A knob was given a new value while the run went on."""

    epoch: Passes
    step: Count
    knob: Annotated[str, Field(max_length=64)]
    old: Finite
    new: Finite
    type: Literal["change"] = field(default="change", kw_only=True)


@dataclass(frozen=True)
class Diverged:
    """The loss or the weights are no longer finite; nothing follows."""

    epoch: Passes
    step: Count
    what: Annotated[str, Field(max_length=200)]
    type: Literal["diverged"] = field(default="diverged", kw_only=True)


Event = Batch | Snapshot | Progress | Epoch | Change | Diverged


def to_row(epoch: Epoch) -> EpochRow:
    """Return the epoch without the arrays."""
    return EpochRow(**{field.name: getattr(epoch, field.name) for field in fields(EpochRow)})


def best_row(epochs: Sequence[EpochRow]) -> EpochRow | None:
    """Return the row of the best epoch; None where there is none yet.

    It is the first with the highest score on the images held back for validation; where none are held back it is the
    latest, since choosing by the test images would flatter the run. Epoch 0, before the first step, is the best only
    while it is the only one.
    """
    trained = [row for row in epochs if row.epoch > 0] or list(epochs)
    held_back = [row for row in trained if row.val]
    if held_back:
        return max(held_back, key=lambda row: (row.judged.score, -row.epoch))
    return trained[-1] if trained else None
