"""The network as a list of layers: shapes, parameters and multiplications, by arithmetic alone.

The list is the network's one definition: the layer table on the screen shows it, and `models.cnn` builds its modules
from it. It needs no torch, so the form can follow each knob at once.
"""

import math
from dataclasses import dataclass
from typing import Literal

from playground.choices import NORMS, POOLINGS
from playground.config import ConfigError, ModelConfig
from playground.tasks import TASKS

Kind = Literal["conv", "norm", "activation", "pool", "dropout", "flatten", "linear", "up", "concat", "add"]
POOL_SIZE = 2
INPUT = "input"
"""What `Layer.source` calls the image itself."""
MAX_PARAMETERS = 100_000_000
"""A larger network is a slip of a knob: its weights, gradients and averages would fill the memory of most machines."""


class GeometryError(ConfigError):
    """A map would shrink below 1×1 or the network grow too large; names the layer and a knob that helps."""


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: "block1.conv1", "fc1", "output" …, unique in the network; also the name of its weights.
        in_shape, out_shape: (channels, height, width) of maps, (units,) after the flattening.
        parameters: weights and biases that are learned.
        macs: multiply-accumulate operations for one image; those of convolutions and fully connected layers count.
        kernel_size, stride, padding, dilation: of "conv" and "pool", and of an "up" that is learned, else 0.
        source: the earlier layer that a "concat" or an "add" joins to the one before, whose size an "up" takes, or that
            a "conv" reads in place of the one before; "" where there is none.
    """

    name: str
    kind: Kind
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    parameters: int = 0
    macs: int = 0
    kernel_size: int = 0
    stride: int = 0
    padding: int = 0
    dilation: int = 0
    source: str = ""


def window_steps(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> int:
    """Return how many places a window takes along one side: the size of the map that comes out, 0 if it cannot fit."""
    reach = dilation * (kernel_size - 1) + 1
    return max(0, (size + 2 * padding - reach) // stride + 1)


def padding_of(model: ModelConfig) -> int:
    """Return the padding in pixels; "same" is what keeps the size of a map under an odd kernel at stride 1."""
    return model.dilation * (model.kernel_size - 1) // 2 if model.padding == "same" else int(model.padding)


class _Builder:
    """Appends layers, each fed by the one before."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.layers: list[Layer] = []
        self.shape = shape
        self.parameters = 0

    def add(
        self, name: str, kind: Kind, out_shape: tuple[int, ...] | None = None, source: str = "", **numbers: int
    ) -> None:
        layer = Layer(name, kind, self.shape, out_shape or self.shape, source=source, **numbers)
        self.layers.append(layer)
        self.shape = layer.out_shape
        self.parameters += layer.parameters
        if self.parameters > MAX_PARAMETERS:
            raise GeometryError(
                f"{name}: the network would have {self.parameters:,} parameters up to here, the limit is "
                f"{MAX_PARAMETERS:,}; take fewer channels, a smaller kernel or width, or pooling"
            )

    def conv(self, name: str, model: ModelConfig, channels: int, stride: int) -> None:
        depth, height, width = self.shape
        padding = padding_of(model)
        sides = [window_steps(side, model.kernel_size, stride, padding, model.dilation) for side in (height, width)]
        if 0 in sides:
            reach = model.dilation * (model.kernel_size - 1) + 1
            raise GeometryError(
                f"{name}: a window of {reach}×{reach} does not fit a map of {height}×{width} with padding {padding}; "
                "take a smaller kernel, dilation or stride, more padding or fewer blocks"
            )
        weights = channels * depth * model.kernel_size**2
        self.add(
            name,
            "conv",
            (channels, *sides),
            parameters=weights + channels,
            macs=weights * math.prod(sides),
            kernel_size=model.kernel_size,
            stride=stride,
            padding=padding,
            dilation=model.dilation,
        )

    def pool(self, name: str) -> None:
        depth, height, width = self.shape
        sides = [window_steps(side, POOL_SIZE, POOL_SIZE, 0, 1) for side in (height, width)]
        if 0 in sides:
            raise GeometryError(
                f"{name}: a {POOL_SIZE}×{POOL_SIZE} window does not fit a map of {height}×{width}; "
                "take fewer blocks, a smaller stride or kernel, more padding, or no pooling"
            )
        self.add(name, "pool", (depth, *sides), kernel_size=POOL_SIZE, stride=POOL_SIZE, dilation=1)

    def linear(self, name: str, units: int) -> None:
        weights = self.shape[0] * units
        self.add(name, "linear", (units,), parameters=weights + units, macs=weights)


def layers(
    model: ModelConfig, input_shape: tuple[int, int, int], num_classes: int, task: str = "classification"
) -> tuple[Layer, ...]:
    """Lay out the network that the knobs describe.

    Args:
        input_shape: (channels, height, width) of an image.
        task: one of `TASKS`: what the network is asked for.

    Raises:
        GeometryError: a map would shrink below 1×1, there would be too many parameters, or the architecture is none for
            the task; one line, that names the layer.
    """
    architecture = model.architecture
    wanted = TASKS[task]
    if architecture == "auto":
        architecture = wanted.architectures[0]
    if architecture not in wanted.architectures:
        takes = ", ".join(wanted.architectures)
        raise GeometryError(
            f"the data set has one label for each {wanted.unit}: architecture takes auto, {takes}, not {architecture}"
        )
    net = _Builder(input_shape)
    lay_out = {"cnn": _cnn, "unet": _unet, "fcn": _fcn}[architecture]
    lay_out(net, model, num_classes)
    return tuple(net.layers)


def _block(net: _Builder, name: str, model: ModelConfig, channels: int, stride: int) -> None:
    """Add [convolution, norm, activation]…, the first with the stride."""
    for c in range(1, model.convs_per_block + 1):
        net.conv(f"{name}.conv{c}", model, channels, stride if c == 1 else 1)
        if NORMS[model.norm].module:
            if math.prod(net.shape) == 1 and not NORMS[model.norm].keeps_averages:
                raise GeometryError(
                    f"{name}.norm{c}: a single number is 0 once it is centred; take two channels or more, fewer "
                    "blocks, or another norm"
                )
            net.add(f"{name}.norm{c}", "norm", parameters=2 * channels)
        net.add(f"{name}.act{c}", "activation")


def _cnn(net: _Builder, model: ModelConfig, num_classes: int) -> None:
    """Blocks of convolutions, pooling and dropout; then fully connected layers."""
    for b, channels in enumerate(model.channels, 1):
        _block(net, f"block{b}", model, channels, model.stride)
        if POOLINGS[model.pooling].module:
            net.pool(f"block{b}.pool")
        net.add(f"block{b}.dropout", "dropout")
    net.add("flatten", "flatten", (math.prod(net.shape),))
    if model.fc_width:
        net.linear("fc1", model.fc_width)
        net.add("fc1_act", "activation")
        net.add("fc1_dropout", "dropout")
    net.linear("output", num_classes)


def _encoder(net: _Builder, model: ModelConfig) -> list[Layer]:
    """Add the blocks on the way down; return each block's last layer.

    Between two blocks the maps are halved, by pooling or, without pooling, by the next convolution. The knob `stride`
    is that of the very first convolution.
    """
    ends, pools = [], bool(POOLINGS[model.pooling].module)
    for b, channels in enumerate(model.channels, 1):
        first = b == 1
        if not first and pools:
            net.pool(f"block{b - 1}.pool")
        _block(net, f"block{b}", model, channels, model.stride if first else 1 if pools else 2)
        net.add(f"block{b}.dropout", "dropout")
        ends.append(net.layers[-1])
    return ends


def _unet(net: _Builder, model: ModelConfig, num_classes: int) -> None:
    """Down and up again, each block on the way up with what the block across saw (Ronneberger et al., 2015)."""
    *skips, _ = _encoder(net, model)
    for b, across in reversed(list(enumerate(skips, 1))):
        _up(net, f"up{b}", model, across, across.out_shape[0])
        if model.skips:
            joined = (net.shape[0] + across.out_shape[0], *net.shape[1:])
            net.add(f"up{b}.skip", "concat", joined, across.name)
        _block(net, f"up{b}", model, across.out_shape[0], 1)
    _pointwise(net, "output", num_classes)
    _to_input(net)


def _fcn(net: _Builder, model: ModelConfig, num_classes: int) -> None:
    """Down, then a score for each class, scaled up; with skips finer blocks add theirs (Long et al., 2015)."""
    *skips, _ = _encoder(net, model)
    _pointwise(net, "output" if not (model.skips and skips) else f"score{len(skips) + 1}", num_classes)
    for b, across in reversed(list(enumerate(skips, 1))) if model.skips else ():
        _up(net, f"up{b}", model, across, num_classes)
        rising = net.layers[-1]
        net.shape = across.out_shape
        _pointwise(net, "output" if b == 1 else f"score{b}", num_classes, across.name)
        net.add(f"up{b}.sum", "add", source=rising.name)
    _to_input(net)


def _pointwise(net: _Builder, name: str, channels: int, source: str = "") -> None:
    """Add a 1×1 convolution."""
    depth, *sides = net.shape
    weights = depth * channels
    numbers = {"parameters": weights + channels, "macs": weights * math.prod(sides)}
    net.add(name, "conv", (channels, *sides), source, **numbers, kernel_size=1, stride=1, dilation=1)


def _up(net: _Builder, name: str, model: ModelConfig, across: Layer, channels: int) -> None:
    """Scale up to the size of the layer across, to as many channels as asked for.

    Between the pixels, which learns nothing, after a 1×1 convolution where the channels are others; or by a transposed
    convolution, which is learned.
    """
    sides = across.out_shape[1:]
    if model.upsampling == "interpolation":
        if net.shape[0] != channels:
            _pointwise(net, f"{name}.narrow", channels)
        net.add(f"{name}.up", "up", (channels, *sides), across.name)
        return
    weights = net.shape[0] * channels * POOL_SIZE**2
    numbers = {"parameters": weights + channels, "macs": weights * math.prod(net.shape[1:])}
    net.add(f"{name}.up", "up", (channels, *sides), across.name, kernel_size=POOL_SIZE, stride=POOL_SIZE, **numbers)


def _to_input(net: _Builder) -> None:
    """Scale the scores up to the image, where a stride or a lack of padding made them smaller."""
    sides = net.layers[0].in_shape[1:]
    if net.shape[1:] != sides:
        net.add("resize", "up", (net.shape[0], *sides), INPUT)


def receptive_field(chain: tuple[Layer, ...], name: str) -> tuple[int, int, int]:
    """Return what one unit of a layer's map sees of the input: (size, step, start) in pixels along one side.

    Unit i sees the `size` pixels from `start + i * step`; start may be negative, where padding is seen.

    Raises:
        KeyError: no layer of that name.
    """
    size, step, start = 1, 1, 0
    for layer in chain:
        if layer.kind in ("conv", "pool"):
            size += (layer.kernel_size - 1) * layer.dilation * step
            start -= layer.padding * step
            step *= layer.stride
        if layer.name == name:
            return size, step, start
    raise KeyError(name)
