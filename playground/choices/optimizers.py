"""Optimizers: how a gradient becomes a step."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class Optimizer:
    """One of them.

    Attributes:
        name: its value in a config; title: what it is called on the screen.
        optimizer: where its class is, as "torch.optim:SGD".
        options: what its class is told besides parameters, rate and weight decay, from the knobs.
        fused: whether its class can take the step in one kernel.
        decays_by_default: whether its class decays the weights unless it is told not to.
        full_batch: whether one step takes all training images.
        for_hidden: where the class is that the hidden layers' matrices get instead, with `options`, or empty.
    """

    name: str
    title: str
    optimizer: str
    options: Callable[[Any], Mapping[str, Any]] = lambda training: {}
    fused: bool = True
    decays_by_default: bool = False
    full_batch: bool = False
    for_hidden: str = ""

    @property
    def optimizer_class(self) -> "Callable[..., TorchOptimizer]":
        """The class of it."""
        return pkgutil.resolve_name(self.optimizer)

    @property
    def hidden_class(self) -> "Callable[..., TorchOptimizer]":
        """The class for the hidden layers' matrices."""
        return pkgutil.resolve_name(self.for_hidden)

    @property
    def uses_momentum(self) -> bool:
        """Whether the knob momentum does anything."""
        return "momentum" in self.options(_Rolling)


class _Rolling:
    """Knobs as they are where momentum could matter."""

    momentum = 0.9


def _momentum(training: Any) -> Mapping[str, Any]:
    return {"momentum": training.momentum}


def _nesterov(training: Any) -> Mapping[str, Any]:
    # The look-ahead is defined for a momentum above zero only.
    return {"momentum": training.momentum} | ({"nesterov": True} if training.momentum > 0 else {})


_ENTRIES = (
    Optimizer("gradient_descent", "Gradient descent (full batch)", "torch.optim:SGD", full_batch=True),
    Optimizer("sgd", "SGD", "torch.optim:SGD"),
    Optimizer("momentum", "Momentum", "torch.optim:SGD", _momentum),
    Optimizer("nesterov", "Nesterov", "torch.optim:SGD", _nesterov),
    Optimizer("rmsprop", "RMSprop", "torch.optim:RMSprop", _momentum, fused=False),
    Optimizer("adam", "Adam", "torch.optim:Adam"),
    Optimizer("adamw", "AdamW", "torch.optim:AdamW", decays_by_default=True),
    Optimizer(
        "muon",
        "Muon",
        "torch.optim:AdamW",
        _momentum,
        decays_by_default=True,
        for_hidden="playground.training.optim:Muon",
    ),
)
OPTIMIZERS = {entry.name: entry for entry in _ENTRIES}
