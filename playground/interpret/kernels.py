"""Kernels as pictures, and histograms of weights and their gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from playground.interpret.errors import InterpretError
from playground.interpret.network import chain_modules, copy_network, find_module, open_network, prepare_image
from playground.training.losses import LossFunction


@dataclass(frozen=True)
class Histogram:
    """Counts of values.

    Attributes:
        edges: (bins + 1,) float64; counts: (bins,) int64.
        mean, std, low, high: of the finite values; total: how many these are.
    """

    edges: np.ndarray
    counts: np.ndarray
    mean: float
    std: float
    low: float
    high: float
    total: int


def read_kernels(net: nn.Module, layer: str) -> np.ndarray:
    """Return a convolution's kernels: float32 (out_channels, in_channels, k, k). A copy.

    Raises:
        InterpretError: there is no such convolution.
    """
    _, module = find_module(net, layer, "conv")
    assert isinstance(module, nn.Conv2d)
    return np.array(module.weight.detach().numpy(), order="C")


def read_layer_kernels(net: nn.Module, layer: str, out_channel: int) -> np.ndarray:
    """Return the kernels of one output map, one for each input map: float32 (in_channels, k, k).

    Raises:
        InterpretError: there is no such convolution or map.
    """
    found = read_kernels(net, layer)
    if not 0 <= out_channel < len(found):
        raise InterpretError(f"{layer} has no map {out_channel}; it has 0 to {len(found) - 1}")
    return found[out_channel]


def draw_in_colour(kernels: np.ndarray, each: bool = True) -> np.ndarray:
    """Show kernels over three channels as colour images: grey is 0, brighter is more of that channel.

    Args:
        kernels: (out_channels, 3, k, k) float.
        each: scale each kernel by its own largest number; else all by the largest of all.

    Returns:
        uint8 (out_channels, k, k, 3).

    Raises:
        InterpretError: the kernels see other than three channels, so they have no colours.
    """
    if kernels.ndim != 4 or kernels.shape[1] != 3:
        raise InterpretError(f"Kernels over {kernels.shape[1]} channels have no colours; those over 3 do")
    finite = np.where(np.isfinite(kernels), kernels, 0).astype(np.float64)
    largest = np.abs(finite).max((1, 2, 3) if each else None, keepdims=True)
    scaled = finite / np.where(largest > 0, largest, 1)
    return np.rint(127.5 + 127.5 * scaled).astype(np.uint8).transpose(0, 2, 3, 1)


def read_weights(net: nn.Module) -> dict[str, np.ndarray]:
    """Return the kernels and matrices by their layer's name, as views that must not be written to."""
    return {
        layer.name: module.weight.detach().numpy()
        for layer, module in open_network(net)
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def compute_gradients(
    net: nn.Module,
    images: np.ndarray,
    targets: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    loss: LossFunction,
    megabytes: int = 256,
) -> dict[str, np.ndarray]:
    """Return the gradient of the mean loss over a batch, by the layer of each kernel or matrix.

    The network is in evaluation mode: nothing is dropped and norms use what training saw.

    Args:
        images: uint8 (N, C, H, W); targets: (N,) int.
        loss: as `losses.loss_function` makes it.
        megabytes: about the most that the maps kept for the way back take up; a large batch is taken in parts.

    Raises:
        InterpretError: there are no images, not as many targets, or a target that is no class.
    """
    _check_targets(net, len(images), targets)
    fresh = {name: nn.Parameter(tensor.detach()) for name, tensor in net.named_parameters()}
    own = copy_network(net, fresh).eval()
    floats = sum(np.prod(layer.out_shape) for layer in chain_modules(own))
    size = int(np.clip(megabytes * 2**20 // (8 * floats), 1, len(images)))
    wanted = torch.from_numpy(np.asarray(targets, np.int64))
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        for start in range(0, len(images), size):
            batch = prepare_image(own, images[start : start + size], mean, std)
            part = loss(own(batch), wanted[start : start + size])
            (part * (len(batch) / len(images))).backward()
    found = {}
    for layer, module in open_network(own):
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.grad is not None:
            found[layer.name] = np.ascontiguousarray(module.weight.grad.numpy())
    return found


def _check_targets(net: nn.Module, images: int, targets: np.ndarray) -> None:
    if not images or images != len(targets):
        raise InterpretError(f"{images} images have {len(targets)} targets; take one target for each image")
    classes = chain_modules(net)[-1].out_shape[0]
    if targets.min() < 0 or targets.max() >= classes:
        raise InterpretError(f"A target is no class of this network; they are 0 to {classes - 1}")


def make_histogram(values: np.ndarray, bins: int = 61) -> Histogram:
    """Count values in equal bins from the lowest to the highest. Values that are not finite do not count."""
    finite = np.asarray(values, np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        edges = np.linspace(-1, 1, bins + 1)
        return Histogram(edges, np.zeros(bins, np.int64), 0.0, 0.0, 0.0, 0.0, 0)
    counts, edges = np.histogram(finite, bins)
    figures = (float(f) for f in (finite.mean(), finite.std(), finite.min(), finite.max()))
    return Histogram(edges, counts.astype(np.int64), *figures, total=finite.size)
