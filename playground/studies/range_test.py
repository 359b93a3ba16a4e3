"""The learning rate that a range test suggests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.plots import smooth

SMOOTHING = 0.8
SETTLING = 0.1
"""Share of the curve at its start that is left out: its moving average still follows single batches."""


@dataclass(frozen=True)
class RangeTest:
    """What the curve of a range test shows.

    Attributes:
        rates, losses: (N,) the learning rates, and the smoothed loss at each.
        steepest: the rate at which the loss falls fastest, rounded to two digits; None while it has not fallen.
        breaks: the rate at which the loss is back where it began, or is no number any more; None if it never is.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    steepest: float | None
    breaks: float | None


def read_range_test(rates: Sequence[float], losses: Sequence[float], diverged: bool = False) -> RangeTest:
    """Read the curve.

    Args:
        rates: (N,) rising; losses: (N,) the mean training loss up to each.
        diverged: whether the run ended because its numbers were finite no more.
    """
    x, y = np.array(rates, float), smooth(np.array(losses, float), SMOOTHING)
    first = int(len(x) * SETTLING)
    if len(x) < 10:
        return RangeTest(x, y, None, None)
    lowest = first + int(y[first:].argmin())
    steepest = None
    if lowest - first > 2:
        slope = np.gradient(y[first : lowest + 1], np.log(x[first : lowest + 1]))
        steepest = float(f"{x[first + int(slope.argmin())]:.2g}")
    back = np.flatnonzero(y[lowest:] >= y[first])
    breaks = x[lowest + back[0]] if back.size and back[0] else x[-1] if diverged else None
    return RangeTest(x, y, steepest, None if breaks is None else float(f"{breaks:.2g}"))
