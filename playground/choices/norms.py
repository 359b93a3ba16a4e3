"""Norms: what centres and scales the maps after each convolution."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Norm:
    """One of them. Each has a factor γ and an offset β for each map, which are learned.

    Attributes:
        name: its value in a config; title: what it is called on the screen; help: what it does, the rest of a
            sentence that begins with its title.
        module: where its module's class is, as "torch.nn:GroupNorm". Empty: maps are left as they are.
        plain: where torch's own class is, if the same unless a map is one pixel: what an exported script has then.
        arguments: what the class is given, from the number of maps.
        keeps_averages: whether it learns running averages from the batches, and goes by these once it is trained. Then
            a number depends on no other; else it depends on the image, or the window of it, that it is part of.
        rule: the formula, for a person.
        statistics: the mean and the variance that one map is centred and scaled by after training, from the module,
            the maps (C, H, W) of one image and the number of the map.
        words: what these two are called on the screen.
        source: who thought of it.
    """

    name: str
    title: str
    help: str = ""
    module: str = ""
    plain: str = ""
    arguments: Callable[[int], tuple[int, ...]] = lambda channels: (channels,)
    keeps_averages: bool = False
    rule: str = ""
    statistics: "Callable[[Any, np.ndarray, int], tuple[float, float]]" = lambda module, maps, channel: (0.0, 1.0)
    words: tuple[str, str] = ("mean", "variance")
    source: str = ""

    @property
    def module_class(self) -> "Callable[..., nn.Module]":
        """The class of its module."""
        return pkgutil.resolve_name(self.module)


def norm_of(module: "nn.Module") -> Norm:
    """Return the entry that a norm's module is of."""
    return next(entry for entry in NORMS.values() if entry.module and type(module) is entry.module_class)


def _running(module: Any, maps: "np.ndarray", channel: int) -> tuple[float, float]:
    return float(module.running_mean[channel]), float(module.running_var[channel])


GROUPS = 8
"""So many groups of maps there are, or as many as leave two maps in each."""


def _groups(channels: int) -> int:
    return max((count for count in range(1, GROUPS + 1) if channels % count == 0 and channels // count > 1), default=1)


def _of_its_group(module: Any, maps: "np.ndarray", channel: int) -> tuple[float, float]:
    size = len(maps) // module.num_groups
    first = channel - channel % size
    group = maps[first : first + size].astype("float64")
    return float(group.mean()), float(group.var())


_ENTRIES = (
    Norm("none", "None"),
    Norm(
        name="batch",
        title="Batch",
        help="goes by the images of a step together",
        module="playground.models.cnn:Norm",
        plain="torch.nn:BatchNorm2d",
        keeps_averages=True,
        rule="(input − running mean) / √(running variance + ε) × γ + β",
        statistics=_running,
        words=("running mean", "running variance"),
        source="Ioffe & Szegedy, 2015",
    ),
    Norm(
        name="group",
        title="Group",
        help="goes by each image alone, in eight groups of maps or fewer",
        module="torch.nn:GroupNorm",
        arguments=lambda channels: (_groups(channels), channels),
        rule="(input − mean of the group) / √(variance of the group + ε) × γ + β",
        statistics=_of_its_group,
        words=("mean of the group", "variance of the group"),
        source="Wu & He, 2018",
    ),
)
NORMS = {entry.name: entry for entry in _ENTRIES}
