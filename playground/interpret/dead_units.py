"""Dead and saturated units: those that say the same to every image, and pass no gradient back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from playground.choices import ACTIVATIONS
from playground.interpret.arithmetic import name_activation
from playground.interpret.network import Budget, compute_outputs, open_network


@dataclass(frozen=True)
class UnitHealth:
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


def examine_layers(
    net: nn.Module, images: np.ndarray, mean: Sequence[float], std: Sequence[float], budget: Budget | None = None
) -> list[UnitHealth]:
    """Look for dead and saturated units in every activation, in one pass over the images.

    Args:
        images: uint8 (N, C, H, W), such as the test set's.

    Raises:
        InterpretError: there are no images, or they have another shape.
    """
    rules = {
        layer.name: ACTIVATIONS[name_activation(module)]
        for layer, module in open_network(net)
        if layer.kind == "activation"
    }
    if not rules:
        return []
    counts: dict[str, np.ndarray] = {}
    places: dict[str, int] = {}
    seen: dict[str, int] = dict.fromkeys(rules, 0)
    for _, name, maps in compute_outputs(net, images, mean, std, list(rules), budget):
        flat = rules[name].is_flat(maps).flatten(2) if maps.ndim == 4 else rules[name].is_flat(maps)[..., None]
        counts[name] = counts.get(name, 0) + flat.sum((0, 2)).numpy()
        places[name] = flat.shape[2]
        seen[name] += len(maps)
    found = []
    for name, rule in rules.items():
        total = seen[name] * places[name]
        flat = counts[name] == total
        found.append(UnitHealth(name, rule.unit_word, rule.unit_meaning, counts[name] / total, flat, seen[name]))
    return found
