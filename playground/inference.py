"""A run's weights → probabilities for any image. The one place where the server itself computes with torch.

Import it inside functions: torch costs 3 s and about 530 MB. Weights come from safetensors files alone, and are checked
against the run's own config before a network is made of them.
"""

import threading
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from playground.config import ConfigError
from playground.data.augment import normalise
from playground.data.catalog import DataError, DatasetInfo
from playground.data.store import arrays
from playground.errors import PlaygroundError
from playground.models import build
from playground.runs import RunError, RunFolder

CACHE_BYTES = 256 * 2**20
"""Networks are kept up to this many bytes of weights, the latest used; a larger one is loaded for each use."""
BATCH = 500
"""Images computed at once, as in training's own evaluation."""

# One image through a small network gains nothing from many cores, and training runs want them: beside a run, two
# threads that wait for each other took four times as long as one (measured).
torch.set_num_threads(1)

_Key = tuple[str, int, int]
_lock = threading.Lock()
_cache: OrderedDict[_Key, tuple[nn.Module, int]] = OrderedDict()


class InferenceError(PlaygroundError, ValueError):
    """A run that cannot predict; the message is one line, fit to be shown."""


def load_model(run: RunFolder, epoch: int) -> nn.Module:
    """Return the network as it was after an epoch, ready to predict (on the CPU, in evaluation mode).

    The newest networks stay in memory, up to `CACHE_BYTES`; one that is retrained or replaced is read again.

    Raises:
        InferenceError: that epoch is not kept, its file is damaged, or its weights do not fit the run's config.
    """
    try:
        written = run.checkpoint(epoch).stat().st_mtime_ns
    except OSError:
        written = 0  # let the run itself say what it keeps
    key = (str(run.path), epoch, written)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key][0]
        network = _load(run, epoch)
        size = sum(tensor.nbytes for tensor in network.state_dict().values())
        if size <= CACHE_BYTES:
            _cache[key] = (network, size)
        while cached_bytes() > CACHE_BYTES:
            _cache.popitem(last=False)
        return network


def cached_bytes() -> int:
    """Return how many bytes of weights are kept."""
    return sum(size for _, size in _cache.values())


def predict(run: RunFolder, epoch: int, images: np.ndarray) -> np.ndarray:
    """Predict with the network as it was after an epoch, in float32.

    That is what Inside computes with, so that both say the same. What training kept of the test images may differ from
    it in the third digit, where it computed in bfloat16 or on a GPU.

    Args:
        run: The run whose network it is.
        epoch: One of `run.epochs()`.
        images: uint8 (N, C, H, W), of the size and channels of the run's data set (`images.fit_to` makes them so).

    Returns:
        float32 (N, num_classes), each row adding up to 1, in the order of the data set's classes.

    Raises:
        InferenceError: the images have another shape, or the run cannot predict; one line.
    """
    dataset, mean, std = dataset_of(run)
    if dataset.segments:
        raise InferenceError(f"{run.name} labels each pixel; show it an image on the page Segment")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != dataset.shape:
        wanted = " × ".join(map(str, dataset.shape))
        raise InferenceError(f"The images are {images.dtype} {images.shape}; this run takes uint8 (N, {wanted})")
    network = load_model(run, epoch)
    probs = []
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        for start in range(0, len(images), BATCH):
            pixels = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
            probs.append(network(normalise(pixels, mean, std)).softmax(1).numpy())
    out = np.concatenate(probs) if probs else np.empty((0, dataset.num_classes), np.float32)
    if not np.isfinite(out).all():
        raise InferenceError(f"After epoch {epoch} this network's answers are no finite numbers; choose another epoch")
    return out


def dataset_of(run: RunFolder) -> tuple[DatasetInfo, tuple[float, ...], tuple[float, ...]]:
    """Return what a run was trained on, with the mean and deviation its images were normalised with.

    They are those of its data set; where that set is not on this machine (the bundled demo on its first day), those of
    the set that its predictions are of, which is a part of it.

    Raises:
        InferenceError: neither is known here; one line.
    """
    try:
        dataset = run.dataset
        mean, std = dataset.mean, dataset.std
        if not mean:
            part = arrays(run.predictions_dataset).info
            mean, std = part.mean, part.std
    except (DataError, ConfigError, RunError) as error:
        raise InferenceError(f"This run cannot predict: {error}") from None
    if len(mean) != dataset.channels or len(std) != dataset.channels:
        raise InferenceError(f"This run cannot predict: {run.predictions_dataset} is no part of {dataset.title}")
    return dataset, mean, std


def _load(run: RunFolder, epoch: int) -> nn.Module:
    try:
        weights = run.weights(epoch)
        dataset = run.dataset
        # On "meta" nothing is allocated: a config that claims a giant network costs nothing before it is checked.
        with torch.device("meta"):
            network = build(run.config.model, dataset.shape, dataset.num_classes, dataset.task)
    except (RunError, ConfigError, DataError) as error:
        raise InferenceError(str(error)) from None
    expected = network.state_dict()
    odd = sorted(expected.keys() ^ weights.keys()) or [k for k in expected if expected[k].shape != weights[k].shape]
    if odd:
        raise InferenceError(f"The weights of epoch {epoch} do not fit this run's knobs ({odd[0]}); choose another run")
    tensors = {name: torch.from_numpy(array).to(expected[name].dtype) for name, array in weights.items()}
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
