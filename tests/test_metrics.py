"""Figures from the confusion matrix against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import sklearn.metrics as oracle
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex
from torchmetrics.segmentation import DiceScore

from playground.metrics.scores import (
    compute_accuracy,
    compute_f1,
    compute_iou,
    compute_precision,
    compute_recall,
    count_confusion,
)


def draw(seed: int, num_classes: int, count: int, absent: tuple[int, ...] = (), unpredicted: tuple[int, ...] = ()):
    """Targets and predictions, right about half of the time, with classes that never occur or are never predicted."""
    rng = np.random.default_rng(seed)
    targets = rng.choice([c for c in range(num_classes) if c not in absent], count)
    guesses = rng.choice([c for c in range(num_classes) if c not in unpredicted], count)
    right = (rng.random(count) < 0.5) & ~np.isin(targets, unpredicted)
    return targets, np.where(right, targets, guesses)


CASES = {
    "ten classes": draw(0, 10, 1000),
    "two classes": draw(1, 2, 50),
    "a class with no image": draw(2, 5, 200, absent=(2,)),
    "a class never predicted": draw(3, 5, 200, unpredicted=(0, 4)),
    "a class with neither": draw(4, 5, 200, absent=(3,), unpredicted=(3,)),
    "one image": (np.array([1]), np.array([2])),
    "all right": (np.arange(4), np.arange(4)),
    "all wrong": (np.arange(4), (np.arange(4) + 1) % 4),
    "a hundred classes": draw(5, 100, 300),
}
NUM_CLASSES = {"ten classes": 10, "two classes": 2, "a hundred classes": 100, "all right": 4, "all wrong": 4}


@pytest.fixture(params=CASES)
def case(request):
    """Targets, predictions and the number of classes."""
    return *CASES[request.param], NUM_CLASSES.get(request.param, 5)


def test_the_cases_are_what_they_say():
    targets, preds = CASES["a class with neither"]
    assert 3 not in targets and 3 not in preds
    targets, preds = CASES["a class never predicted"]
    assert {0, 4} <= set(targets) and not {0, 4} & set(preds)


def test_confusion_matrix(case):
    targets, preds, num_classes = case
    counts = count_confusion(targets, preds, num_classes)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, oracle.confusion_matrix(targets, preds, labels=range(num_classes)))
    metric = MulticlassConfusionMatrix(num_classes)
    assert np.array_equal(counts, metric(torch.tensor(preds), torch.tensor(targets)).numpy())


def test_rows_are_true_classes_and_columns_predictions():
    assert count_confusion([0, 0, 1], [0, 1, 1], 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("kind", [list, np.array, lambda x: np.array(x, np.uint8), lambda x: np.array(x, np.int32)])
def test_small_types_do_not_overflow(kind):
    targets, preds = kind([99, 98, 0]), kind([99, 0, 98])
    counts = count_confusion(targets, preds, 100)
    assert counts[99, 99] == counts[98, 0] == counts[0, 98] == 1
    assert counts.sum() == 3


def test_masks_are_counted_pixel_by_pixel():
    rng = np.random.default_rng(0)
    targets, preds = rng.integers(0, 4, (2, 3, 8, 9))
    expected = oracle.confusion_matrix(targets.ravel(), preds.ravel(), labels=range(4))
    assert np.array_equal(count_confusion(targets, preds, 4), expected)


def test_no_images_at_all():
    counts = count_confusion([], [], 3)
    assert counts.tolist() == [[0] * 3] * 3
    assert compute_accuracy(counts) == 0
    for figure in (compute_precision, compute_recall, compute_f1, compute_iou):
        assert figure(counts).tolist() == [0, 0, 0]


def test_accuracy(case):
    targets, preds, num_classes = case
    ours = compute_accuracy(count_confusion(targets, preds, num_classes))
    assert isinstance(ours, float)
    assert ours == pytest.approx(oracle.accuracy_score(targets, preds), abs=1e-12)
    metric = MulticlassAccuracy(num_classes, average="micro")
    assert ours == pytest.approx(float(metric(torch.tensor(preds), torch.tensor(targets))), abs=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (compute_precision, oracle.precision_score),
        (compute_recall, oracle.recall_score),
        (compute_f1, oracle.f1_score),
        (compute_iou, oracle.jaccard_score),
    ],
)
def test_figures_of_each_class(case, ours, theirs):
    targets, preds, num_classes = case
    counts = count_confusion(targets, preds, num_classes)
    expected = theirs(targets, preds, labels=range(num_classes), average=None, zero_division=0)
    np.testing.assert_allclose(ours(counts), expected, atol=1e-12)
    np.testing.assert_allclose(ours(counts.tolist()), expected, atol=1e-12)  # as it comes out of a JSON row


def test_iou_and_dice_against_torchmetrics(case):
    targets, preds, num_classes = case
    counts = count_confusion(targets, preds, num_classes)
    tensors = torch.tensor(preds), torch.tensor(targets)
    jaccard = MulticlassJaccardIndex(num_classes, average="none")(*tensors)
    np.testing.assert_allclose(compute_iou(counts), jaccard.numpy(), atol=1e-6)
    masks = [tensor.view(1, 1, -1) for tensor in tensors]
    dice = DiceScore(num_classes, average="none", input_format="index")(*masks).nan_to_num()
    np.testing.assert_allclose(compute_f1(counts), dice.numpy().ravel(), atol=1e-6)


def test_by_hand():
    counts = [[2, 1, 0], [0, 0, 0], [1, 0, 4]]
    assert compute_accuracy(counts) == 6 / 8
    assert compute_precision(counts).tolist() == [2 / 3, 0, 1]
    assert compute_recall(counts).tolist() == [2 / 3, 0, 4 / 5]
    assert compute_f1(counts).tolist() == [4 / 6, 0, 8 / 9]
    assert compute_iou(counts).tolist() == [2 / 4, 0, 4 / 5]


def test_the_matrix_is_not_changed():
    counts = np.array([[2, 1], [1, 3]])
    before = counts.copy()
    for figure in (compute_accuracy, compute_precision, compute_recall, compute_f1, compute_iou):
        figure(counts)
    assert np.array_equal(counts, before)
