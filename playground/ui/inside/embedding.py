"""The test images in a plane, as the network sees them just before it decides."""

import contextlib

import numpy as np
import streamlit as st

from playground.runs import RunError, RunFolder
from playground.ui.inside import figures
from playground.ui.inside import scene as scenes
from playground.ui.inside.scene import Scene, weights_key
from playground.ui.live_chart import live_chart

MOST = 1000  # points; an epoch is then computed in a blink, and more would hide each other


def _plane(scene: Scene, epoch: int) -> tuple[np.ndarray, tuple[float, float], bool]:
    """Return points (N, 2) of unit size, the shares of the variance, and whether maps were averaged."""
    return _computed(weights_key(scene.run, epoch), scene, epoch)


@st.cache_resource(max_entries=256, show_spinner="Looking at the test images …")
def _computed(key: str, _scene: Scene, _epoch: int) -> tuple[np.ndarray, tuple[float, float], bool]:
    from playground.inference import load_model
    from playground.interpret.embedding import features, plane
    from playground.interpret.network import Budget

    data = scenes.test_set(_scene.run)
    net = load_model(_scene.run, _epoch)
    found = features(net, data.test_images[:MOST], _scene.mean, _scene.std, Budget(seconds=15))
    flat = plane(found.values)
    size = float(np.sqrt((flat.points**2).mean()))
    return flat.points / (size or 1), flat.shares, found.averaged


def _reference(run: RunFolder, epochs: list[int]) -> int:
    """Return the epoch that all others are turned onto; for one person it stays while it is kept."""
    held = st.session_state.setdefault("inside_reference", {})
    if held.get(run.id) not in epochs:
        held[run.id] = epochs[-1]
    return held[run.id]


def _guesses(run: RunFolder, epoch: int) -> np.ndarray | None:
    with contextlib.suppress(RunError):
        return run.predictions(epoch).argmax(1)
    return None


def draw(scene: Scene) -> None:
    """Draw the view."""
    from playground.interpret.embedding import aligned

    data = scenes.test_set(scene.run)
    points, shares, averaged = _plane(scene, scene.epoch)
    reference = _reference(scene.run, scene.run.epochs())
    if reference != scene.epoch:
        with contextlib.suppress(ValueError):  # a damaged reference: this epoch lies as it happens to
            fixed = _plane(scene, reference)[0]
            count = min(len(points), len(fixed))
            points = aligned(points[:count], fixed[:count])
    targets = np.asarray(data.test_targets)[: len(points)]
    guesses = _guesses(scene.run, scene.epoch)
    guesses = guesses[: len(points)] if guesses is not None and len(guesses) >= len(points) else None
    wrong = "" if guesses is None else f"; {int((guesses != targets).sum()):,} are taken for something else, as crosses"
    alt = f"{len(points):,} test images in a plane after epoch {scene.epoch}, coloured by class{wrong}"
    st.markdown(f"**{len(points):,} test images as the last layer sees them**, each class in its colour{wrong}")
    live_chart(
        figures.scatter(points, targets, guesses, data.info.classes, shares, f"{scene.run.id} embedding"),
        key="inside_embedding",
        alt=alt,
        height=620,
        version=f"{scene.weights_key} {reference}",
    )
    text = "The two directions in which what the last layer is fed differs most (principal components), scaled to "
    text += f"one size; each epoch is turned onto epoch {reference}, so that nothing jumps."
    st.caption(text + (" Neighbouring places of the maps were averaged." if averaged else ""))
