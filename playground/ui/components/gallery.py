"""Choosing one of many images. Streamlit has no clickable image; this is one, as a grid of real buttons."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from playground.plots import RIGHT, WRONG

PAGE = 60
"""Images on a page of the gallery."""

_mount = st.components.v2.component(
    "cnn_playground_gallery",
    html='<div class="gallery" role="group"></div>\n',
    css=Path(__file__).with_name("gallery.css").read_text(encoding="utf-8"),
    js=Path(__file__).with_name("gallery.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Item:
    """One image to choose.

    Attributes:
        row: its number in the data set; what is given back when it is chosen.
        image: as a URL, see `data_url`.
        label: what it is, for the tooltip and for those who do not see it.
        verdict: "right", "wrong" or "".
    """

    row: int
    image: str
    label: str
    verdict: str = ""


def data_url(image: np.ndarray) -> str:
    """Write an image, uint8 (C, H, W) of 1 or 3 channels, as a PNG in a URL."""
    return pixels_url(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def pixels_url(pixels: np.ndarray) -> str:
    """Write pixels, uint8 (H, W) or (H, W, 3), as a PNG in a URL.

    For `st.image`, too: what it is given as pixels it keeps on the server, and forgets before a browser has fetched it
    where the page was drawn anew or left meanwhile.
    """
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def gallery(
    items: Sequence[Item], chosen: int | None, *, key: str, label: str, on_choice: Callable[[int], None]
) -> None:
    """Draw the images; `on_choice` is called with the row of the one that a person picks."""

    def picked() -> None:
        if (row := st.session_state[key].row) is not None:
            on_choice(int(row))

    _mount(
        key=key,
        data={
            "items": [asdict(item) for item in items],
            "chosen": chosen,
            "label": label,
            "right": RIGHT,
            "wrong": WRONG,
        },
        on_row_change=picked,
    )
