"""Losses: what is made small. Each is one term, or the sum of several."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Term:
    """What is computed of logits and targets.

    Attributes:
        name: a Python name for its value.
        words: what it is, as the exported script says it.
        function: where it is computed, as "playground.training.losses:focal": a function of logits, targets, the knobs
            of training and the weights of the classes, or None.
        guess: the value of answering every image with the classes' shares p (K,), about.
        averages: whether it is a mean over images or pixels, of which some may count for more.
        smooths: whether label smoothing changes it.
        wants_areas: whether it compares what classes cover, so that a rare one counts as much as a common one.
    """

    name: str
    words: str
    function: str
    guess: Callable[[NDArray[np.float64]], Any]
    averages: bool = True
    smooths: bool = False
    wants_areas: bool = False


@dataclass(frozen=True)
class Loss:
    """One of them: the sum of its terms. `name` is its value in a config, `title` what it is called on the screen."""

    name: str
    title: str
    terms: tuple[Term, ...]

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """What computes the terms."""
        return [pkgutil.resolve_name(term.function) for term in self.terms]

    @property
    def averages(self) -> bool:
        """Whether some images or pixels may count for more than others in it."""
        return any(term.averages for term in self.terms)

    @property
    def smooths(self) -> bool:
        """Whether label smoothing changes it."""
        return any(term.smooths for term in self.terms)

    @property
    def wants_areas(self) -> bool:
        """Whether it lets a rare class count as much as a common one."""
        return any(term.wants_areas for term in self.terms)

    def guess(self, shares: NDArray[np.float64]) -> float:
        """Return what answering every image with the classes' shares costs, about."""
        return float(sum(term.guess(shares) for term in self.terms))


CROSS_ENTROPY = Term(
    name="cross_entropy",
    words="the cross-entropy",
    function="playground.training.losses:cross_entropy",
    guess=lambda p: -(p * np.log(p)).sum(),
    smooths=True,
)
MSE = Term(
    name="mse",
    words="the squared distance between the probabilities and the one-hot target (Brier score)",
    function="playground.training.losses:brier",
    guess=lambda p: 1 - (p**2).sum(),
    smooths=True,
)
FOCAL = Term(
    name="focal",
    words="the focal loss (Lin et al., 2017)",
    function="playground.training.losses:focal",
    guess=lambda p: -((1 - p) ** 2 * p * np.log(p)).sum(),
)
DICE = Term(
    name="dice",
    words="the Dice loss (Milletari et al., 2016)",
    function="playground.training.losses:dice",
    guess=lambda p: 1 - 1 / len(p),
    averages=False,
    wants_areas=True,
)

_ENTRIES = (
    Loss("cross_entropy", "Cross-entropy", (CROSS_ENTROPY,)),
    Loss("mse", "MSE", (MSE,)),
    Loss("dice", "Dice", (DICE,)),
    Loss("focal", "Focal", (FOCAL,)),
    Loss("cross_entropy_dice", "Cross-entropy + Dice", (CROSS_ENTROPY, DICE)),
    Loss("focal_dice", "Focal + Dice", (FOCAL, DICE)),
)
LOSSES = {entry.name: entry for entry in _ENTRIES}
