"""A run's rows as the rules want them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from playground.choices import SCHEDULES
from playground.config import RunConfig
from playground.events import Change, EpochRow
from playground.metrics.baseline import Baseline
from playground.runs import Status
from playground.tasks import TASKS, Task, of_rows

FEW_STEPS = 20
"""Optimizer steps before which nothing can be said of their length, nor of what was learned by them."""


@dataclass(frozen=True)
class RunSummary:
    """What a run has done so far.

    Attributes:
        rows: the rows of trained epochs since the last change of a live knob; judged: those whose `split` has scores.
        losses: the reported training losses since then; norms: those of the weights.
        task: what it is asked for.
        start: the loss before the first step; guess: what guessing gets.
        rate: the learning rate that was chosen last.
        share: how much of the planned epochs is done.
    """

    config: RunConfig
    status: Status
    rows: Sequence[EpochRow]
    losses: Sequence[float]
    norms: Sequence[float]
    split: str
    task: Task
    start: float
    guess: Baseline
    rate: float
    share: float

    @property
    def judged_on(self) -> str:
        return "validation" if self.split == "val" else "test"

    @property
    def judged(self) -> list[EpochRow]:
        return [row for row in self.rows if row.get(self.split) and row.get("train")]

    @property
    def warming_up(self) -> bool:
        """Whether its schedule is still speeding up, or has only just done so: slow by design."""
        rises_until = SCHEDULES[self.config.training.schedule].rises_until
        return rises_until > 0 and self.share < rises_until + 0.05

    @property
    def over(self) -> bool:
        return not self.status.active

    @property
    def room(self) -> float:
        """How much two accuracies can differ: where a class covers nearly all, its share is right without learning."""
        return 1 - self.guess.accuracy if self.task.skewed else 1.0

    @property
    def counted(self) -> str:
        """What an accuracy is a share of: "… of the training images", or "… of the pixels of the training images"."""
        return "" if self.task.unit == "image" else f"{self.task.unit}s of the "

    def score(self, row: EpochRow) -> float:
        """Return what is held against guessing: the accuracy on training images, where it says enough."""
        if row.test.metric == "accuracy":
            return row["train"].accuracy
        return (row.get(self.split) or row.test).score

    def learned(self, row: EpochRow, margin: float) -> bool:
        """Say whether the network was better than guessing after an epoch, by more than `margin`."""
        return self.score(row) > self.guess.score + margin


def summarise_run(
    config: RunConfig,
    status: Status,
    progress: Mapping[str, Sequence[float]],
    epochs: Sequence[EpochRow],
    changes: Sequence[Change],
) -> RunSummary:
    """Sum up a run; see `rules.diagnose` for the arguments."""
    since = changes[-1].step if changes else -1
    rates = [row.new for row in changes if row.knob == "learning_rate"]
    rows = [row for row in epochs if row.epoch > 0 and row.step > since]
    untrained = epochs[0].test.loss if epochs and epochs[0].epoch == 0 else 0.0
    first = bisect_right(progress.get("step", ()), since)
    counts = epochs[-1].confusion if epochs else None
    task = of_rows(epochs) or TASKS["classification"]
    return RunSummary(
        config=config,
        status=status,
        rows=rows,
        losses=progress.get("loss", ())[first:],
        norms=progress.get("weight_norm", ())[first:],
        split="val" if any(row.get("val") for row in rows) else "test",
        task=task,
        start=untrained,
        guess=task.guess(config.training, counts or np.eye(10)),
        rate=rates[-1] if rates else config.training.learning_rate,
        share=epochs[-1].epoch / max(status.epochs or config.training.epochs, 1) if epochs else 0.0,
    )
