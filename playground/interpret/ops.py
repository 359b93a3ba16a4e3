"""The arithmetic of one number, one kind of layer each, with all the numbers it was made from. No torch.

All numbers are float64 copies of the float32 values, so that writing out a sum adds no rounding of its own.
"""

import math
from dataclasses import dataclass

import numpy as np

from playground.choices import ACTIVATIONS, Norm


@dataclass(frozen=True)
class _Step:
    """What every step says: the rule in general, the rule with this number's own numbers, and the result."""

    formula: str
    numbers: str
    output: float


@dataclass(frozen=True)
class InputStep(_Step):
    """A pixel was normalised.

    Attributes:
        pixel: 0 to 255; mean, std: of its channel, for pixels in [0, 1].
    """

    pixel: int
    mean: float
    std: float


@dataclass(frozen=True)
class ConvStep(_Step):
    """A patch of all input maps was multiplied with a kernel and added up.

    Attributes:
        rows, columns: (k,) int, where the kernel's taps lie in the input maps; outside of them is padding.
        inside: (k, k) bool, False where a tap lies in the padding, which counts as 0.
        patch, kernel, products: (in_channels, k, k) float64.
        channel_sums: (in_channels,) float64, the products' sum over each input map.
    """

    rows: np.ndarray
    columns: np.ndarray
    inside: np.ndarray
    patch: np.ndarray
    kernel: np.ndarray
    products: np.ndarray
    channel_sums: np.ndarray
    bias: float


@dataclass(frozen=True)
class NormStep(_Step):
    """A map was centred and scaled, then scaled and shifted as learned; `words` say what its two statistics are."""

    words: tuple[str, str]
    input: float
    mean: float
    variance: float
    eps: float
    gamma: float
    beta: float
    normalised: float


@dataclass(frozen=True)
class ActivationStep(_Step):
    """A number was bent; `name` is the knob's value, such as "relu"."""

    name: str
    input: float


@dataclass(frozen=True)
class PoolStep(_Step):
    """A window shrank to one number.

    Attributes:
        rows, columns: (2,) int, where the window lies in the input map.
        window: (2, 2) float64.
        taken: (row, column) within the window of the maximum (the first, where several are equal); None for a mean.
    """

    rows: np.ndarray
    columns: np.ndarray
    window: np.ndarray
    taken: tuple[int, int] | None


@dataclass(frozen=True)
class LinearStep(_Step):
    """A weighted sum of all inputs.

    Attributes:
        units: (n,) int, the inputs with the largest products, largest first.
        inputs, weights, products: (n,) float64, theirs.
        rest_count, rest_sum: how many other inputs there are, and the sum of their products.
    """

    units: np.ndarray
    inputs: np.ndarray
    weights: np.ndarray
    products: np.ndarray
    rest_count: int
    rest_sum: float
    bias: float


@dataclass(frozen=True)
class SameStep(_Step):
    """The number was passed on: dropout in evaluation, or the flattening.

    Attributes:
        source: its place in what the layer was fed.
    """

    source: tuple[int, ...]


@dataclass(frozen=True)
class SoftmaxStep(_Step):
    """All logits became shares of one.

    Attributes:
        logits, exponentials: (num_classes,) float64; the largest logit was taken off each first, which changes no
            share and keeps the exponentials within what a number can hold.
    """

    logits: np.ndarray
    exponentials: np.ndarray
    total: float


Step = InputStep | ConvStep | NormStep | ActivationStep | PoolStep | LinearStep | SameStep | SoftmaxStep


def shown(number: float) -> str:
    """Write a number with four digits and a true minus sign."""
    return f"{number:.4g}".replace("-", "−")


def _signed(number: float) -> str:
    """Write a number as a term that is added."""
    return f"− {shown(-number)}" if number < 0 else f"+ {shown(number)}"


def pixel(value: int, mean: float, std: float) -> InputStep:
    """Normalise one pixel of the image."""
    result = (value / 255 - mean) / std
    numbers = f"({value} / 255 − {shown(mean)}) / {shown(std)} = {shown(result)}"
    return InputStep("(pixel / 255 − mean) / deviation", numbers, result, value, mean, std)


def conv(maps: np.ndarray, kernel: np.ndarray, bias: float, rows: np.ndarray, columns: np.ndarray) -> ConvStep:
    """Multiply a patch with a kernel and add up.

    Args:
        maps: (in_channels, H, W), what the layer was fed.
        kernel: (in_channels, k, k).
        rows, columns: (k,) int, where the taps lie; those outside of the maps count as 0.
    """
    _, height, width = maps.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    taps = maps[:, rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)[None]].astype(np.float64)
    # Not taps × inside: an infinite value beyond the edge would make of a zero no number.
    patch, kernel = np.where(inside, taps, 0.0), kernel.astype(np.float64)
    products = patch * kernel
    sums = products.sum((1, 2))
    result = float(sums.sum() + bias)
    many = len(sums) > 4
    terms = f"{shown(float(sums.sum()))} ({len(sums)} channels)" if many else " + ".join(f"({shown(s)})" for s in sums)
    numbers = f"{terms} {_signed(bias)} = {shown(result)}"
    rule = "sum of patch × kernel over all input maps + bias"
    return ConvStep(rule, numbers, result, rows, columns, inside, patch, kernel, products, sums, bias)


def norm(entry: Norm, value: float, mean: float, variance: float, eps: float, gamma: float, beta: float) -> NormStep:
    """Centre and scale, then scale and shift."""
    normalised = (value - mean) / math.sqrt(variance + eps)
    result = normalised * gamma + beta
    top = f"({shown(value)} − ({shown(mean)})) / √({shown(variance)} + {shown(eps)})"
    numbers = f"{top} × ({shown(gamma)}) {_signed(beta)} = {shown(result)}"
    return NormStep(entry.rule, numbers, result, entry.words, value, mean, variance, eps, gamma, beta, normalised)


def activation(name: str, value: float) -> ActivationStep:
    """Bend one number."""
    entry = ACTIVATIONS[name]
    result = entry.function(value)
    numbers = f"{entry.written(value, shown(value), shown)} = {shown(result)}"
    return ActivationStep(entry.rule, numbers, result, name, value)


def pool(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray, maximum: bool) -> PoolStep:
    """Take the maximum or the mean of a window of one map (H, W)."""
    window = maps[rows[:, None], columns[None]].astype(np.float64)
    values = [shown(v) for v in window.ravel()]
    if not maximum:
        result = float(window.mean())
        numbers = f"({' + '.join(f'({v})' for v in values)}) / {window.size} = {shown(result)}"
        return PoolStep("the mean of the window", numbers, result, rows, columns, window, None)
    # argmax takes the first of equals, and a value that is no number before all others, as torch does.
    row, column = divmod(int(window.argmax()), len(columns))
    result = float(window[row, column])
    numbers = f"max({', '.join(values)}) = {shown(result)}"
    return PoolStep("the largest value of the window", numbers, result, rows, columns, window, (row, column))


def linear(inputs: np.ndarray, weights: np.ndarray, bias: float, most: int) -> LinearStep:
    """Add up weighted inputs (units,); the `most` largest products are listed."""
    values, factors = inputs.astype(np.float64), weights.astype(np.float64)
    products = values * factors
    order = np.argsort(-np.abs(products), kind="stable")
    units, rest = order[:most], products[order[most:]]
    listed, others = float(products[units].sum()), float(rest.sum())
    result = listed + others + bias
    terms = f"{shown(listed)} ({len(units)} listed) {_signed(others)} ({len(rest)} others)"
    numbers = f"{terms} {_signed(bias)} (bias) = {shown(result)}"
    rule = "sum of input × weight + bias"
    listing = units, values[units], factors[units], products[units]
    return LinearStep(rule, numbers, result, *listing, len(rest), others, bias)


def same(value: float, source: tuple[int, ...], rule: str) -> SameStep:
    """Pass a number on."""
    return SameStep(rule, f"{shown(value)} = {shown(value)}", value, source)


def softmax(logits: np.ndarray, index: int) -> SoftmaxStep:
    """Turn logits (num_classes,) into the share of one class."""
    values = logits.astype(np.float64)
    exponentials = np.exp(values - values.max())
    total = float(exponentials.sum())
    result = float(exponentials[index] / total)
    numbers = f"{shown(float(exponentials[index]))} / {shown(total)} = {shown(result)}"
    rule = "e^(logit − largest logit) / sum of these over all classes"
    return SoftmaxStep(rule, numbers, result, values, exponentials, total)
