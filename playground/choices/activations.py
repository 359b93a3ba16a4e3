"""Activations: the bend after each layer."""

import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

Write = Callable[[float], str]
"""How a number is written."""

DEAD, SATURATED = "dead", "saturated"
_DEAD = (
    "A dead unit is {} for every image and every place: no gradient comes back through it, so it cannot learn itself "
    "alive. A lower learning rate, or an activation with a slope below zero, prevents it."
)
_SATURATED = (
    "A saturated unit lies {} for every image and every place: the curve is flat there, so hardly any gradient comes "
    "back. Smaller weights, batch normalisation or ReLU prevent it."
)


@dataclass(frozen=True)
class Activation:
    """One of them.

    Attributes:
        name: its value in a config; title: what it is called on the screen.
        module: where its module's class is, as "torch.nn:ReLU"; it takes no arguments.
        rule: the formula, for a person.
        function: the same for one number.
        written: the formula with a number put in, from the number, how it is written, and how others are to be.
        unit_word: what a unit is called that lies where the curve is flat, for all images.
        unit_meaning: one sentence or two about such units.
        is_flat: which outputs lie there, from a tensor of them to booleans of its shape.
        bounded: whether it is flat at both ends, and so passes little gradient to the first layers.
    """

    name: str
    title: str
    module: str
    rule: str
    function: Callable[[float], float]
    written: Callable[[float, str, Write], str]
    unit_word: str
    unit_meaning: str
    is_flat: "Callable[[Tensor], Tensor]"
    bounded: bool = False

    @property
    def module_class(self) -> "type[nn.Module]":
        """The class of its module."""
        return pkgutil.resolve_name(self.module)


def sigmoid(x: float) -> float:
    """Two forms, so that the exponential cannot overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _softplus(x: float) -> float:
    return x if x > 30 else math.log1p(math.exp(x))


_ENTRIES = (
    Activation(
        name="relu",
        title="ReLU",
        module="torch.nn:ReLU",
        rule="max(0, x)",
        function=lambda x: x if x > 0 or math.isnan(x) else 0.0,
        written=lambda _, x, write: f"max(0, {x})",
        unit_word=DEAD,
        unit_meaning=_DEAD.format("zero"),
        is_flat=lambda v: v <= 0,
    ),
    Activation(
        name="leaky_relu",
        title="Leaky ReLU",
        module="torch.nn:LeakyReLU",
        rule="x where x > 0, else 0.01 · x",
        function=lambda x: x if x > 0 else 0.01 * x,
        written=lambda v, x, write: x if v > 0 else f"0.01 · ({x})",
        unit_word=DEAD,
        unit_meaning="A leaky ReLU has a slope on both sides, so none of its units can die.",
        is_flat=lambda v: v != v,  # no value is
    ),
    Activation(
        name="elu",
        title="ELU",
        module="torch.nn:ELU",
        rule="x where x > 0, else eˣ − 1",
        function=lambda x: x if x > 0 else math.expm1(x),
        written=lambda v, x, write: x if v > 0 else f"e^({x}) − 1",
        unit_word=SATURATED,
        unit_meaning=_SATURATED.format("below −0.98"),
        is_flat=lambda v: v < -0.98,
    ),
    Activation(
        name="gelu",
        title="GELU",
        module="torch.nn:GELU",
        rule="x · Φ(x), Φ the normal distribution's share below x",
        function=lambda x: 0.0 if x == -math.inf else x * _phi(x),
        written=lambda v, x, write: f"{x} · {write(_phi(v))}",
        unit_word=DEAD,
        unit_meaning=_DEAD.format("within 0.01 of zero"),
        is_flat=lambda v: v.abs() <= 0.01,
    ),
    Activation(
        name="silu",
        title="SiLU",
        module="torch.nn:SiLU",
        rule="x · σ(x), σ(x) = 1 / (1 + e⁻ˣ)",
        function=lambda x: 0.0 if x == -math.inf else x * sigmoid(x),
        written=lambda v, x, write: f"{x} · {write(sigmoid(v))}",
        unit_word=DEAD,
        unit_meaning=_DEAD.format("within 0.01 of zero"),
        is_flat=lambda v: v.abs() <= 0.01,
    ),
    Activation(
        name="mish",
        title="Mish",
        module="torch.nn:Mish",
        rule="x · tanh(ln(1 + eˣ))",
        function=lambda x: 0.0 if x == -math.inf else x * math.tanh(_softplus(x)),
        written=lambda v, x, write: f"{x} · tanh({write(_softplus(v))})",
        unit_word=DEAD,
        unit_meaning=_DEAD.format("within 0.01 of zero"),
        is_flat=lambda v: v.abs() <= 0.01,
    ),
    Activation(
        name="sigmoid",
        title="Sigmoid",
        module="torch.nn:Sigmoid",
        rule="1 / (1 + e⁻ˣ)",
        function=sigmoid,
        written=lambda v, _, write: f"1 / (1 + e^({write(-v)}))",
        unit_word=SATURATED,
        unit_meaning=_SATURATED.format("above 0.99 or below 0.01"),
        is_flat=lambda v: (v > 0.99) | (v < 0.01),
        bounded=True,
    ),
    Activation(
        name="tanh",
        title="Tanh",
        module="torch.nn:Tanh",
        rule="(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)",
        function=math.tanh,
        written=lambda _, x, write: f"tanh({x})",
        unit_word=SATURATED,
        unit_meaning=_SATURATED.format("beyond ±0.98"),
        is_flat=lambda v: v.abs() > 0.98,
        bounded=True,
    ),
)
ACTIVATIONS = {entry.name: entry for entry in _ENTRIES}
