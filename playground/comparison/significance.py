"""Whether a difference is more than luck: the spread over seeds and folds, and Welch's test."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from playground.comparison.settings import drop_seed
from playground.config import RunConfig

ALPHA = 0.05
"""A difference that luck alone would make less often than this is called more than luck."""


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


def group_members(members: Sequence[Member]) -> list[Group]:
    """Put runs together whose configs, and changes on the way, are equal but for seed and fold; the best mean first."""
    found: dict[Any, dict[tuple[int, int], Member]] = {}
    for member in members:
        training, data = member.config.training, member.config.data
        same = drop_seed(member.config), member.changes
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


@dataclass(frozen=True)
class WelchTest:
    """Welch's t-test of two groups' means.

    Attributes:
        difference: the first mean less the second; t, degrees: the statistic and its degrees of freedom.
        p: how often luck alone makes a difference at least this large, two-sided.
    """

    difference: float
    t: float
    degrees: float
    p: float


def run_welch_test(first: Sequence[float], second: Sequence[float]) -> WelchTest | None:
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
    return WelchTest(difference, t, degrees, float(2 * stdtr(degrees, -abs(t))))


def write_p_value(p: float) -> str:
    """Write a p-value with two digits; it may be too small for a number, but it is never 0."""
    return f"p = {p:.2g}" if p > 0 else "p < 1e-300"


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for how many there are (Holm 1979): of many differences, one is soon large by luck."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected.tolist()
