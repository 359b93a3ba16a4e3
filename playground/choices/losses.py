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
        code: how a script gives `name` its value from `logits` and `targets`; the places in braces are filled
            according to class weights and label smoothing.
        pixel_code: the same where each pixel has a label: there are `weights`, and where `masks_out`, `known` and
            `classes` too.
        masks_out: whether `pixel_code` needs these two.
    """

    name: str
    words: str
    function: str
    guess: Callable[[NDArray[np.float64]], Any]
    code: str
    pixel_code: str
    averages: bool = True
    smooths: bool = False
    wants_areas: bool = False
    masks_out: bool = False


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


_MEAN = "(each * weights).sum() / weights.sum().clamp(min=1e-6)"
CROSS_ENTROPY = Term(
    name="cross_entropy",
    words="the cross-entropy",
    function="playground.training.losses:cross_entropy",
    guess=lambda p: -(p * np.log(p)).sum(),
    smooths=True,
    code="cross_entropy = F.cross_entropy(logits, targets{weight}{smoothing})",
    pixel_code=(
        'each = F.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORE{smoothing})\n'
        f"cross_entropy = {_MEAN}"
    ),
)
MSE = Term(
    name="mse",
    words="the squared distance between the probabilities and the one-hot target (Brier score)",
    function="playground.training.losses:brier",
    guess=lambda p: 1 - (p**2).sum(),
    smooths=True,
    masks_out=True,
    code=(
        "wanted = F.one_hot(targets, logits.shape[1]).float(){smooth}\n"
        "each = (logits.softmax(1) - wanted).square().sum(1)\n"
        "mse = {mean}"
    ),
    pixel_code=(
        "wanted = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).float(){smooth}\n"
        "each = (logits.softmax(1) - wanted).square().sum(1)\n"
        f"mse = {_MEAN}"
    ),
)
FOCAL = Term(
    name="focal",
    words="the focal loss (Lin et al., 2017)",
    function="playground.training.losses:focal",
    guess=lambda p: -((1 - p) ** 2 * p * np.log(p)).sum(),
    code=(
        'each = F.cross_entropy(logits, targets, reduction="none")\n'
        "each = (1 - torch.exp(-each)) ** 2.0 * each  # what is easy already counts little\n"
        "focal = {mean}"
    ),
    pixel_code=(
        'each = F.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORE)\n'
        "each = (1 - torch.exp(-each)) ** 2.0 * each  # what is easy already counts little\n"
        f"focal = {_MEAN}"
    ),
)
DICE = Term(
    name="dice",
    words="the Dice loss (Milletari et al., 2016)",
    function="playground.training.losses:dice",
    guess=lambda p: 1 - 1 / len(p),
    averages=False,
    wants_areas=True,
    masks_out=True,
    code=(
        "probs = logits.softmax(1)\n"
        "of_truth = probs.gather(1, targets[:, None])[:, 0]\n"
        "overlap = probs.new_zeros(logits.shape[1]).index_add(0, targets, of_truth)\n"
        "true = torch.bincount(targets, minlength=logits.shape[1]).float()\n"
        "areas = (probs.sum(0) + true).clamp(min=1e-6)\n"
        "# 1 minus the mean overlap of the batch's classes\n"
        "dice = 1 - (2 * overlap / areas).sum() / (true > 0).sum()"
    ),
    pixel_code=(
        "probs = logits.softmax(1)\n"
        "of_truth = probs.gather(1, classes[:, None])[:, 0] * known\n"
        "none = probs.new_zeros(logits.shape[1])\n"
        "overlap = none.index_add(0, classes.flatten(), of_truth.flatten())\n"
        "true = none.index_add(0, classes.flatten(), known.flatten().float())\n"
        "areas = (probs * known[:, None]).sum((0, 2, 3)) + true\n"
        "# 1 minus the mean overlap of the batch's classes\n"
        "dice = 1 - (2 * overlap / areas.clamp(min=1e-6)).sum() / (true > 0).sum().clamp(min=1)"
    ),
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
