"""What each run reached, and what it cost. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from playground.comparison.curves import count_images_per_epoch, find_task
from playground.config import ConfigError, RunConfig
from playground.data.catalog import DataError
from playground.events import EpochRow, best_row
from playground.jobs import estimate
from playground.runs import Status
from playground.tasks import Task

MACS_OF_A_STEP = 3
"""Training takes about three times the multiplications of a forward pass: forward, and backward to the activations and
to the weights (Kaplan et al. 2020, section 2.1, count the same)."""


@dataclass(frozen=True)
class RunCosts:
    """What a run reached and what that took.

    Attributes:
        task: what it was asked for. By its metric it is judged; of training images the accuracy is counted.
        final: {split: score after the last epoch}, as fractions; splits that were not judged are missing.
        best: {split: score after the best epoch}; best_epoch: the epoch that the validation images chose, or the last
            where none are held back (`events.best_row`).
        epochs: passes over the training images; images: how many were seen in them, about.
        macs: multiply-accumulate operations forward for one image; None where the data set is not known here.
        seconds: training time, evaluation included.
        chance: the test score of guessing.
    """

    task: Task
    final: Mapping[str, float]
    best: Mapping[str, float]
    best_epoch: int | None
    epochs: float
    images: float | None
    parameters: int
    macs: int | None
    seconds: float
    images_per_second: float
    chance: float

    @property
    def points(self) -> float | None:
        """Percentage points of the last test score above guessing; None where there are none."""
        gained = 100 * (self.final.get("test", 0.0) - self.chance)
        return gained if gained > 0 else None

    @property
    def training_macs(self) -> float | None:
        """Multiply-accumulate operations of the whole training."""
        return None if self.macs is None or self.images is None else MACS_OF_A_STEP * self.macs * self.images

    @property
    def seconds_per_point(self) -> float | None:
        return self.seconds / self.points if self.points else None

    @property
    def macs_per_point(self) -> float | None:
        return self.training_macs / self.points if self.points and self.training_macs is not None else None


def sum_up_costs(
    config: RunConfig, status: Status, progress: Mapping[str, Sequence[float]], epochs: Sequence[EpochRow]
) -> RunCosts:
    """Sum up a run from its rows (see `runs.RunReader`)."""
    trained = [row for row in epochs if row.epoch > 0]
    chosen = best_row(trained)
    done = max([*progress.get("epoch", ())[-1:], *(row.epoch for row in epochs[-1:]), 0.0])
    speeds = progress.get("images_per_second", ())
    macs, parameters, per_epoch = None, status.parameters, count_images_per_epoch(config)
    try:
        chain = estimate.lay_out_network(config)
        macs, parameters = sum(layer.macs for layer in chain), sum(layer.parameters for layer in chain)
    except (ConfigError, DataError):
        pass  # a data set of one's own that was deleted: what was measured stays
    task, counts = find_task(config, epochs), epochs[-1].confusion if epochs else None
    return RunCosts(
        task=task,
        final=trained[-1].scores if trained else {},
        best=chosen.scores if chosen else {},
        best_epoch=chosen.epoch if chosen else None,
        epochs=done,
        images=None if per_epoch is None else done * per_epoch,
        parameters=parameters,
        macs=macs,
        seconds=max([status.seconds, *(row.seconds for row in epochs[-1:])]),
        images_per_second=float(np.median(speeds)) if len(speeds) else 0.0,
        chance=task.guess(config.training, counts).score if counts else 0.0,
    )
