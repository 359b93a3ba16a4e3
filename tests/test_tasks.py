"""Tasks: each says all of itself, and a third one that is added from outside trains, is stored and found again."""

from dataclasses import replace

import numpy as np
import pytest
from test_training import config, make_data

from playground import tasks
from playground.comparison.curves import list_curves
from playground.config import RunConfig, from_flat
from playground.data.catalog import DatasetInfo
from playground.events import Epoch, to_row
from playground.geometry import GeometryError, layers
from playground.tasks import TASKS, of_page, of_rows
from playground.tasks.base import Metric
from playground.tasks.classification import Classification
from playground.training import fit
from playground.training.trainer import split_rows


class Ordering(Classification):
    """Labels are grades, and one beside the right one is half right."""

    name = "ordering"
    unit, labelled, gives = "image", "grades", "one grade an image"
    demo = "demo-ordering"
    pages = ("predict",)

    def strata(self, targets):
        return targets // 2

    def count_strata(self, num_classes):
        return -(-num_classes // 2)

    def count_correct(self, logits, targets):
        return (1 - (logits.argmax(1) - targets).abs() / 2).clamp(min=0).sum()


@pytest.fixture
def third(monkeypatch):
    task = Ordering()
    monkeypatch.setitem(TASKS, task.name, task)
    return task


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_all_of_itself(name):
    task = TASKS[name]
    wanted = {field for kind in type(task).__mro__ for field in vars(kind).get("__annotations__", {})}
    assert wanted and all(hasattr(task, field) for field in wanted)
    assert task.name == name and isinstance(task.metric, Metric) and task.metric.key in task.measures
    low, high = task.sides
    assert low <= min(task.offered) and max(task.offered) <= high and task.side in task.offered


def test_a_third_task_trains_with_its_own_strata_and_counts(third):
    data = make_data()
    data = replace(data, info=replace(data.info, task=third.name))
    epochs = [event for event in fit(config(validation_share=0.0), data) if isinstance(event, Epoch)]
    same = [event for event in fit(config(validation_share=0.0), make_data()) if isinstance(event, Epoch)]
    assert len(epochs) == len(same) > 1
    assert epochs[-1].test == same[-1].test  # judged as labels are
    assert epochs[-1].train != same[-1].train  # and counted in its own way while it trains
    held, usual = (split_rows(config(validation_share=0.2), each)[1].tolist() for each in (data, make_data()))
    assert len(held) == len(usual) and held != usual  # two classes at a time are kept in proportion
    assert of_rows([to_row(epochs[-1])]) is TASKS["classification"]  # the first that is judged so


def test_a_third_task_is_kept_by_data_sets_and_seen_by_geometry_and_pages(third):
    data = make_data()
    kept = replace(data.info, task=third.name)
    assert DatasetInfo.from_json(kept.to_json()) == kept
    assert layers(RunConfig().model, (3, 32, 32), 4, third.name) == layers(RunConfig().model, (3, 32, 32), 4)
    unet = from_flat({"architecture": "unet"}).model
    with pytest.raises(GeometryError, match="one label for each image: architecture takes auto, cnn, not unet"):
        layers(unet, (3, 32, 32), 4, third.name)
    assert third in of_page("predict") and third not in of_page("segment")


def test_a_page_is_given_first_to_the_task_that_is_at_home_there():
    assert [task.name for task in of_page("segment")] == ["segmentation", "classification"]
    assert [task.name for task in of_page("inside")] == ["classification"]


def test_a_name_that_is_no_task_is_refused():
    with pytest.raises(ValueError, match="must be one of classification, segmentation"):
        tasks._known("denoise")


def test_curves_are_those_that_a_task_measures():
    labels, masks = ({"validation_share": 0.0, "dataset": name} for name in ("cifar10", "shapes"))
    assert list_curves(from_flat(labels), []) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    assert list_curves(from_flat(masks), []) - list_curves(from_flat(labels), []) == {"test_iou", "test_boundary_f1"}


def test_guessing_gets_what_the_commonest_class_gets():
    counts = np.array([[6, 0, 0], [2, 0, 0], [0, 0, 0]])
    pixels, images = (TASKS[name].guess(RunConfig().training, counts) for name in ("segmentation", "classification"))
    assert (pixels.accuracy, pixels.score) == (0.75, 0.375)
    assert (images.accuracy, images.score) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
