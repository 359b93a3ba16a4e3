"""The curves of two runs or more, over one another. No torch."""

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from playground.config import RunConfig
from playground.data import catalog
from playground.data.catalog import DataError
from playground.events import EpochRow
from playground.jobs import estimate
from playground.tasks import Task, of_rows

SPLITS = ("train", "val", "test")


def find_task(config: RunConfig, epochs: Sequence[EpochRow]) -> Task:
    """Return a run's task: that of its epoch rows, or before the first that of its data set."""
    return of_rows(epochs) or catalog.task_of(config.data.dataset)


def list_curves(config: RunConfig, epochs: Sequence[EpochRow]) -> set[str]:
    """Return the names of the curves that a run has, or before its first epoch will have: "test_loss" and so on."""
    data = config.data
    held_back = any(row.get("val") for row in epochs) if epochs else bool(data.folds or data.validation_share)
    measures = find_task(config, epochs).measures
    judged = {f"{split}_{name}" for split in (("test", "val") if held_back else ("test",)) for name in measures}
    return judged | {"train_loss", "train_accuracy"}


def assign_colours(before: Mapping[str, int], ids: Sequence[str]) -> dict[str, int]:
    """Give each run the number of a colour: the one it had `before`, else the lowest that is free."""
    kept = {run: before[run] for run in ids if run in before}
    free = (number for number in count() if number not in kept.values())
    return {run: kept[run] if run in kept else next(free) for run in dict.fromkeys(ids)}


def read_curve(
    progress: Mapping[str, Sequence[float]],
    epochs: Sequence[EpochRow],
    *,
    axis: str,
    split: str,
    figure: str,
    per_epoch: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one curve of a run as (x, y), each (N,).

    Args:
        progress, epochs: its rows (see `runs.RunReader`). The training curve has a point for each report, the others
            one for each epoch.
        axis: what x counts: "step", "epoch", "images" or "seconds".
        split: "train", "val" or "test".
        figure: "loss" or "accuracy"; of validation and test images any of its task's measures.
        per_epoch: images that an epoch goes over; None gives an empty curve over "images".
    """
    column = "epoch" if axis == "images" else axis
    if split == "train":
        x, y = progress.get(column, ()), progress.get(figure, ())
    else:
        scored = [row for row in epochs if getattr(row.get(split), figure, None) is not None]
        x, y = [getattr(row, column) for row in scored], [getattr(row[split], figure) for row in scored]
    if axis == "images" and per_epoch is None:
        x, y = (), ()
    return np.array(x, float) * (per_epoch or 1 if axis == "images" else 1), np.array(y, float)


def count_images_per_epoch(config: RunConfig) -> int | None:
    """Return about how many images an epoch goes over; None where the data set is not known here."""
    try:
        return estimate.count_training_images(config)
    except DataError:
        return None
