"""Which colour is which class, and how much of a picture each covers."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from playground.data.catalog import IGNORE
from playground.plots import class_colour
from playground.ui.pickers import percent


def shares(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Return each class's share of the pixels that have one, (num_classes,)."""
    known = mask[mask != IGNORE]
    return np.bincount(known.ravel(), minlength=num_classes)[:num_classes] / max(known.size, 1)


def legend(mask: np.ndarray, classes: Sequence[str], truth: np.ndarray | None = None) -> None:
    """Name the classes that occur, the largest first, with their share of the area and, if known, the true one."""
    found = shares(mask, len(classes))
    true = found if truth is None else shares(truth, len(classes))
    parts = []
    for k in np.argsort(-np.maximum(found, true), kind="stable"):
        if found[k] or true[k]:
            words = percent(float(found[k])) + (f", truly {percent(float(true[k]))}" if truth is not None else "")
            square = f'<i style="background:{class_colour(int(k))}"></i>'
            parts.append(f"<span>{square}{escape(classes[k])} <small>{words}</small></span>")
    st.html(f'<div class="legend" role="note">{"".join(parts)}</div>')
