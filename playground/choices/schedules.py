"""Schedules: how the learning rate moves over a run.

Each is a function of the share of the steps that is behind, `done` in [0, 1], to the factor on the learning rate. An
exported script holds it as it is written here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """One of them.

    Attributes:
        name: its value in a config; title: what it is called on the screen.
        factor: a function of this or another module, standing alone but for `math`, with a docstring of one line.
        rises_until: the share of the run up to which it speeds up; slow until then is by design.
        lowers: whether the steps are shorter at the end than at their longest.
        probes: whether it raises the rate until training breaks, so that nothing can be said of how well it learns.
    """

    name: str
    title: str
    factor: Callable[[float], float]
    rises_until: float = 0.0
    lowers: bool = True
    probes: bool = False


def constant(done: float) -> float:
    """Stay as it is."""
    return 1.0


def step(done: float) -> float:
    """Divide by 10 at half and at three quarters (He et al., 2016)."""
    return 0.1 ** ((done >= 0.5) + (done >= 0.75))


def cosine(done: float) -> float:
    """Fall along a cosine (Loshchilov & Hutter, 2017)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def one_cycle(done: float) -> float:
    """Rise in a line from 4 % over the first quarter, then fall in a line to 0 (after Smith, 2018)."""
    return 0.04 + 0.96 * done / 0.25 if done < 0.25 else (1 - done) / 0.75


def warm_up(done: float) -> float:
    """Rise in a line from 4 % over the first tenth, then fall along a cosine (Goyal et al., 2017)."""
    return 0.04 + 9.6 * done if done < 0.1 else 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))


def range_test(done: float) -> float:
    """Rise by the same factor in each step, from a ten-thousandth to 1 (Smith, 2017)."""
    return 10_000.0 ** (done - 1)


_ENTRIES = (
    Schedule("constant", "Constant", constant, lowers=False),
    Schedule("step", "Step", step),
    Schedule("cosine", "Cosine", cosine),
    Schedule("one_cycle", "One-cycle", one_cycle, rises_until=0.25),
    Schedule("warm_up", "Warm-up, then cosine", warm_up, rises_until=0.1),
    Schedule("range_test", "Range test", range_test, lowers=False, probes=True),
)
SCHEDULES = {entry.name: entry for entry in _ENTRIES}
