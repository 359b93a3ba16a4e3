"""Dead and saturated units: those that say the same to every image, and pass no gradient back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from playground.interpret.arithmetic import activation_name
from playground.interpret.network import Budget, opened, outputs


@dataclass(frozen=True)
class _Rule:
    word: str
    meaning: str
    flat: Callable[[Tensor], Tensor]


_ZERO = (
    "A dead unit is {} for every image and every place: no gradient comes back through it, so it cannot learn itself "
    "alive. A lower learning rate, or an activation with a slope below zero, prevents it."
)
_SATURATED = (
    "A saturated unit lies {} for every image and every place: the curve is flat there, so hardly any gradient comes "
    "back. Smaller weights, batch normalisation or ReLU prevent it."
)
RULES = {
    "relu": _Rule("dead", _ZERO.format("zero"), lambda v: v <= 0),
    "gelu": _Rule("dead", _ZERO.format("within 0.01 of zero"), lambda v: v.abs() <= 0.01),
    "silu": _Rule("dead", _ZERO.format("within 0.01 of zero"), lambda v: v.abs() <= 0.01),
    "sigmoid": _Rule("saturated", _SATURATED.format("above 0.99 or below 0.01"), lambda v: (v > 0.99) | (v < 0.01)),
    "tanh": _Rule("saturated", _SATURATED.format("beyond ±0.98"), lambda v: v.abs() > 0.98),
    "elu": _Rule("saturated", _SATURATED.format("below −0.98"), lambda v: v < -0.98),
    "leaky_relu": _Rule(
        "dead",
        "A leaky ReLU has a slope on both sides, so none of its units can die.",
        lambda v: v != v,  # no value is flat
    ),
}


@dataclass(frozen=True)
class Health:
    """The units of one activation, over the images seen. A unit of a convolution is a whole map.

    Attributes:
        layer: the activation's name.
        word: "dead" or "saturated", what `flat` units are.
        meaning: one sentence or two for a person.
        share: (units,) float64, of the unit's values (over images and places) the part that is flat, in [0, 1].
        flat: (units,) bool, all of them are.
        images: how many images were seen; fewer than were given if the time ran out.
    """

    layer: str
    word: str
    meaning: str
    share: np.ndarray
    flat: np.ndarray
    images: int

    @property
    def count(self) -> int:
        return int(self.flat.sum())

    @property
    def sentence(self) -> str:
        """Such as "block1.act1: 3 of 24 units are dead"."""
        return f"{self.layer}: {self.count} of {len(self.flat)} units are {self.word}"


def health(
    net: nn.Module, images: np.ndarray, mean: Sequence[float], std: Sequence[float], budget: Budget | None = None
) -> list[Health]:
    """Look for dead and saturated units in every activation, in one pass over the images.

    Args:
        images: uint8 (N, C, H, W), such as the test set's.

    Raises:
        InterpretError: there are no images, or they have another shape.
    """
    rules = {layer.name: RULES[activation_name(module)] for layer, module in opened(net) if layer.kind == "activation"}
    if not rules:
        return []
    counts: dict[str, np.ndarray] = {}
    places: dict[str, int] = {}
    seen: dict[str, int] = dict.fromkeys(rules, 0)
    for _, name, maps in outputs(net, images, mean, std, list(rules), budget):
        flat = rules[name].flat(maps).flatten(2) if maps.ndim == 4 else rules[name].flat(maps)[..., None]
        counts[name] = counts.get(name, 0) + flat.sum((0, 2)).numpy()
        places[name] = flat.shape[2]
        seen[name] += len(maps)
    found = []
    for name, rule in rules.items():
        total = seen[name] * places[name]
        flat = counts[name] == total
        found.append(Health(name, rule.word, rule.meaning, counts[name] / total, flat, seen[name]))
    return found
