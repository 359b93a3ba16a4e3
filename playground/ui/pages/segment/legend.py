"""Which colour is which class, and how much of a picture each covers."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from playground.metrics import IGNORE
from playground.metrics.mask_scores import class_fractions
from playground.plots import color_class
from playground.plots.masks import UNKNOWN
from playground.ui.common.pickers import format_percent


def legend(mask: np.ndarray, classes: Sequence[str], truth: np.ndarray | None = None, clear: int | None = None) -> None:
    """Name the classes that occur, the largest first, with their share of the area and, if known, the true one.

    Args:
        mask, truth: (H, W), the pictures that it belongs to.
        clear: the class that the pictures leave as the image is, which has no colour in them.
    """
    st.html(f'<div class="legend" role="note">{"".join(entries(mask, classes, truth, clear))}</div>')


def entries(mask: np.ndarray, classes: Sequence[str], truth: np.ndarray | None, clear: int | None) -> list[str]:
    """Return the legend's entries as HTML, in order: the colours that are in the pictures, and no other."""
    found = class_fractions(mask, len(classes))
    true = found if truth is None else class_fractions(truth, len(classes))
    parts = []
    for k in np.argsort(-np.maximum(found, true), kind="stable").tolist():
        if found[k] or true[k]:
            words = format_percent(float(found[k])) + (
                f", truly {format_percent(float(true[k]))}" if truth is not None else ""
            )
            square = _square(color_class(k)) if k != clear else '<i class="clear"></i>'
            left = ", left as it is" if k == clear else ""
            parts.append(f"<span>{square}{escape(classes[k])} <small>{words}{left}</small></span>")
    if truth is not None and (truth == IGNORE).any():
        share = format_percent(float((truth == IGNORE).mean()))
        parts.append(f"<span>{_square('rgb' + str(UNKNOWN))}no class <small>{share} of the truth</small></span>")
    return parts


def _square(colour: str) -> str:
    return f'<i style="background:{colour}"></i>'
