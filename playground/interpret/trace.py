"""One forward pass that keeps every layer's output."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from playground.geometry import Layer
from playground.interpret.errors import InterpretError
from playground.interpret.network import list_layers, open_network, prepare_image


@dataclass(frozen=True)
class Output:
    """What one layer made of the image.

    Attributes:
        name: "input", the layer's name, or "softmax".
        kind: "input", the layer's kind, or "softmax".
        values: float32 (C, H, W) maps, or (units,) after the flattening.
        low, mean, high: over all values that are finite; NaN where none is.
    """

    name: str
    kind: str
    values: np.ndarray
    low: float
    mean: float
    high: float

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


@dataclass(frozen=True)
class Trace:
    """An image's way through a network in evaluation mode, in float32.

    Attributes:
        image: uint8 (C, H, W), as it was given.
        mean, std: what it was normalised with.
        chain: the network's layers.
        outputs: the normalised input, each layer of the chain, and the softmax, in order.
    """

    image: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]
    chain: tuple[Layer, ...]
    outputs: tuple[Output, ...]

    def __getitem__(self, name: str) -> Output:
        """Return the output of the layer of that name.

        Raises:
            InterpretError: there is no such layer.
        """
        return self.outputs[self._position(name)]

    def before(self, name: str) -> Output:
        """Return what a layer was fed.

        Raises:
            InterpretError: there is no such layer, or it is the input.
        """
        position = self._position(name)
        if not position:
            raise InterpretError("Nothing comes before the input")
        return self.outputs[position - 1]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)

    @property
    def logits(self) -> np.ndarray:
        """float32 (num_classes,)."""
        return self.outputs[-2].values

    @property
    def probs(self) -> np.ndarray:
        """float32 (num_classes,)."""
        return self.outputs[-1].values

    def _position(self, name: str) -> int:
        if name not in self.names:
            raise InterpretError(f"This network has no layer {name[:60]!r}; {list_layers(self.names)}")
        return self.names.index(name)


def trace_image(net: nn.Module, image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Trace:
    """Send an image through a network and keep what each layer makes of it.

    Everything is float32, with no autocast, as in `inference.predict`.

    Args:
        net: on the CPU; it is not changed.
        image: uint8 (C, H, W), of the network's input shape.
        mean, std: per channel, for pixels in [0, 1].

    Raises:
        InterpretError: the image has another shape, or the network is no chain of layers.
    """
    pairs = open_network(net)
    maps = prepare_image(net, np.asarray(image)[None], mean, std)
    outputs = [_output("input", "input", maps)]
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        for layer, module in pairs:
            maps = module(maps)
            outputs.append(_output(layer.name, layer.kind, maps))
        outputs.append(_output("softmax", "softmax", maps.softmax(1)))
    chain = tuple(layer for layer, _ in pairs)
    return Trace(np.asarray(image), tuple(mean), tuple(std), chain, tuple(outputs))


def _output(name: str, kind: str, maps: Tensor) -> Output:
    values = np.ascontiguousarray(maps[0].numpy())
    finite = values if np.isfinite(values).all() else values[np.isfinite(values)]
    if not finite.size:
        return Output(name, kind, values, np.nan, np.nan, np.nan)
    return Output(name, kind, values, float(finite.min()), float(finite.mean(dtype=np.float64)), float(finite.max()))
