"""How one number on the screen came about: what it was made from, written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import nn

from playground.choices import ACTIVATIONS, norm_of
from playground.geometry import Layer
from playground.interpret import ops
from playground.interpret.errors import InterpretError
from playground.interpret.network import open_network
from playground.interpret.ops import Step
from playground.interpret.receptive_field import ReceptiveField, check_index, compute_receptive_field, unravel_index
from playground.interpret.trace import Trace


@dataclass(frozen=True)
class Arithmetic:
    """One number of one layer.

    Attributes:
        name, kind: of the layer.
        index: (map, row, column), or (unit,).
        source: the layer whose output it was made from; "" for the input.
        step: the numbers and the rule; `step.output` is computed again from them, in float64.
        traced: the number that the network itself computed, in float32.
        field: what it sees of the input image.
    """

    name: str
    kind: str
    index: tuple[int, ...]
    source: str
    step: Step
    traced: float
    field: ReceptiveField


def explain_number(net: nn.Module, trace: Trace, name: str, index: Sequence[int], most: int = 8) -> Arithmetic:
    """Write out the arithmetic that made one number.

    Args:
        net: the network that was traced.
        trace: of the image.
        name: "input", a layer, or "softmax".
        index: (map, row, column), or (unit,) after the flattening, counted from 0.
        most: of a fully connected unit, how many contributions are listed one by one.

    Raises:
        InterpretError: there is no such layer or place, or the trace is another network's.
    """
    output = trace[name]
    place = check_index(name, output.shape, index)
    pairs = {layer.name: (layer, module) for layer, module in open_network(net)}
    if tuple(layer for layer, _ in pairs.values()) != trace.chain:
        raise InterpretError("This trace is of another network; trace the image again")
    if name == "input":
        step: Step = ops.pixel(int(trace.image[place]), trace.mean[place[0]], trace.std[place[0]])
        source = ""
    else:
        fed = trace.before(name)
        source = fed.name
        step = ops.softmax(fed.values, place[0]) if name == "softmax" else _step(*pairs[name], fed.values, place, most)
    return Arithmetic(
        name,
        output.kind,
        place,
        source,
        step,
        float(output.values[place]),
        compute_receptive_field(trace.chain, name, place),
    )


def name_activation(module: nn.Module) -> str:
    """Return the knob's value of an activation's module, such as "relu"."""
    return next(name for name, entry in ACTIVATIONS.items() if type(module) is entry.module_class)


def find_inputs(trace: Trace, name: str, units: np.ndarray) -> list[tuple[int, ...]]:
    """Return where inputs of a fully connected layer come from: (map, row, column) of the last maps, else (unit,)."""
    fed = trace.before(name)
    if fed.name != "flatten":
        return [(int(unit),) for unit in units]
    return [unravel_index(int(unit), trace.before("flatten").shape) for unit in units]


def _taps(layer: Layer, position: int) -> np.ndarray:
    """Return where the window's taps lie along one side of the input map."""
    return position * layer.stride - layer.padding + np.arange(layer.kernel_size) * layer.dilation


def _step(layer: Layer, module: nn.Module, fed: np.ndarray, place: tuple[int, ...], most: int) -> Step:
    match layer.kind:
        case "conv":
            assert isinstance(module, nn.Conv2d) and module.bias is not None
            kernel, bias = module.weight[place[0]].detach().numpy(), float(module.bias[place[0]])
            return ops.conv(fed, kernel, bias, _taps(layer, place[1]), _taps(layer, place[2]))
        case "norm":
            entry, made = norm_of(module), cast(Any, module)
            mean, variance = entry.statistics(made, fed, place[0])
            gamma, beta = float(made.weight[place[0]]), float(made.bias[place[0]])
            return ops.norm(entry, float(fed[place]), mean, variance, made.eps, gamma, beta)
        case "activation":
            return ops.activation(name_activation(module), float(fed[place]))
        case "pool":
            maximum = isinstance(module, nn.MaxPool2d)
            assert maximum or isinstance(module, nn.AvgPool2d), "another pooling needs its own arithmetic"
            return ops.pool(fed[place[0]], _taps(layer, place[1]), _taps(layer, place[2]), maximum)
        case "linear":
            assert isinstance(module, nn.Linear)
            return ops.linear(fed, module.weight[place[0]].detach().numpy(), float(module.bias[place[0]]), most)
        case "flatten":
            source = unravel_index(place[0], fed.shape)
            return ops.same(float(fed[source]), source, "the maps' numbers, one after the other")
        case "dropout":
            return ops.same(float(fed[place]), place, "nothing is dropped outside training")
    raise InterpretError(f"{layer.kind} layers are none of a chain")
