"""What a number of a layer sees of the input image. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from playground.geometry import Layer
from playground.interpret.errors import InterpretError


@dataclass(frozen=True)
class ReceptiveField:
    """A rectangle of the input image, in pixels; `right` and `bottom` are one past the last.

    Attributes:
        clipped: it reaches past the image's edge, where padding is seen; the rectangle ends at the edge.
    """

    left: int
    top: int
    right: int
    bottom: int
    clipped: bool

    @property
    def empty(self) -> bool:
        """Nothing but padding is seen."""
        return self.left >= self.right or self.top >= self.bottom


def check_index(name: str, shape: Sequence[int], index: Sequence[int]) -> tuple[int, ...]:
    """Return the index if the layer has such a place.

    Args:
        shape: (C, H, W) or (units,) of the layer's output.

    Raises:
        InterpretError: it has none.
    """
    if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
        place = "map, row, column" if len(shape) == 3 else "unit"
        size = " × ".join(map(str, shape))
        raise InterpretError(f"{name} has no place {tuple(index)}; its output is {size}, counted from 0: {place}")
    return tuple(int(i) for i in index)


def unravel_index(unit: int, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (map, row, column) of a unit that the flattening made from maps of `shape` (C, H, W)."""
    _, height, width = shape
    return unit // (height * width), unit // width % height, unit % width


def compute_receptive_field(chain: Sequence[Layer], name: str, index: Sequence[int]) -> ReceptiveField:
    """Return what one number of a layer's output sees of the input image.

    Args:
        chain: the network's layers.
        name: one of them, or "input" or "softmax".
        index: (map, row, column), or (unit,) after the flattening.

    Raises:
        InterpretError: there is no such layer or place.
    """
    chain = tuple(chain)
    shapes = {"input": chain[0].in_shape, **{layer.name: layer.out_shape for layer in chain}}
    shapes["softmax"] = chain[-1].out_shape
    if name not in shapes:
        raise InterpretError(f"This network has no layer {name[:60]!r}")
    place = check_index(name, shapes[name], index)
    if name == "input":
        _, row, column = place
        return ReceptiveField(column, row, column + 1, row + 1, False)
    names = [layer.name for layer in chain]
    flat = next(i for i, layer in enumerate(chain) if layer.kind == "flatten")
    step = len(chain) if name == "softmax" else names.index(name)
    # A fully connected unit sees what all places of the last maps see together.
    rows, columns = (range(side) for side in chain[flat].in_shape[1:])
    if step < flat:
        _, row, column = place
        rows, columns = range(row, row + 1), range(column, column + 1)
    elif step == flat:
        _, row, column = unravel_index(place[0], chain[flat].in_shape)
        rows, columns = range(row, row + 1), range(column, column + 1)
    before = chain[: min(step, flat) + 1]
    top, bottom, above = _seen(before, rows, axis=1)
    left, right, beside = _seen(before, columns, axis=2)
    return ReceptiveField(left, top, right, bottom, above or beside)


def _seen(chain: Sequence[Layer], places: Sequence[int], axis: int) -> tuple[int, int, bool]:
    """Go back from places of the last layer, along rows (axis 1) or columns (2), to what they see of the input.

    Tap by tap, because beside the edge a dilated kernel's outermost tap in the image is not at the edge.

    Returns:
        the first pixel, one past the last, and whether padding is seen as well; (0, 0, True) where nothing else is.
    """
    seen, padded = set(places), False
    for layer in reversed(chain):
        if layer.kind in ("conv", "pool"):
            reach = range(-layer.padding, layer.kernel_size * layer.dilation - layer.padding, layer.dilation)
            taps = {place * layer.stride + tap for place in seen for tap in reach}
            seen = {tap for tap in taps if 0 <= tap < layer.in_shape[axis]}
            padded = padded or seen != taps
    return min(seen, default=0), max(seen, default=-1) + 1, padded
