"""What a network is asked for: a label for each image, or for each pixel. A third task is one file and one entry here.

All that differs between tasks is a field or a method of its object, so nothing outside asks which task it is. torch is
imported by the methods that train, and by nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from playground.events import EpochRow
from playground.tasks.base import Judged, Metric, Outputs, Task
from playground.tasks.classification import Classification
from playground.tasks.segmentation import Segmentation

__all__ = ["TASKS", "Judged", "Metric", "Outputs", "Task", "TaskName", "of_page", "of_rows"]

TASKS: Mapping[str, Task] = {task.name: task for task in (Classification(), Segmentation())}


def _known(name: str) -> str:
    if name not in TASKS:
        raise ValueError(f"must be one of {', '.join(TASKS)}")
    return name


TaskName = Annotated[str, AfterValidator(_known)]
"""The name of a task, as data sets and files keep it."""


def of_rows(epochs: Sequence[EpochRow]) -> Task | None:
    """Return the task that a run's rows are of: the one by whose metric they are judged; None for no rows."""
    return next((task for task in TASKS.values() if epochs and task.metric.key == epochs[-1].test.metric), None)


def of_page(page: str) -> list[Task]:
    """Return the tasks whose runs a page shows, the one that is at home there first."""
    shown = [task for task in TASKS.values() if page in task.pages]
    return sorted(shown, key=lambda task: task.pages.index(page))
