"""A strip of fixed test images with what a run takes them for, at one epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from playground.data import catalog, store
from playground.data.splits import take_turns
from playground.metrics import IGNORE
from playground.plots import RIGHT, WRONG
from playground.plots.masks import find_clear_class, overlay_mask, to_rgb
from playground.runs import RunError, RunFolder
from playground.tasks import TASKS
from playground.ui.components.gallery import data_url

COUNT = 20

_mount = st.components.v2.component(
    "cnn_playground_strip",
    html='<div class="strip-box"><ul class="strip"></ul></div>',
    css=Path(__file__).with_name("strip.css").read_text(encoding="utf-8"),
    js=Path(__file__).with_name("strip.js").read_text(encoding="utf-8"),
)


@st.cache_resource(max_entries=16, show_spinner=False)
def _images(dataset: str, ready: bool, count: int) -> tuple[list[int], list[str], list[int]]:
    """Return the chosen rows, their images as URLs and their classes; nothing while the set is not on this disk."""
    if not ready:
        return [], [], []
    data = store.open_arrays(dataset)
    rows = take_turns(np.asarray(data.test_targets), count).tolist()
    return rows, [data_url(data.test_images[row]) for row in rows], [int(data.test_targets[row]) for row in rows]


@st.cache_resource(max_entries=512, show_spinner=False)
def _guesses(path: str, epoch: int, rows: tuple[int, ...]) -> list[tuple[int, float]]:
    probs = RunFolder(Path(path)).predictions(epoch)[list(rows)]
    return [(int(row.argmax()), float(row.max())) for row in probs]


def _item(image: str, truth: str, guess: str | None, probability: float) -> dict[str, Any]:
    if guess is None:
        return {"image": image, "alt": f"{truth}, not yet judged", "verdict": "", "guess": "", "percent": 0} | {
            "truth": truth
        }
    right = guess == truth
    share = f"{probability:.0%}".replace("%", " %")
    return {
        "image": image,
        "alt": f"{truth}, predicted as {guess} with {share}: {'right' if right else 'wrong'}",
        "verdict": "right" if right else "wrong",
        "mark": "✓" if right else "✕",
        "guess": guess,
        "percent": round(100 * probability),
        "truth": "" if right else f"is {truth}",
    }


@st.cache_resource(max_entries=256, show_spinner=False)
def _pairs(dataset: str, path: str | None, epoch: int | None, count: int) -> list[dict[str, Any]]:
    """Return test images with their true mask laid over them and, below, the one that a run gave them."""
    data = store.open_arrays(dataset)
    clear = find_clear_class(data.info.classes)
    masks = RunFolder(Path(path)).masks(epoch) if path and epoch is not None else None
    if masks is not None and data.test_targets[: len(masks)].shape != masks.shape:
        masks = None  # another data set is here under the name of the run's
    items = []
    for row in range(min(count, len(data.test_images) if masks is None else len(masks))):
        image, truth = to_rgb(np.asarray(data.test_images[row])), np.asarray(data.test_targets[row])
        parts = [overlay_mask(image, truth, 0.6, clear)]
        item: dict[str, Any] = {"verdict": "", "guess": "", "percent": 0, "truth": "truth"}
        item["alt"] = f"Test image {row} with its true mask"
        if masks is not None:
            known = truth != IGNORE
            share = float((masks[row] == truth)[known].mean()) if known.any() else 0.0
            parts.append(overlay_mask(image, masks[row], 0.6, clear))
            item |= {"percent": round(100 * share), "guess": f"{share:.0%} right".replace("%", " %"), "truth": ""}
            item["alt"] += f" above, and the predicted one below: {item['percent']} % of the pixels are right"
        pixels = np.concatenate(parts)
        items.append(item | {"image": data_url(pixels.transpose(2, 0, 1)), "aspect": pixels.shape[1] / len(pixels)})
    return items


def _mask_strip(dataset: str, run: RunFolder | None, epoch: int | None, key: str, count: int) -> bool:
    try:
        items = _pairs(dataset, str(run.path) if run else None, epoch, count)
    except RunError:
        items = _pairs(dataset, None, None, count)
    alt = f"{len(items)} test images with their masks" + (f" after epoch {epoch}" if run else "")
    _mount(key=key, data={"items": items, "alt": alt, "right": RIGHT, "wrong": WRONG})
    return True


def strip(
    dataset: str, run: RunFolder | None = None, epoch: int | None = None, *, key: str = "strip", count: int = COUNT
) -> bool:
    """Draw the strip; without a run or an epoch, only the images. False if the data set is not on this disk."""
    try:
        entry = catalog.find_info(dataset)
    except catalog.DataError:
        return False
    if TASKS[entry.task].target == "mask" and (entry.bundled or catalog.is_ready(dataset)):
        return _mask_strip(dataset, run, epoch, key, count)
    rows, images, targets = _images(dataset, entry.bundled or catalog.is_ready(dataset), count)
    if not rows:
        return False
    guesses: list[tuple[int, float]] | None = None
    if run and epoch is not None:
        try:
            guesses = _guesses(str(run.path), epoch, tuple(rows))
        except (RunError, IndexError):
            guesses = None
    items = []
    for i, (image, target) in enumerate(zip(images, targets, strict=True)):
        guess, probability = guesses[i] if guesses else (None, 0.0)
        items.append(_item(image, entry.classes[target], None if guess is None else entry.classes[guess], probability))
    alt = f"{len(items)} test images" + (f", judged after epoch {epoch}" if guesses else "")
    data = {"items": items, "alt": alt, "right": RIGHT, "wrong": WRONG, "longest": max(entry.classes, key=len)}
    _mount(key=key, data=data)
    return True
