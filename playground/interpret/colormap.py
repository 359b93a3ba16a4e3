"""Colours: limits for a map, a layer or the whole network; maps → thumbnail sheets. No torch.

A sheet is an image with a palette: one byte a pixel, quick to make and small to send.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image

from playground.interpret.errors import InterpretError

Scope = Literal["map", "layer", "global"]

SEQUENTIAL = (
    *("#00224e", "#123570", "#3b496c", "#575d6d", "#707173"),
    *("#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"),
)
"""Cividis, for values without a sign: 0 is dark (Nuñez, Anderton & Renslow, 2018; made for the colour-blind)."""
DIVERGING = (
    *("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
    *("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"),
)
"""ColorBrewer's RdBu, safe for the colour-blind, for values with a sign: blue below 0, white at 0, red above."""
LEVELS = 253  # odd, so that zero has a colour of its own in the middle
NO_NUMBER, CLEAR = 254, 255
"""Palette entries: a value that is no number (grey), and the gaps between the maps (transparent)."""


@dataclass(frozen=True)
class ColorLimits:
    """Which values get the first and the last colour.

    Attributes:
        low, high: float64, of a shape that broadcasts with the values: (C, 1, 1), or (1,) for one pair for all.
        signed: low = -high and the scale is diverging; else low = 0 and it is sequential.
    """

    low: np.ndarray
    high: np.ndarray
    signed: bool


@dataclass(frozen=True)
class Sheet:
    """Thumbnails side by side.

    Attributes:
        pixels: uint8 (h, w), entries of the palette.
        palette: uint8 (256, 3).
        columns: thumbnails in a row; count: thumbnails in all.
        tile: (height, width) of a thumbnail in pixels of the sheet; zoom: pixels of the sheet for one value.
        gap: pixels between two thumbnails.
    """

    pixels: np.ndarray
    palette: np.ndarray
    columns: int
    count: int
    tile: tuple[int, int]
    zoom: int
    gap: int

    def rgb(self) -> np.ndarray:
        """Return uint8 (h, w, 3); the gaps are white."""
        return self.palette[self.pixels]

    def png(self) -> bytes:
        """Return the sheet as a PNG file with transparent gaps."""
        image = Image.fromarray(self.pixels)
        image.putpalette(self.palette.tobytes())
        file = io.BytesIO()
        image.save(file, "PNG", transparency=CLEAR, compress_level=1)
        return file.getvalue()

    def box(self, number: int) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) of a thumbnail in pixels of the sheet."""
        height, width = self.tile
        row, column = divmod(number, self.columns)
        left, top = column * (width + self.gap), row * (height + self.gap)
        return left, top, left + width, top + height

    def locate(self, x: int, y: int) -> tuple[int, int, int] | None:
        """Return (map, row, column) of the value at a pixel of the sheet; None in a gap."""
        height, width = self.tile
        column, x_inside = divmod(x, width + self.gap)
        row, y_inside = divmod(y, height + self.gap)
        number = row * self.columns + column
        inside = min(x, y) >= 0 and x_inside < width and y_inside < height and column < self.columns
        return (number, y_inside // self.zoom, x_inside // self.zoom) if inside and number < self.count else None


def choose_limits(layers: Sequence[np.ndarray], scope: Scope) -> list[ColorLimits]:
    """Return the limits of each layer's colours. Values that are not finite do not count.

    Whether the scale has a sign is decided for a whole layer, or for all of them where the scope is "global", so that
    a colour means the same wherever it can be compared.

    Args:
        layers: (C, H, W) maps or (units,), float. Units are compared with each other, so they have one scale for all
            of them even where the scope is "map".
        scope: separately for each map, together for a layer's, or together for all.

    Raises:
        InterpretError: there is no such scope.
    """
    if scope not in ("map", "layer", "global"):
        raise InterpretError(f"There is no colour scale {scope!r}; there are map, layer and global")
    found = [_limits(values, each=scope == "map" and values.ndim == 3) for values in layers]
    if scope != "global" or not found:
        return found
    one = _made(np.max([f.high for f in found], axis=0), any(f.signed for f in found))
    return [one] * len(found)


def _limits(values: np.ndarray, each: bool) -> ColorLimits:
    finite = np.where(np.isfinite(values), values, 0)
    axes = (1, 2) if each else None
    low, high = finite.min(axes, keepdims=each), finite.max(axes, keepdims=each)
    signed = bool(low.min() < 0)
    return _made(np.atleast_1d(np.maximum(-low, high) if signed else high), signed)


def _made(high: np.ndarray, signed: bool) -> ColorLimits:
    high = np.where(high > 0, high, 1).astype(np.float64)  # nothing but zeros: any scale will do
    return ColorLimits(-high if signed else np.zeros_like(high), high, signed)


@lru_cache
def make_palette(signed: bool) -> np.ndarray:
    """Return uint8 (256, 3): `LEVELS` colours from low to high, grey for no number, white for the gaps."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (DIVERGING if signed else SEQUENTIAL)])
    places = np.linspace(0, len(anchors) - 1, LEVELS)
    table = np.full((256, 3), 255, np.uint8)
    for channel in range(3):
        table[:LEVELS, channel] = np.rint(np.interp(places, np.arange(len(anchors)), anchors[:, channel]))
    table[NO_NUMBER] = 128
    table.setflags(write=False)
    return table


def quantise(values: np.ndarray, limits: ColorLimits) -> np.ndarray:
    """Return uint8 entries of the palette, of the values' shape; beyond the limits the last colour is taken."""
    shifted = np.subtract(values, limits.low, dtype=np.float64)
    shifted *= (LEVELS - 1) / (limits.high - limits.low)
    missing = np.isnan(shifted)
    np.clip(shifted, 0, LEVELS - 1, out=shifted)
    shifted[missing] = NO_NUMBER
    return np.rint(shifted, out=shifted).astype(np.uint8)


def make_sheet(
    values: np.ndarray,
    limits: ColorLimits | None = None,
    columns: int = 0,
    zoom: int = 1,
    gap: int = 1,
    scope: Scope = "map",
) -> Sheet:
    """Lay all maps of a layer side by side.

    Args:
        values: (C, H, W) maps, or (units,), each unit a thumbnail of one value.
        limits: as `limits` gives them; without, they are taken from these values by `scope`.
        columns: thumbnails in a row; 0 makes the sheet about square.
        zoom: pixels of the sheet for one value, along each side.
        gap: pixels between two thumbnails.
    """
    chosen = limits or _of_one(values, scope)
    maps = quantise(values, chosen)
    maps = maps.reshape(-1, 1, 1) if maps.ndim == 1 else maps
    count, height, width = maps.shape
    if zoom > 1:
        maps = maps.repeat(zoom, axis=1).repeat(zoom, axis=2)
    tile = (height * zoom, width * zoom)
    columns = min(columns or math.ceil(math.sqrt(count * tile[0] / tile[1])), count)
    rows = -(-count // columns)
    canvas = np.full((rows * columns, tile[0] + gap, tile[1] + gap), CLEAR, np.uint8)
    canvas[:count, : tile[0], : tile[1]] = maps
    pixels = canvas.reshape(rows, columns, *canvas.shape[1:]).transpose(0, 2, 1, 3)
    pixels = pixels.reshape(rows * (tile[0] + gap), columns * (tile[1] + gap))
    pixels = np.ascontiguousarray(pixels[: len(pixels) - gap, : pixels.shape[1] - gap])
    return Sheet(pixels, make_palette(chosen.signed), columns, count, tile, zoom, gap)


def _of_one(values: np.ndarray, scope: Scope) -> ColorLimits:
    return choose_limits([values], scope)[0]
