"""What came out of a study."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.data import store
from playground.data.splits import split
from playground.events import EpochRow
from playground.metrics.scores import count_confusion
from playground.runs import RunError, RunReader, Status
from playground.studies.lifecycle import PRUNED, count_slots
from playground.studies.study import Member, StudyFolder
from playground.tasks import TASKS


@dataclass(frozen=True)
class Result:
    """A member and how far it is.

    Attributes:
        status: None if the run was deleted.
        score: its task's metric after its latest epoch, on the validation images (the test images where none are held
            back), a fraction; None before the first. Each run's best epoch would flatter it.
        test: the same on the test images.
    """

    member: Member
    status: Status | None
    score: float | None = None
    test: float | None = None

    @property
    def active(self) -> bool:
        return self.status is not None and self.status.active

    @property
    def finished(self) -> bool:
        return self.status is not None and self.status.state == "finished"

    @property
    def pruned(self) -> bool:
        return self.status is not None and self.status.message.startswith(PRUNED)

    @property
    def state(self) -> str:
        return "deleted" if self.status is None else PRUNED if self.pruned else self.status.state


def read_score(row: EpochRow) -> float:
    """Return the score of an epoch: on the validation images, or on the test images if none are held back."""
    return row.judged.score


class StudyReader:
    """A reader that keeps up with a study: each `update` reads only what is new.

    Attributes:
        results: one for each member so far.
        feeds: {run id: its rows}, of members that were not deleted.
        version: grows with each update that found something.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self.results: list[Result] = []
        self.feeds: dict[str, RunReader] = {}
        self.version = 0

    def update(self) -> bool:
        """Read what is new; True if anything is."""
        results = [self._read(member) for member in self.folder.members()]
        changed = results != self.results
        self.results = results
        self.version += changed
        return changed

    def _read(self, member: Member) -> Result:
        run = member.run
        if run is None:
            self.feeds.pop(member.run_id, None)
            return Result(member, None)
        feed = self.feeds.setdefault(member.run_id, RunReader(run))
        feed.update()
        trained = [row for row in feed.epochs if row.epoch > 0]
        if not trained:
            return Result(member, feed.status)
        last = trained[-1]
        return Result(member, feed.status, read_score(last), last.test.score)

    @property
    def state(self) -> str:
        """Where the study stands: running, finished, stopped or interrupted."""
        if any(result.active for result in self.results):
            return "running"
        if self.folder.marked("stopped"):
            return "stopped"
        if any(result.status and result.status.state == "interrupted" for result in self.results):
            return "interrupted"
        return "finished" if self.folder.marked("done") else "running"

    @property
    def done(self) -> float:
        """The share of the epochs that are behind, from 0 to 1."""
        missing = max(0, self.folder.wanted - len(self.results)) if self.state == "running" else 0
        shares = [_share(result) for result in self.results] + [0.0] * missing
        return sum(shares) / len(shares) if shares else 0.0

    def seconds_left(self) -> float | None:
        """Estimate how long it still takes, from what its members have taken; None before one has shown it."""
        paces = [r.status.seconds / r.status.epoch for r in self.results if r.status and r.status.epoch]
        if not paces or self.state != "running":
            return None
        base = self.folder.study.base
        epochs = sum(max(0, r.status.epochs - r.status.epoch) for r in self.results if r.status and r.status.active)
        epochs += max(0, self.folder.wanted - len(self.results)) * base.training.epochs
        return epochs * sum(paces) / len(paces) / count_slots(base)


def _share(result: Result) -> float:
    if not result.active or result.status is None:
        return 1.0
    return result.status.epoch / max(1, result.status.epochs)


def compute_mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation (over n - 1); None for that of a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def find_best(results: Sequence[Result]) -> Result | None:
    """Return the finished member with the highest score, the earliest of equals."""
    scored = [(result.score, result) for result in results if result.finished and result.score is not None]
    return max(scored, key=lambda pair: (pair[0], -pair[1].member.number))[1] if scored else None


def count_out_of_fold(results: Sequence[Result]) -> NDArray[np.int64] | None:
    """Return the confusion matrix (K, K) over the folds that are finished, each judged by the run that never saw it.

    Once all are, each training image counts exactly once. None while none is, and where pixels are labelled: of
    those a run keeps too few.

    Raises:
        RunError: the predictions of one are gone or damaged.
    """
    total = None
    for result in results:
        run = result.member.run
        if run is None or not result.finished or result.status is None:
            continue
        data = store.open_arrays(run.config.data.dataset)
        if TASKS[data.info.task].target == "mask":
            return None
        targets = np.asarray(data.train_targets, np.int64)
        rows = split(targets, run.config.data)[1]
        preds = run.validation_predictions(result.status.epoch).argmax(1)
        if len(preds) != len(rows):
            raise RunError(f"{run.name} has predictions of {len(preds):,} images where its fold has {len(rows):,}")
        counts = count_confusion(targets[rows], preds, data.info.num_classes)
        total = counts if total is None else total + counts
    return total


def compute_noise_margin(std: float) -> float:
    """Return how far apart two single runs of equal worth lie at most in 19 of 20 cases, given the deviation of one.

    The difference of two independent runs has √2 times the deviation of one.
    """
    return 1.96 * math.sqrt(2) * std
