"""A run's weights → a network that is ready to predict. The one place where the server itself computes with torch.

Import it inside functions: torch costs 3 s and about 530 MB. Weights come from safetensors files alone, and are checked
against the run's own config before a network is made of them.
"""

import threading
from collections import OrderedDict

import torch
from torch import nn

from playground.config import ConfigError
from playground.data.catalog import DataError, DatasetInfo
from playground.data.store import open_arrays
from playground.inference.errors import InferenceError
from playground.models import build
from playground.runs import RunError, RunFolder

CACHE_BYTES = 256 * 2**20
"""Networks are kept up to this many bytes of weights, the latest used; a larger one is loaded for each use."""

# One image through a small network gains nothing from many cores, and training runs want them: beside a run, two
# threads that wait for each other took four times as long as one (measured).
torch.set_num_threads(1)

_Key = tuple[str, int, int]
_lock = threading.Lock()
_cache: OrderedDict[_Key, tuple[nn.Module, int]] = OrderedDict()


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
        while count_cached_bytes() > CACHE_BYTES:
            _cache.popitem(last=False)
        return network


def count_cached_bytes() -> int:
    """Return how many bytes of weights are kept."""
    return sum(size for _, size in _cache.values())


def find_dataset(run: RunFolder) -> tuple[DatasetInfo, tuple[float, ...], tuple[float, ...]]:
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
            part = open_arrays(run.predictions_dataset).info
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
