"""What the page is about, and what is computed from it once for everybody who looks at the same.

All caches are bounded and keyed by the run, the epoch, when its file was written, and the image.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground.data import catalog, store
from playground.data.catalog import DataError, DatasetInfo
from playground.data.splits import take_turns
from playground.data.store import Arrays
from playground.runs import RunFolder

if TYPE_CHECKING:
    from torch import nn

    from playground.interpret.arithmetic import Arithmetic
    from playground.interpret.attribution import Attribution, Method
    from playground.interpret.dead_units import UnitHealth
    from playground.interpret.edit import Edit
    from playground.interpret.kernels import Histogram
    from playground.interpret.top_activations import TopActivation
    from playground.interpret.trace import Trace

GRADIENT_IMAGES = 128


def name_channel(layer: str, maps: int, chosen: int) -> str:
    """Return which colour a map of the input is: "R", "G" or "B"; nothing for a grey input or another layer."""
    return "RGB"[chosen] if layer == "input" and maps == 3 else ""


@dataclass(frozen=True)
class PageContext:
    """A run at an epoch, and an image.

    Attributes:
        info: the run's data set; mean, std: what its images are normalised with.
        seen: uint8 (C, H, W), the image as the network sees it; title: what to call it; truth: its class, if known.
    """

    run: RunFolder
    epoch: int
    info: DatasetInfo
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seen: np.ndarray
    title: str
    truth: str | None

    @cached_property
    def weights_key(self) -> str:
        """Changes with the run, the epoch and the file."""
        return key_of_weights(self.run, self.epoch)

    @cached_property
    def key(self) -> str:
        """Changes with the image, too."""
        return f"{self.weights_key} {key_of_image(self.seen)}"

    @property
    def net(self) -> "nn.Module":
        from playground.inference.load import load_model

        return load_model(self.run, self.epoch)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes


def key_of_weights(run: RunFolder, epoch: int) -> str:
    """Return what changes whenever an epoch's weights do."""
    try:
        written = run.checkpoint(epoch).stat().st_mtime_ns
    except OSError:
        written = 0
    return f"{run.path} {epoch} {written}"


def key_of_image(seen: np.ndarray) -> str:
    """Return what tells an image from others."""
    return hashlib.blake2b(seen.tobytes() + str(seen.shape).encode(), digest_size=12).hexdigest()


def open_test_set(run: RunFolder) -> Arrays:
    """Return the data set whose test images the run is judged on.

    Raises:
        DataError: it is not on this machine.
    """
    info = catalog.find_info(run.predictions_dataset)
    if not (info.bundled or catalog.is_ready(info.name)):
        raise DataError(f"{info.title} is not on this machine yet; the Data page gets it")
    return store.open_arrays(info.name)


# Each public function hands its cached twin a key to be told apart by, and what it needs under names that do not count.


def trace_layers(scene: PageContext, edits: "Sequence[Edit]" = ()) -> "Trace":
    """Return the image's way through the network, with kernels edited if there are any edits."""
    return _trace(f"{scene.key} {tuple(edits)!r}", scene, tuple(edits))


@st.cache_resource(max_entries=16, show_spinner=False)
def _trace(key: str, _scene: PageContext, _edits: "tuple[Edit, ...]") -> "Trace":
    from playground.interpret.trace import trace_image as traced

    net = _scene.net
    if _edits:
        from playground.interpret.edit import edit_network

        net = edit_network(net, _edits)
    return traced(net, _scene.seen, _scene.mean, _scene.std)


def explain_number(scene: PageContext, name: str, place: Sequence[int]) -> "Arithmetic":
    """Write out one number of the image's trace."""
    from playground.interpret.arithmetic import explain_number as explained

    return explained(scene.net, trace_layers(scene), name, place)


def attribute_class(scene: PageContext, method: "Method", class_index: int, layer: str = "") -> "Attribution":
    """Attribute a class's score to the pixels."""
    return _attribution(f"{scene.key} {method} {class_index} {layer}", scene, method, class_index, layer)


@st.cache_resource(max_entries=128, show_spinner=False)
def _attribution(key: str, _scene: PageContext, _method: "Method", _class_index: int, _layer: str) -> "Attribution":
    from playground.interpret.attribution import attribute

    return attribute(_scene.net, _scene.seen, _scene.mean, _scene.std, _method, _class_index, _layer)


def compute_probs(scene: PageContext, epoch: int) -> np.ndarray:
    """Return the image's probabilities (num_classes,) after an epoch.

    Raises:
        InferenceError: the epoch cannot be read.
    """
    return _probabilities(f"{key_of_weights(scene.run, epoch)} {key_of_image(scene.seen)}", scene, epoch)


@st.cache_resource(max_entries=2048, show_spinner=False)
def _probabilities(key: str, _scene: PageContext, _epoch: int) -> np.ndarray:
    from playground.inference.classify import predict

    return predict(_scene.run, _epoch, _scene.seen[None])[0]


def find_top_activations(scene: PageContext, layer: str) -> "TopActivation":
    """Return the test images that excite each map of a layer most."""
    return _exciting(f"{scene.weights_key} {layer}", scene, layer)


@st.cache_resource(max_entries=32, show_spinner="Looking at the test images …")
def _exciting(key: str, _scene: PageContext, _layer: str) -> "TopActivation":
    from playground.interpret.network import Budget
    from playground.interpret.top_activations import find_top_activations

    data = open_test_set(_scene.run)
    return find_top_activations(
        _scene.net, data.test_images, _scene.mean, _scene.std, _layer, budget=Budget(seconds=10)
    )


def examine_layers(scene: PageContext) -> "list[UnitHealth]":
    """Return the dead and saturated units over the test set."""
    return _health(scene.weights_key, scene)


@st.cache_resource(max_entries=128, show_spinner="Looking at the test images …")
def _health(key: str, _scene: PageContext) -> "list[UnitHealth]":
    from playground.interpret.dead_units import examine_layers as examined
    from playground.interpret.network import Budget

    data = open_test_set(_scene.run)
    return examined(_scene.net, data.test_images, _scene.mean, _scene.std, Budget(seconds=10))


def make_histograms(scene: PageContext) -> "dict[str, tuple[Histogram, Histogram | None]]":
    """Return histograms of weights and of gradients by layer; no gradients where there are no test images."""
    return _histograms(scene.weights_key, scene)


@st.cache_resource(max_entries=128, show_spinner=False)
def _histograms(key: str, _scene: PageContext) -> "dict[str, tuple[Histogram, Histogram | None]]":
    from playground.interpret.kernels import compute_gradients, make_histogram, read_weights
    from playground.training.losses import loss_function

    slopes: dict[str, np.ndarray] = {}
    try:
        data = open_test_set(_scene.run)
    except DataError:
        data = None
    if data:
        some = take_turns(np.asarray(data.test_targets), GRADIENT_IMAGES)
        slopes = compute_gradients(
            _scene.net,
            data.test_images[some],
            data.test_targets[some],
            _scene.mean,
            _scene.std,
            loss_function(_scene.run.config.training),
        )
    return {
        name: (make_histogram(values), make_histogram(slopes[name]) if name in slopes else None)
        for name, values in read_weights(_scene.net).items()
    }
