"""Runs side by side: what differs, what each reached and cost, and whether that is more than luck. No torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground import estimate, events
from playground.config import KNOBS, ConfigError, RunConfig, flatten, from_flat
from playground.data import catalog
from playground.data.catalog import DataError
from playground.events import EpochRow, best_row
from playground.guessing import guess
from playground.metrics import iou
from playground.runs import RunError, Status

SPLITS = ("train", "val", "test")
MACS_OF_A_STEP = 3
"""Training takes about three times the multiplications of a forward pass: forward, and backward to the activations and
to the weights (Kaplan et al. 2020, section 2.1, count the same)."""
CERTAIN = 0.05
"""A difference that luck alone would make less often than this is called more than luck."""


def labels_pixels(config: RunConfig, epochs: Sequence[EpochRow]) -> bool:
    """Say whether a run labels pixels: by its epoch rows, or before the first by its data set."""
    if epochs:
        return events.labels_pixels(epochs)
    try:
        return catalog.info(config.data.dataset).segments
    except DataError:
        return False


def curves_of(config: RunConfig, epochs: Sequence[EpochRow]) -> set[str]:
    """Return the names of the curves that a run has, or before its first epoch will have: "test_loss" and so on."""
    data = config.data
    held_back = any(row.get("val") for row in epochs) if epochs else bool(data.folds or data.validation_share)
    figures = ("loss", "accuracy", "iou", "boundary_f1") if labels_pixels(config, epochs) else ("loss", "accuracy")
    judged = {f"{split}_{figure}" for split in (("test", "val") if held_back else ("test",)) for figure in figures}
    return judged | {"train_loss", "train_accuracy"}


# What differs


def differing_knobs(configs: Sequence[RunConfig]) -> dict[str, list[Any]]:
    """Return `{knob name: its value in each config}` for the knobs that are not the same in all."""
    flat = [flatten(config) for config in configs]
    columns = {name: [values[name] for values in flat] for name in KNOBS}
    return {name: column for name, column in columns.items() if any(value != column[0] for value in column)}


def colours(before: Mapping[str, int], ids: Sequence[str]) -> dict[str, int]:
    """Give each run the number of a colour: the one it had `before`, else the lowest that is free."""
    kept = {run: before[run] for run in ids if run in before}
    free = (number for number in count() if number not in kept.values())
    return {run: kept[run] if run in kept else next(free) for run in dict.fromkeys(ids)}


def series(
    progress: Mapping[str, Sequence[float]],
    epochs: Sequence[EpochRow],
    *,
    axis: str,
    split: str,
    figure: str,
    per_epoch: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one curve of a run as (x, y), each (N,).

    Args:
        progress, epochs: its rows (see `runs.Feed`). The training curve has a point for each report, the others one
            for each epoch.
        axis: what x counts: "step", "epoch", "images" or "seconds".
        split: "train", "val" or "test".
        figure: "loss" or "accuracy"; of validation and test images also "iou" or "boundary_f1", if it labels pixels.
        per_epoch: images that an epoch goes over; None gives an empty curve over "images".
    """
    column = "epoch" if axis == "images" else axis
    if split == "train":
        x, y = progress.get(column, ()), progress.get(figure, ())
    else:
        scored = [row for row in epochs if getattr(row.get(split), figure, None) is not None]
        x, y = [getattr(row, column) for row in scored], [getattr(row[split], figure) for row in scored]
    if axis == "images" and per_epoch is None:
        x, y = (), ()
    return np.array(x, float) * (per_epoch or 1 if axis == "images" else 1), np.array(y, float)


# What each reached, and what it cost


@dataclass(frozen=True)
class Reached:
    """What a run reached and what that took.

    Attributes:
        pixels: whether it labels pixels. Its figure is then the mean IoU, which is not counted on training images: of
            them it is the share of the pixels that are right. Else it is the accuracy.
        final: {split: figure after the last epoch}, as fractions; splits that were not judged are missing.
        best: {split: figure after the best epoch}; best_epoch: the epoch that the validation images chose, or the last
            where none are held back (`events.best_row`).
        epochs: passes over the training images; images: how many were seen in them, about.
        macs: multiply-accumulate operations forward for one image; None where the data set is not known here.
        seconds: training time, evaluation included.
        chance: the test figure of guessing.
    """

    pixels: bool
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
        """Percentage points of the last test figure above guessing; None where there are none."""
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


def reached(
    config: RunConfig, status: Status, progress: Mapping[str, Sequence[float]], epochs: Sequence[EpochRow]
) -> Reached:
    """Sum up a run from its rows (see `runs.Feed`)."""
    trained = [row for row in epochs if row.epoch > 0]
    chosen = best_row(trained)
    done = max([*progress.get("epoch", ())[-1:], *(row.epoch for row in epochs[-1:]), 0.0])
    speeds = progress.get("images_per_second", ())
    macs, parameters, per_epoch = None, status.parameters, images_per_epoch(config)
    try:
        chain = estimate.network(config)
        macs, parameters = sum(layer.macs for layer in chain), sum(layer.parameters for layer in chain)
    except (ConfigError, DataError):
        pass  # a data set of one's own that was deleted: what was measured stays
    pixels, counts = labels_pixels(config, epochs), epochs[-1].confusion if epochs else None
    return Reached(
        pixels=pixels,
        final=trained[-1].figures if trained else {},
        best=chosen.figures if chosen else {},
        best_epoch=chosen.epoch if chosen else None,
        epochs=done,
        images=None if per_epoch is None else done * per_epoch,
        parameters=parameters,
        macs=macs,
        seconds=max([status.seconds, *(row.seconds for row in epochs[-1:])]),
        images_per_second=float(np.median(speeds)) if len(speeds) else 0.0,
        chance=guess(config.training, counts, pixels).figure if counts else 0.0,
    )


def images_per_epoch(config: RunConfig) -> int | None:
    """Return about how many images an epoch goes over; None where the data set is not known here."""
    try:
        return estimate.images_to_train(config)
    except DataError:
        return None


# Luck: the spread over seeds and folds


@dataclass(frozen=True)
class Member:
    """A finished run as a member of a group: what it is told apart by, and its figure."""

    label: str
    config: RunConfig
    changes: tuple[tuple[int, str, float], ...]
    value: float


@dataclass(frozen=True)
class Group:
    """Runs of one config but for the seed and the fold.

    Attributes:
        labels: of the runs that count; values: their figures. Two of one seed and fold repeat each other: one counts.
        apart: what the runs differ in, of "seeds" and "folds".
    """

    config: RunConfig
    labels: tuple[str, ...]
    values: tuple[float, ...]
    apart: frozenset[str] = frozenset()

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def std(self) -> float | None:
        """The standard deviation with n - 1 in the denominator; None for a single run."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


def groups(members: Sequence[Member]) -> list[Group]:
    """Put runs together whose configs, and changes on the way, are equal but for seed and fold; the best mean first."""
    found: dict[Any, dict[tuple[int, int], Member]] = {}
    for member in members:
        training, data = member.config.training, member.config.data
        same = without_seed(member.config), member.changes
        found.setdefault(same, {}).setdefault((training.seed, data.fold), member)
    made = [
        Group(config, tuple(m.label for m in kept.values()), tuple(m.value for m in kept.values()), _apart(kept))
        for (config, _), kept in found.items()
    ]
    return sorted(made, key=lambda group: -group.mean)


def _apart(seeds_and_folds: Iterable[tuple[int, int]]) -> frozenset[str]:
    """Return which of the two are not the same in all."""
    columns = zip(("seeds", "folds"), zip(*seeds_and_folds, strict=True), strict=True)
    return frozenset(name for name, numbers in columns if len(set(numbers)) > 1)


def without_seed(config: RunConfig) -> RunConfig:
    """Return the config with seed and fold at 0."""
    return from_flat({"seed": 0, "fold": 0}, config)


@dataclass(frozen=True)
class Welch:
    """Welch's t-test of two groups' means.

    Attributes:
        difference: the first mean less the second; t, degrees: the statistic and its degrees of freedom.
        p: how often luck alone makes a difference at least this large, two-sided.
    """

    difference: float
    t: float
    degrees: float
    p: float


def welch(first: Sequence[float], second: Sequence[float]) -> Welch | None:
    """Test whether two groups' means differ, without assuming that they spread alike (Welch 1947).

    Returns:
        None where a group has a single run: one seed cannot tell; and where no group spreads, for then there is
        nothing to hold the difference against.
    """
    if min(len(first), len(second)) < 2 or (np.ptp(first) == 0 and np.ptp(second) == 0):
        return None
    from scipy.special import stdtr

    difference = float(np.mean(first) - np.mean(second))
    # Of the two means. scipy's own test warns where one group does not spread, which is no fault.
    errors = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    t = difference / sum(errors) ** 0.5
    counts = (len(first), len(second))
    degrees = sum(errors) ** 2 / sum(error**2 / (n - 1) for error, n in zip(errors, counts, strict=True))
    return Welch(difference, t, degrees, float(2 * stdtr(degrees, -abs(t))))


def p_words(p: float) -> str:
    """Write a p-value with two digits; it may be too small for a number, but it is never 0."""
    return f"p = {p:.2g}" if p > 0 else "p < 1e-300"


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for how many there are (Holm 1979): of many differences, one is soon large by luck."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected.tolist()


# Two runs on the same test images


@dataclass(frozen=True)
class Pair:
    """What two runs A and B make of the same test images. All are row numbers of the test set.

    Attributes:
        both: images that both get right, how many.
        only_a, only_b: that one gets right and the other wrong, those first where they disagree most.
        same_mistake: both wrong, with the same guess, how many.
        different_mistakes: both wrong, with two guesses, the most confident first.
        p: McNemar's test, exact: how often luck alone divides `only_a` and `only_b` at least this unevenly.
    """

    both: int
    only_a: NDArray[np.int64]
    only_b: NDArray[np.int64]
    same_mistake: int
    different_mistakes: NDArray[np.int64]
    p: float

    @property
    def images(self) -> int:
        return self.both + len(self.only_a) + len(self.only_b) + self.same_mistake + len(self.different_mistakes)


def pair(probs_a: NDArray[np.floating], probs_b: NDArray[np.floating], targets: ArrayLike) -> Pair:
    """Compare two runs image by image.

    Args:
        probs_a, probs_b: (N, num_classes) in [0, 1]; targets: (N,) the true classes.

    Raises:
        RunError: they are not of the same images and classes.
    """
    targets = np.asarray(targets, np.int64)
    if probs_a.shape != probs_b.shape or len(targets) != len(probs_a):
        raise RunError("the two runs were not judged on the same test images, so they cannot be compared one by one")
    guess_a, guess_b = probs_a.argmax(1), probs_b.argmax(1)
    right_a, right_b = guess_a == targets, guess_b == targets
    rows = np.arange(len(targets))
    margin = probs_a[rows, targets].astype(float) - probs_b[rows, targets]
    sure = probs_a.max(1).astype(float) + probs_b.max(1)
    only_a, only_b = np.flatnonzero(right_a & ~right_b), np.flatnonzero(right_b & ~right_a)
    both_wrong = ~right_a & ~right_b
    apart = np.flatnonzero(both_wrong & (guess_a != guess_b))
    return Pair(
        both=int((right_a & right_b).sum()),
        only_a=only_a[np.argsort(-margin[only_a], kind="stable")],
        only_b=only_b[np.argsort(margin[only_b], kind="stable")],
        same_mistake=int((both_wrong & (guess_a == guess_b)).sum()),
        different_mistakes=apart[np.argsort(-sure[apart], kind="stable")],
        p=mcnemar(len(only_a), len(only_b)),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947).

    If both were equally good, each image that one alone gets right would fall to either like a fair coin.
    """
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def overlaps(confusion: ArrayLike) -> NDArray[np.float64]:
    """Return each class's intersection over union; NaN for one that no pixel is of, which does not count in a mean."""
    return np.where(np.asarray(confusion).sum(axis=1) > 0, iou(confusion), np.nan)


@dataclass(frozen=True)
class Masks:
    """What two runs A and B make of the same test images' pixels.

    Attributes:
        right_a, right_b: (n,) the share of each image's pixels that are right, of those that have a class.
        order: (n,) the images, those first where the two shares are furthest apart.
    """

    right_a: NDArray[np.float64]
    right_b: NDArray[np.float64]
    order: NDArray[np.int64]


def masks(first: NDArray[np.uint8], second: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Masks:
    """Compare two runs' masks, each (n, H, W); one may have more images than the other, and those do not count.

    Raises:
        RunError: they are not of the same images.
    """
    count = min(len(first), len(second), len(truth))
    if not first.shape[1:] == second.shape[1:] == truth.shape[1:]:
        raise RunError("the two runs were not judged on the same test images, so they cannot be compared one by one")
    known = truth[:count] != catalog.IGNORE
    right_a, right_b = (
        ((found[:count] == truth[:count]) & known).sum((1, 2)) / known.sum((1, 2)).clip(1) for found in (first, second)
    )
    return Masks(right_a, right_b, np.argsort(-np.abs(right_b - right_a), kind="stable"))
