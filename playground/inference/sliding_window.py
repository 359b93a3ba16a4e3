"""A classifier as a sliding window over a larger image: what it takes each region for.

All windows can be computed in one fully convolutional pass. Fully connected layers become convolutions, and a stride
wider than the windows' own becomes a dilation in the layers after it (the à trous algorithm), so that each number that
several windows share is computed once, at any stride (Long, Shelhamer & Darrell, 2015, section 3; Chen et al., 2015).

It equals the result of window by window where the network pads no map. A padded one sees zeros around each window by
itself, and the neighbouring pixels in one pass. Sharing what such windows have in common exactly was tried, and was
slower than window by window: most values near the end of the network have seen a border.
"""

import math
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from playground.choices import norm_of
from playground.data.augment import normalise
from playground.geometry import Layer
from playground.inference.errors import InferenceError
from playground.models.cnn import CNN

CONVERTIBLE = {"conv", "norm", "activation", "pool", "dropout", "flatten", "linear"}
MAX_WINDOWS = {"windows": 20_000, "one pass": 120_000}
"""The most windows of one sweep: about ten seconds of the bundled network, and its probabilities in memory."""
FLOATS = 2**24
"""About the most values of one map, or of a batch of maps, that are computed at once: 64 MB."""

How = Literal["windows", "one pass"]
Fusion = Literal["mean", "max"]
Smoothing = Literal["none", "majority", "gaussian"]


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network and what it takes.

    Attributes:
        net: in evaluation mode; it maps images (N, len(mean), size, size) to logits (N, num_classes).
        size: the side of its input in pixels.
        mean, std: per channel, what its images are normalised with.
    """

    net: nn.Module
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Convertibility:
    """How a network fits one pass.

    Attributes:
        possible: whether it can be turned into convolutions at all; exact: and the result is that of the windows.
        why: what is in the way, one line; "" where nothing is.
    """

    possible: bool
    exact: bool
    why: str = ""


@dataclass(frozen=True, eq=False)
class SlidingWindowResult:
    """The probabilities of all windows of one size.

    Attributes:
        probs: float32 (rows, columns, num_classes), each window's adding up to 1.
        start: (y, x), the middle of the first window in pixels of the photo, whose own first pixel ends at 1.
        step: (y, x), from one window to the next in pixels of the photo.
        how: "windows" or "one pass"; seconds: how long it took.
    """

    probs: NDArray[np.float32]
    start: tuple[float, float]
    step: tuple[float, float]
    how: How
    seconds: float

    @property
    def windows(self) -> int:
        return self.probs.shape[0] * self.probs.shape[1]


def check_convertibility(net: nn.Module) -> Convertibility:
    """Say whether a network can compute all windows in one pass."""
    if not isinstance(net, CNN):
        return Convertibility(
            False, False, f"A {type(net).__name__} is no chain of layers that can be turned into convolutions"
        )
    if odd := [layer for layer in net.chain if layer.kind not in CONVERTIBLE]:
        return Convertibility(False, False, f"The layer {odd[0].name} cannot be turned into a convolution")
    for layer, module in zip(net.chain, net.children(), strict=True):
        if layer.kind == "norm" and not norm_of(module).keeps_averages:
            return Convertibility(False, False, f"{layer.name} centres and scales by what else is in the window")
    if padded := [layer for layer in net.chain if layer.padding]:
        return Convertibility(
            True, False, f"{padded[0].name} pads its map with zeros, which each window sees around itself"
        )
    return Convertibility(True, True)


def compute_window_logits(net: nn.Module, images: Tensor, size: int, stride: int) -> Tensor:
    """Compute each window by itself: logits (rows, columns, num_classes).

    Args:
        images: (1, C, H, W), normalised; size: the windows' side; stride: from one to the next, in pixels.
    """
    cut = images.unfold(2, size, stride).unfold(3, size, stride)[0].permute(1, 2, 0, 3, 4)
    rows, columns = cut.shape[:2]
    floats = max(math.prod(layer.out_shape) for layer in net.chain) if isinstance(net, CNN) else 64 * size**2
    batch = int(np.clip(FLOATS // floats, 1, 128))
    found = []
    for places in torch.arange(rows * columns).split(batch):
        some = cut[places // columns, places % columns]
        found.append(net(some.contiguous(memory_format=torch.channels_last)))
    return torch.cat(found).reshape(rows, columns, -1)


def compute_dense_logits(net: CNN, images: Tensor, size: int, stride: int) -> Tensor:
    """Compute all windows in one pass: logits (rows, columns, num_classes), as `window_logits` where nothing is padded.

    Large images are computed in strips, to bound the memory.
    """
    # density: values of the largest map for each pixel of the image.
    rows, columns = ((side - size) // stride + 1 for side in images.shape[2:])
    density, nominal = float(images.shape[1]), 1
    for layer in net.chain:
        nominal *= layer.stride or 1
        if len(layer.out_shape) == 3:
            density = max(density, layer.out_shape[0] / math.gcd(nominal, stride) ** 2)
    height = FLOATS / (density * images.shape[3])
    strip = max(1, int(height - size) // stride + 1)
    found = []
    for top in range(0, rows, strip):
        count = min(strip, rows - top)
        part = images[:, :, top * stride : (top + count - 1) * stride + size]
        found.append(_convolved(net, part, stride)[0, :, :count, :columns])
    return torch.cat(found, 1).permute(1, 2, 0)


def _convolved(net: CNN, maps: Tensor, stride: int) -> Tensor:
    """Map (1, C, H, W) to logits (1, num_classes, at least rows, at least columns)."""
    shape: tuple[int, ...] = net.chain[0].in_shape
    nominal = 1  # pixels between two neighbours in a window's own map
    for layer, module in zip(net.chain, net.children(), strict=True):
        # Windows start at multiples of the stride, so their maps together lie on a grid of this step.
        step = math.gcd(nominal, stride)
        match layer.kind:
            case "conv" | "pool":
                nominal *= layer.stride
                maps = _slid(layer, module, maps, math.gcd(nominal, stride) // step, nominal // layer.stride // step)
            case "linear":
                weight = module.get_parameter("weight").view(-1, *shape)
                bias = module.get_parameter("bias")
                maps = F.conv2d(maps, weight, bias, stride // step, dilation=nominal // step)
                nominal = stride  # from here on there is one value a window
            case "flatten":
                continue
            case _:
                maps = module(maps)
        shape = layer.out_shape if len(layer.out_shape) == 3 else (*layer.out_shape, 1, 1)
    return maps


def _slid(layer: Layer, module: nn.Module, maps: Tensor, stride: int, spread: int) -> Tensor:
    """Apply a convolution or a pooling with another stride, what it reads spread apart."""
    if isinstance(module, nn.Conv2d):
        dilation, padding = layer.dilation * spread, layer.padding * spread
        return F.conv2d(maps, module.weight, module.bias, stride, padding, dilation)
    if isinstance(module, nn.MaxPool2d):
        return F.max_pool2d(maps, layer.kernel_size, stride, dilation=spread)
    # Average pooling knows no dilation; it is a convolution of each channel with equal weights.
    equal = maps.new_full((maps.shape[1], 1, layer.kernel_size, layer.kernel_size), layer.kernel_size**-2)
    return F.conv2d(maps, equal, None, stride, dilation=spread, groups=maps.shape[1])


def slide_window(who: Classifier, photo: NDArray[np.uint8], region: int, stride: int, how: How) -> SlidingWindowResult:
    """Slide a classifier over a photo.

    Args:
        photo: uint8 (H, W, 3).
        region: pixels of the photo along a window's side; the photo is resized so that it becomes the network's.
        stride: pixels of the photo from one window to the next, rounded to whole pixels of the resized photo.
        how: "one pass" where the network can; see `fit`.

    Raises:
        InferenceError: the photo is smaller than a region, there are too many windows, the network cannot be turned
            into convolutions, or its answers are no finite numbers; one line.
    """
    images, pace = _prepared(who, photo, region, stride)
    sides = images.shape[2:]
    count = math.prod((side - who.size) // pace + 1 for side in sides)
    if count > MAX_WINDOWS[how]:
        raise InferenceError(
            f"There would be {count:,} regions, and {MAX_WINDOWS[how]:,} are the most; take a larger stride"
        )
    began = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        if how == "windows":
            logits = compute_window_logits(who.net, images, who.size, pace)
        elif isinstance(who.net, CNN) and check_convertibility(who.net).possible:
            logits = compute_dense_logits(who.net, images, who.size, pace)
        else:
            raise InferenceError(f"{check_convertibility(who.net).why}; compute it window by window")
        probs = logits.float().softmax(2).contiguous().numpy()
    if not np.isfinite(probs).all():
        raise InferenceError("This network's answers are no finite numbers here; choose another epoch")
    scale = photo.shape[0] / sides[0], photo.shape[1] / sides[1]
    start, step = ((length * scale[0], length * scale[1]) for length in (who.size / 2, pace))
    return SlidingWindowResult(probs, start, step, how, time.perf_counter() - began)


def _prepared(who: Classifier, photo: NDArray[np.uint8], region: int, stride: int) -> tuple[Tensor, int]:
    """Return the photo resized and normalised, (1, C, h, w), and the stride in its pixels."""
    height, width = photo.shape[:2]
    if min(height, width) < region:
        raise InferenceError(
            f"The image is {width} × {height} pixels, smaller than a region of {region}; "
            "take a smaller region or a larger image"
        )
    wide, tall = (max(who.size, round(side * who.size / region)) for side in (width, height))
    resized = Image.fromarray(photo).resize((wide, tall), Image.Resampling.BICUBIC)
    pixels = np.asarray(resized.convert("L"))[None] if len(who.mean) == 1 else np.asarray(resized).transpose(2, 0, 1)
    images = normalise(torch.from_numpy(pixels.copy())[None], who.mean, who.std)
    return images, find_network_stride(who.size, region, stride)


def find_network_stride(size: int, region: int, stride: int) -> int:
    """Return the stride in pixels that the network sees: whole ones, at least 1."""
    return max(1, round(stride * size / region))


def measure_deviation(
    who: Classifier, photo: NDArray[np.uint8], region: int, stride: int, swept: SlidingWindowResult
) -> tuple[float, float, int]:
    """Compute some windows by themselves, a hundred to four hundred where there are so many, and compare.

    Args:
        photo, region, stride: as `swept` was computed with.

    Returns:
        The mean absolute difference of the probabilities, the share of windows with the same label, and how many
        windows were compared.
    """
    images, pace = _prepared(who, photo, region, stride)
    every = max(1, int(math.sqrt(swept.windows / 100)))
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        exact = compute_window_logits(who.net, images, who.size, pace * every).softmax(2).numpy()
    other = swept.probs[::every, ::every]
    same = exact.argmax(2) == other.argmax(2)
    return float(np.abs(exact - other).mean()), float(same.mean()), same.size


def find_cell_size(height: int, width: int, num_classes: int) -> int:
    """Return how many pixels share one place of the fused map: 1, or more where there are very many classes."""
    cell = 1
    while math.ceil(height / cell) * math.ceil(width / cell) * num_classes > FLOATS:
        cell += 1
    return cell


def fuse_probs(
    sweeps: list[SlidingWindowResult], height: int, width: int, fusion: Fusion, sigma: float = 0.0
) -> NDArray[np.float32]:
    """Bring sweeps to the pixels of the photo and to one: probabilities (height / cell, width / cell, num_classes).

    Between the middles of windows it is bilinear; beyond the last ones, at the photo's edge, it stays what it was.

    Args:
        fusion: "mean" of the scales, or "max": each class's highest, scaled to add up to 1 again.
        sigma: of a Gaussian that smooths each class's map, in pixels of the photo; 0 smooths nothing.
    """
    cell = find_cell_size(height, width, sweeps[0].probs.shape[2])
    fused = np.zeros(0, np.float32)
    for i, one in enumerate(sweeps):
        probs = one.probs
        for axis, length in enumerate((height, width)):
            probs = _interpolated(probs, axis, cell * (np.arange(math.ceil(length / cell)) + 0.5), one)
        fused = probs if not i else fused + probs if fusion == "mean" else np.maximum(fused, probs)
    if sigma:
        fused = ndimage.gaussian_filter(fused, (sigma / cell, sigma / cell, 0), mode="nearest")
    return fused / fused.sum(2, keepdims=True)


def _interpolated(
    probs: NDArray[np.float32], axis: int, places: NDArray, swept: SlidingWindowResult
) -> NDArray[np.float32]:
    """Return the values at the given places, pixels of the photo, along one axis."""
    last = probs.shape[axis] - 1
    at = np.clip((places - swept.start[axis]) / swept.step[axis], 0, last)
    low = np.minimum(at.astype(int), max(0, last - 1))
    part = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return probs.take(low, axis) * (1 - part) + probs.take(np.minimum(low + 1, last), axis) * part


def make_label_map(probs: NDArray[np.float32], height: int, width: int, majority: int = 0) -> NDArray[np.intp]:
    """Return the likeliest class of each pixel: (height, width).

    Args:
        probs: what `fuse` returned.
        majority: the side in pixels of a square whose most frequent label each pixel takes; 0 leaves it as it is. Of
            labels as frequent the first class wins.
    """
    cell = find_cell_size(height, width, probs.shape[2])
    labels = probs.argmax(2).repeat(cell, 0).repeat(cell, 1)[:height, :width]
    return find_most_frequent(labels, majority) if majority > 1 else labels


def find_most_frequent(labels: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    """Return for each pixel the most frequent label in the square around it; at the edge its pixels are repeated."""
    classes = np.unique(labels)
    ones = np.ones(side, np.int32)
    best, most = labels, np.zeros(labels.shape, np.int32)
    for k in classes:
        counts = (labels == k).astype(np.int32)
        for axis in (0, 1):
            counts = ndimage.correlate1d(counts, ones, axis, mode="nearest")
        best, most = np.where(counts > most, k, best), np.maximum(counts, most)
    return best
