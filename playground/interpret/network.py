"""A network as a chain of layers beside their modules, copies that share its weights, and passes over many images."""

import copy
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from playground.data.augment import normalise
from playground.geometry import Layer
from playground.interpret.errors import InterpretError
from playground.models.cnn import CNN

MAX_BATCH = 256


@dataclass(frozen=True)
class Budget:
    """What a pass over many images may take.

    Attributes:
        seconds: no new batch is begun after this long; the first is always computed.
        megabytes: about the most that a batch's maps take up while they are computed; one image is always taken.
    """

    seconds: float = 20.0
    megabytes: int = 128


def open_network(net: nn.Module) -> list[tuple[Layer, nn.Module]]:
    """Return the layers beside their modules, in evaluation mode.

    Raises:
        InterpretError: the network is no chain of layers.
    """
    if not isinstance(net, CNN):
        raise InterpretError(f"A {type(net).__name__} cannot be looked into; a network of blocks in a chain can")
    chain, modules = net.chain, net.children()
    if net.training:
        modules = copy_network(net).eval().children()
    return list(zip(chain, modules, strict=True))


def chain_modules(net: nn.Module) -> tuple[Layer, ...]:
    """Return the layers alone."""
    return tuple(layer for layer, _ in open_network(net))


def find_module(net: nn.Module, name: str, *kinds: str) -> tuple[Layer, nn.Module]:
    """Return the layer of that name and its module.

    Raises:
        InterpretError: there is none, or it is none of `kinds` (where any are given).
    """
    pairs = open_network(net)
    fitting = {layer.name: (layer, module) for layer, module in pairs if not kinds or layer.kind in kinds}
    if name not in fitting:
        raise InterpretError(
            f"This network has no {' or '.join(kinds) or 'layer'} {name[:60]!r}; {list_layers(fitting)}"
        )
    return fitting[name]


def list_layers(names: Iterable[str]) -> str:
    """Say what there is, at most eight by name."""
    names = list(names)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"there are {', '.join(names[:8])}{more}" if names else "there are none"


def copy_network(net: nn.Module, replaced: Mapping[str, Tensor] | None = None) -> nn.Module:
    """Copy the modules but not the weights: hooks and gradients of the copy do not show in the original.

    Args:
        replaced: weights by their name that the copy has instead, such as {"block1_conv1.weight": …}.
    """
    shared = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    own = {
        name: tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
        for name, tensor in (replaced or {}).items()
    }
    # What the memo knows already is not copied, but taken from there.
    memo: dict[int, object] = {id(tensor): own.get(name, tensor) for name, tensor in shared.items()}
    return copy.deepcopy(net, memo | {id(net.chain): net.chain})


def prepare_image(net: nn.Module, images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Make of uint8 images (N, C, H, W) what the network reads: float32, normalised.

    Raises:
        InterpretError: the images or the normalisation have other channels or another size than the network's input.
    """
    shape = chain_modules(net)[0].in_shape
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        wanted = " × ".join(map(str, shape))
        raise InterpretError(f"The images are {images.dtype} {images.shape}; this network takes uint8 (N, {wanted})")
    if len(mean) != shape[0] or len(std) != shape[0]:
        raise InterpretError(f"The images have {shape[0]} channels, their mean has {len(mean)}, their std {len(std)}")
    return normalise(torch.from_numpy(np.ascontiguousarray(images)), mean, std)


def check_class(net: nn.Module, class_index: int) -> int:
    """Return the class if the network knows it.

    Raises:
        InterpretError: it does not.
    """
    classes = chain_modules(net)[-1].out_shape[0]
    if not 0 <= class_index < classes:
        raise InterpretError(f"There is no class {class_index}; this network knows 0 to {classes - 1}")
    return class_index


def choose_batch_size(net: nn.Module, budget: Budget) -> int:
    """Return how many images fit the budget's memory at once."""
    # A layer's input and output, and about as much again inside the convolution.
    floats = max(2 * (np.prod(layer.in_shape) + np.prod(layer.out_shape)) for layer in chain_modules(net))
    return int(np.clip(budget.megabytes * 2**20 // (4 * floats), 1, MAX_BATCH))


def compute_outputs(
    net: nn.Module,
    images: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    names: Sequence[str],
    budget: Budget | None = None,
) -> Iterator[tuple[int, str, Tensor]]:
    """Pass over the images in batches and yield the outputs of the named layers, each as it is computed.

    Args:
        images: uint8 (N, C, H, W).
        names: layers, in any order; nothing after the last of them is computed.

    Yields:
        (number of the batch's first image, layer, its output (batch, …) float32 without gradient). When the time is
        used up it ends after a whole batch, so the images seen are a first part of all.

    Raises:
        InterpretError: there are no images, or no such layer.
    """
    budget = budget or Budget()
    pairs = open_network(net)
    for name in names:
        find_module(net, name)
    if not len(images):
        raise InterpretError("There are no images to look at; choose a data set that has some")
    last = max(i for i, (layer, _) in enumerate(pairs) if layer.name in names)
    size, started = choose_batch_size(net, budget), time.monotonic()
    for start in range(0, len(images), size):
        if start and time.monotonic() - started > budget.seconds:
            return
        # Not inference_mode around the yields: it would leak into whoever iterates.
        maps = prepare_image(net, images[start : start + size], mean, std)
        for layer, module in pairs[: last + 1]:
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                maps = module(maps)
            if layer.name in names:
                yield start, layer.name, maps
