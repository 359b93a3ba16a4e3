"""Pictures that can be pointed at: thumbnail sheets, a map, an image with a frame on it."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from playground.interpret.colormap import ColorLimits, Sheet, make_sheet
from playground.interpret.receptive_field import ReceptiveField

_mount = st.components.v2.component(
    "cnn_playground_sheets",
    html='<div class="sheets" role="group"></div>\n',
    css=Path(__file__).with_name("sheets.css").read_text(encoding="utf-8"),
    js=Path(__file__).with_name("sheets.js").read_text(encoding="utf-8"),
)
_LEAST = 24  # pixels of a thumbnail's side, so that the gaps beside it stay thin


@dataclass(frozen=True)
class Picture:
    """One picture of tiles; a plain image is a single tile.

    Attributes:
        name: what is given back when a person points at it.
        title, note: above it; the note may have several lines.
        url: a PNG.
        size: (width, height) in pixels; tile: (height, width) of each; gap: between two; zoom: pixels for one value.
        box: (left, top, right, bottom) in pixels of what is framed.
        at: (tile, row, column) that the arrow keys start from.
        unit: what a tile is called.
        width: on the screen, in CSS pixels; 0 takes all there is.
        pick: whether it can be pointed at.
    """

    name: str
    title: str
    note: str
    url: str
    alt: str
    size: tuple[int, int]
    tile: tuple[int, int]
    columns: int = 1
    count: int = 1
    gap: int = 0
    zoom: int = 1
    box: tuple[int, int, int, int] | None = None
    at: tuple[int, int, int] | None = None
    unit: str = "map"
    width: int = 0
    pick: bool = True


Pick = Callable[[str, int, int, int], None]


def png_url(png: bytes) -> str:
    """Write a PNG file as a URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def make_sheet_picture(made: Sheet, name: str, alt: str, *, title: str = "", note: str = "", **more: object) -> Picture:
    """Make a picture of a thumbnail sheet."""
    height, width = made.pixels.shape
    layout = {"columns": made.columns, "count": made.count, "gap": made.gap, "zoom": made.zoom}
    return Picture(name, title, note, png_url(made.png()), alt, (width, height), made.tile, **layout | more)  # ty: ignore[invalid-argument-type]


def tidy_sheet(values: np.ndarray, limits: ColorLimits | None = None, columns: int = 0) -> Sheet:
    """Lay maps (C, H, W) or units (units,) side by side, tiny ones enlarged."""
    side = values.shape[-1] if values.ndim == 3 else 1
    return make_sheet(values, limits, columns, zoom=max(1, _LEAST // side), gap=1 if side >= _LEAST else 2)


def make_image_picture(
    pixels: np.ndarray, name: str, alt: str, field: ReceptiveField | None = None, **more: object
) -> Picture:
    """Make a picture of an image, uint8 (H, W, 3) or (C, H, W); `field` is framed on it."""
    colour = pixels if pixels.shape[-1] == 3 else np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colour)).save(file, "PNG", compress_level=1)
    height, width = colour.shape[:2]
    box = (field.left, field.top, field.right, field.bottom) if field and not field.empty else None
    made = {"title": "", "note": "", "box": box, "pick": False} | more
    title, note = str(made.pop("title")), str(made.pop("note"))
    return Picture(name, title, note, png_url(file.getvalue()), alt, (width, height), (height, width), **made)  # ty: ignore[invalid-argument-type]


def sheets(pictures: Sequence[Picture], *, key: str, label: str, on_pick: Pick | None = None) -> None:
    """Draw pictures side by side.

    Args:
        pictures: in order; on later calls with the same key they are updated where they stand.
        key: the group's identity on the page.
        label: what the group is, for those who do not see it.
        on_pick: is called with the picture's name, the tile, and the row and column in it.
    """

    def picked() -> None:
        if on_pick and (pick := st.session_state[key].pick):
            tile, row, column = (int(number) for number in pick["place"])
            on_pick(str(pick["name"]), tile, row, column)

    _mount(key=key, data={"items": [asdict(picture) for picture in pictures], "label": label}, on_pick_change=picked)
