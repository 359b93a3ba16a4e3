"""Poolings: how each window of a map shrinks to one number."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Pooling:
    """One of them.

    Attributes:
        name: its value in a config; title: what it is called on the screen.
        module: where its module's class is, as "torch.nn:MaxPool2d"; it takes the window's side, and the stride, which
            is the same. Empty: maps are not pooled.
    """

    name: str
    title: str
    module: str

    @property
    def module_class(self) -> "Callable[..., nn.Module]":
        """The class of its module."""
        return pkgutil.resolve_name(self.module)


_ENTRIES = (
    Pooling("max", "Max", "torch.nn:MaxPool2d"),
    Pooling("average", "Average", "torch.nn:AvgPool2d"),
    Pooling("none", "None", ""),
)
POOLINGS = {entry.name: entry for entry in _ENTRIES}
