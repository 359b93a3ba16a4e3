"""The test images in a plane, as the network sees them just before it decides."""

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.runs import RunError, RunFolder
from playground.ui.common import session
from playground.ui.components import thumbnails
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside import figures
from playground.ui.pages.inside.context import PageContext, key_of_weights

if TYPE_CHECKING:
    from playground.interpret.embedding import Features

METHODS = {"pca": "Principal components", "tsne": "t-SNE"}


def _plane(scene: PageContext, epoch: int) -> tuple[np.ndarray, tuple[float, float], bool]:
    """Return points (N, 2) of unit size, the shares of the variance, and whether maps were averaged."""
    return _computed(key_of_weights(scene.run, epoch), scene, epoch)


@st.cache_resource(max_entries=256, show_spinner="Looking at the test images …")
def _computed(key: str, _scene: PageContext, _epoch: int) -> tuple[np.ndarray, tuple[float, float], bool]:
    from playground.interpret.embedding import project_to_plane

    found = _features(_scene, _epoch)
    flat = project_to_plane(found.values)
    size = float(np.sqrt((flat.points**2).mean()))
    return flat.points / (size or 1), flat.shares, found.averaged


def _layout(scene: PageContext, epoch: int, method: str, reference: int) -> np.ndarray:
    """Return the points (N, 2) of an epoch, of unit size, laid onto those of the reference epoch."""
    from playground.interpret.embedding import align_planes

    points = _plane(scene, epoch)[0] if method == "pca" else _neighbours(scene, epoch, reference)
    if reference == epoch:
        return points
    fixed = _layout(scene, reference, method, reference)
    count = min(len(points), len(fixed))
    return align_planes(points[:count], fixed[:count])


def _neighbours(scene: PageContext, epoch: int, reference: int) -> np.ndarray:
    start = _plane(scene, epoch)[0] if reference == epoch else _neighbours(scene, reference, reference)
    key = f"{key_of_weights(scene.run, epoch)} {key_of_weights(scene.run, reference)}"
    return _laid_out(key, scene, epoch, start)


@st.cache_resource(max_entries=256, show_spinner="Laying out the test images …")
def _laid_out(key: str, _scene: PageContext, _epoch: int, _start: np.ndarray) -> np.ndarray:
    from playground.interpret.embedding import find_neighbours

    values = _features(_scene, _epoch).values
    count = min(len(values), len(_start))
    points = find_neighbours(values[:count], _start[:count])
    return points / (float(np.sqrt((points**2).mean())) or 1)


def _features(scene: PageContext, epoch: int) -> "Features":
    from playground.inference.load import load_model
    from playground.interpret.embedding import compute_features
    from playground.interpret.network import Budget

    data = scenes.open_test_set(scene.run)
    images = np.asarray(data.test_images[thumbnails.list_shown(data)])
    return compute_features(load_model(scene.run, epoch), images, scene.mean, scene.std, Budget(seconds=15))


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


def _choose(rows: np.ndarray, point: dict[str, Any]) -> None:
    """Make the image of a point, which knows its tile, the one that all views are about."""
    session.TEST_ROW.set(int(rows[int(point["customdata"])]))
    session.PHOTO.set(None)


def draw(scene: PageContext) -> None:
    """Draw the view."""
    data = scenes.open_test_set(scene.run)
    method = st.segmented_control(
        "How they are laid out",
        list(METHODS),
        format_func=lambda name: METHODS[name],
        key="inside_embedding_method",
        default="pca",
        required=True,
        persist_state="session",
        help="Principal components are there at once: true distances seen from one side, though each of the two "
        "directions is drawn out to fill the chart. t-SNE takes a second or two an epoch and keeps neighbours "
        "together; its distances mean little.",
    )
    _, shares, averaged = _plane(scene, scene.epoch)
    reference = _reference(scene.run, scene.run.epochs())
    try:
        points = _layout(scene, scene.epoch, method, reference)
    except PlaygroundError:  # a damaged reference: this epoch lies as it happens to
        points = _layout(scene, scene.epoch, method, scene.epoch)
    rows = thumbnails.list_shown(data)[: len(points)]  # fewer where the time ran out
    targets = np.asarray(data.test_targets)[rows]
    guesses = _guesses(scene.run, scene.epoch)
    guesses = guesses[rows] if guesses is not None and len(guesses) > rows.max() else None
    wrong = (
        "" if guesses is None else f"; {int((guesses != targets).sum()):,} are predicted as something else, as crosses"
    )
    alt = f"{len(points):,} test images in a plane after epoch {scene.epoch}, coloured by class{wrong}"
    of = "" if len(points) == len(data.test_targets) else f" of {len(data.test_targets):,}"
    st.markdown(
        f"**{len(points):,}{of} test images, from all classes, as the last layer sees them**, each class in its "
        f"colour{wrong}"
    )
    titles = [f"{share:.0%} of the variance".replace("%", " %") if method == "pca" else "" for share in shares]
    live_chart(
        figures.scatter(points, rows, targets, guesses, data.info.classes, titles, f"{scene.run.id} {method}"),
        key="inside_embedding",
        alt=alt,
        height=620,
        version=f"{scene.weights_key} {method} {reference}",
        on_click=partial(_choose, rows),
        pictures=thumbnails.pictures(scene.run.predictions_dataset),
    )
    words = {"pca": "The two directions in which what the last layer is fed differs most, scaled to one size"}
    words["tsne"] = "What the last layer is fed, laid out so that neighbours stay neighbours"
    text = f"{words[method]}; each epoch is turned onto epoch {reference}, so that nothing jumps. "
    text += "Point at an image to see it; click it to look into the network with it."
    st.caption(text + (" Neighbouring places of the maps were averaged." if averaged else ""))
