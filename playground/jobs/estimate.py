"""How long an epoch will take, from the layers' arithmetic and from what runs on this machine have shown. No torch."""

from playground.choices import OPTIMIZERS
from playground.config import RunConfig
from playground.data import catalog
from playground.errors import PlaygroundError
from playground.geometry import Layer, layers
from playground.jobs.client import count_cores
from playground.runs import list_runs
from playground.tasks import TASKS

# Fitted to benchmarks/throughput.py on two cores of a server CPU with bfloat16; `_pace` corrects for other machines.
SECONDS_PER_STEP = 0.9e-3
SECONDS_PER_LAYER = 0.13e-3
SECONDS_PER_MAC = 4e-12
SECONDS_PER_UNIT = 0.33e-9
FITTED_THREADS = 2
THREADS_POWER = 0.55
"""One thread alone reached 2,240 images/s where two together reached 3,300: 2 ** 0.55 times as long."""
RECENT_RUNS = 12
LONG_ENOUGH = 1.0
"""Seconds of training under which a run says nothing about the pace: the first steps of a process are slow."""


def count_training_images(config: RunConfig) -> int:
    """Return about how many images an epoch sees.

    Raises:
        DataError: there is no such data set.
    """
    info = catalog.find_info(config.data.dataset)
    count = info.train_count
    if config.data.images_per_class:
        count = min(count, config.data.images_per_class * TASKS[info.task].count_strata(len(info.classes)))
    return max(1, round(count * (1 - _share_held_back(config))))


def _share_held_back(config: RunConfig) -> float:
    return 1 / config.data.folds if config.data.folds else config.data.validation_share


def lay_out_network(config: RunConfig) -> tuple[Layer, ...]:
    """Return the layers of the config's network on its data set.

    Raises:
        GeometryError: a map would shrink below 1×1; DataError: there is no such data set.
    """
    info = catalog.find_info(config.data.dataset)
    return layers(config.model, info.shape, info.num_classes, info.task)


def estimate_seconds_per_epoch(config: RunConfig) -> float:
    """Estimate the training time of one epoch on this machine, evaluation included.

    Raises:
        GeometryError, DataError: as `network`.
    """
    return _seconds_per_epoch(config, config.training.threads or min(4, count_cores())) * _pace(config.training.device)


def _seconds_per_epoch(config: RunConfig, threads: int) -> float:
    """Return what an epoch takes with so many threads on the machine that the figures were fitted to."""
    chain = lay_out_network(config)
    images = count_training_images(config)
    batch = 512 if OPTIMIZERS[config.training.optimizer].full_batch else config.training.batch_size
    steps = -(-images // batch)
    units = sum(_size(layer.out_shape) for layer in chain if layer.kind in ("conv", "norm", "activation", "pool"))
    forward = sum(layer.macs for layer in chain) * SECONDS_PER_MAC + units * SECONDS_PER_UNIT
    share = _share_held_back(config)
    judged = images * share / (1 - share) + catalog.find_info(config.data.dataset).test_count
    learned = steps * (SECONDS_PER_STEP + SECONDS_PER_LAYER * sum(layer.parameters > 0 for layer in chain))
    return (learned + (3 * images + judged) * forward) * (FITTED_THREADS / threads) ** THREADS_POWER


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _pace(device: str) -> float:
    """Return how many times as long as the fitted machine this one takes; 1 before any run.

    It is the least of its recent runs on the device that a config names: what else it does can only slow a run down.
    """
    ratios = []
    for run in list_runs()[:RECENT_RUNS]:
        status = run.status()
        if run.read_only or status.state != "finished" or status.seconds < LONG_ENOUGH or not status.epoch:
            continue
        try:
            if run.config.training.device == device:
                expected = status.epoch * _seconds_per_epoch(run.config, status.threads or FITTED_THREADS)
                ratios.append(status.seconds / expected)
        except PlaygroundError:
            continue
    return min(ratios, default=1.0)
