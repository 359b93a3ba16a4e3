"""Averages, top-k, the order by similarity, the images of a cell, the hardest images, and the formulas."""

import numpy as np
import pytest
import sklearn.metrics as oracle
import torch
import torch.nn.functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision, MulticlassRecall

from playground import runs
from playground.config import RunConfig
from playground.metrics import formulas, hardest
from playground.metrics.calibration import compute_reliability
from playground.metrics.confusion import find_images, find_largest_error, order_by_similarity
from playground.metrics.hardest import History
from playground.metrics.predictions import Predictions
from playground.metrics.scores import (
    average_classes,
    compute_f1,
    compute_precision,
    compute_recall,
    count_confusion,
    count_top_k,
    normalise_counts,
    rank_true_classes,
)
from playground.runs import RunError
from playground.runs.predictions import read_predictions


def draw(seed: int, count: int, num_classes: int, absent: tuple[int, ...] = ()) -> Predictions:
    """Answers that are right about half of the time."""
    rng = np.random.default_rng(seed)
    targets = rng.choice([k for k in range(num_classes) if k not in absent], count)
    probs = rng.dirichlet(np.ones(num_classes), count)
    probs[np.arange(count), targets] += 0.2
    return Predictions((probs / probs.sum(1, keepdims=True)).astype(np.float32), targets)


CASES = {
    "ten classes": draw(0, 500, 10),
    "two classes": draw(1, 40, 2),
    "a class without an image": draw(2, 60, 4, absent=(1,)),
    "many classes, some with neither image nor prediction": draw(3, 25, 40),
}


@pytest.fixture(params=CASES)
def answers(request) -> Predictions:
    return CASES[request.param]


@pytest.mark.parametrize("kind", ["macro", "micro", "weighted"])
def test_averages(answers, kind):
    found = average_classes(answers.confusion, kind)
    theirs = oracle.precision_recall_fscore_support(answers.targets, answers.preds, average=kind, zero_division=0)
    assert (found.precision, found.recall, found.f1) == pytest.approx(theirs[:3], abs=1e-12)
    tensors, num_classes = (torch.tensor(answers.preds), torch.tensor(answers.targets)), answers.probs.shape[1]
    for ours, metric in zip(
        (found.precision, found.recall, found.f1),
        (MulticlassPrecision, MulticlassRecall, MulticlassF1Score),
        strict=True,
    ):
        assert ours == pytest.approx(float(metric(num_classes, average=kind)(*tensors)), abs=1e-5)


def test_averages_of_nothing():
    for kind in ("macro", "micro", "weighted"):
        assert average_classes(np.zeros((3, 3), int), kind).f1 == 0


def test_top_k_against_both_oracles(answers):
    hits, num_classes = count_top_k(answers.probs, answers.targets), answers.probs.shape[1]
    for k in range(1, num_classes):
        labels = {"labels": range(num_classes)} if num_classes > 2 else {}
        scores = answers.probs if num_classes > 2 else answers.probs[:, 1]
        expected = oracle.top_k_accuracy_score(answers.targets, scores, k=k, normalize=False, **labels)
        assert hits[k - 1] == expected
        metric = MulticlassAccuracy(num_classes, top_k=k, average="micro")
        share = float(metric(torch.tensor(answers.probs), torch.tensor(answers.targets)))
        assert hits[k - 1] / len(answers.targets) == pytest.approx(share, abs=1e-5)
    assert hits[-1] == len(answers.targets)
    assert hits[0] == answers.right.sum()


def test_of_equal_probabilities_the_first_class_is_the_answer():
    probs, targets = np.full((3, 3), 1 / 3, np.float32), [0, 1, 2]
    assert rank_true_classes(probs, targets).tolist() == [0, 1, 2]
    assert count_top_k(probs, targets).tolist() == [1, 2, 3]
    assert Predictions(probs, np.array(targets)).right.tolist() == [True, False, False]


def test_shares(answers):
    for by, normalize in (("rows", "true"), ("columns", "pred")):
        labels = range(answers.probs.shape[1])
        with np.errstate(invalid="ignore"):
            expected = oracle.confusion_matrix(answers.targets, answers.preds, labels=labels, normalize=normalize)
        np.testing.assert_allclose(normalise_counts(answers.confusion, by), np.nan_to_num(expected), atol=1e-12)
    assert normalise_counts([[3, 1], [0, 0]], "rows").tolist() == [[0.75, 0.25], [0, 0]]


def test_classes_that_are_confused_stand_side_by_side():
    counts = np.diag([50] * 6)
    for one, other in ((0, 3), (1, 5), (2, 4)):  # three pairs, far apart in the order of the classes
        counts[one, other], counts[other, one] = 20, 10
    counts[3, 1] = 2
    order = order_by_similarity(counts).tolist()
    assert sorted(order) == list(range(6))
    pairs = {frozenset(order[i : i + 2]) for i in (0, 2, 4)}
    assert pairs == {frozenset((0, 3)), frozenset((1, 5)), frozenset((2, 4))}
    assert order == order_by_similarity(counts).tolist()
    assert order[0] < order[-1]


def test_the_order_goes_with_the_classes():
    counts = np.random.default_rng(0).integers(0, 50, (8, 8)) + 200 * np.eye(8, dtype=int)
    mixed = np.random.default_rng(1).permutation(8)
    ours, theirs = order_by_similarity(counts).tolist(), mixed[order_by_similarity(counts[mixed][:, mixed])].tolist()
    assert theirs in (ours, ours[::-1])


@pytest.mark.parametrize("counts", [np.diag([5, 5, 5, 5]), np.zeros((4, 4), int), [[3, 1], [1, 3]]])
def test_without_groups_the_order_stays(counts):
    assert order_by_similarity(counts).tolist() == list(range(len(counts)))


def test_the_counts_are_not_changed():
    counts = np.array([[5, 1, 2], [0, 5, 1], [2, 2, 5]])
    before = counts.copy()
    order_by_similarity(counts)
    find_largest_error(counts)
    assert np.array_equal(counts, before)


def test_the_largest_error():
    assert find_largest_error([[9, 1, 2], [0, 9, 7], [1, 0, 9]]) == (1, 2)
    assert find_largest_error([[9, 0], [0, 9]]) == (0, 0)


def test_the_images_of_a_cell_are_those_it_counts_the_most_confident_first(answers):
    counts = count_confusion(answers.targets, answers.preds, answers.probs.shape[1])
    found = []
    for true, predicted in np.ndindex(counts.shape):
        rows = find_images(answers, true, predicted)
        assert len(rows) == counts[true, predicted]
        assert (answers.targets[rows] == true).all()
        assert (np.diff(answers.probs[rows, predicted]) <= 0).all()
        found += rows.tolist()
    assert sorted(found) == list(range(len(answers.targets)))


def test_flips_and_forgetting_by_hand():
    preds = np.array([[0, 1, 1, 2], [1, 1, 0, 2], [0, 1, 2, 2], [1, 1, 1, 2]])  # (epochs, images)
    past = History((0, 1, 2, 5), preds, np.array([0, 1, 1, 0]))
    assert past.flips.tolist() == [3, 0, 3, 0]
    assert past.right.tolist()[1] == [False, True, False, False]
    assert past.forgotten.tolist() == [2, 0, 1, 0]  # the third turns right again at the end, which is no forgetting
    assert past.never_right == 1
    assert History((3,), preds[:1], past.targets).flips.tolist() == [0, 0, 0, 0]


def test_the_hardest_images(answers):
    order = hardest.order_by_loss(answers)
    losses = F.nll_loss(torch.tensor(answers.probs).log(), torch.tensor(answers.targets), reduction="none").numpy()
    assert (np.diff(losses[order]) <= 0).all()
    assert sorted(order) == list(range(len(answers.targets)))


def test_where_the_loss_is_the_same_the_surer_answer_is_harder():
    answers = Predictions(np.array([[0, 0.6, 0.4], [0, 0.1, 0.9], [0.5, 0.5, 0]], np.float32), np.array([0, 0, 0]))
    assert hardest.order_by_loss(answers).tolist() == [1, 0, 2]
    assert hardest.order_by_count(np.array([2, 2, 5]), answers).tolist() == [2, 1, 0]
    assert hardest.order_by_count(np.array([0, 1, 0]), answers).tolist() == [1]


def test_formulas_put_the_counts_in():
    assert formulas.write_precision(812, 103).endswith(r"= \frac{812}{812+103} = 88.7\,\%")
    assert formulas.write_recall(1812, 188).endswith(r"\frac{1{,}812}{1{,}812+188} = 90.6\,\%")
    assert formulas.write_f1(8, 2, 4).endswith(r"\frac{2\cdot 8}{2\cdot 8+2+4} = 72.7\,\%")
    assert formulas.write_top_k(3, 45, 50).endswith(r"\frac{45}{50} = 90.0\,\%")
    for nothing in (formulas.write_precision(0, 0), formulas.write_recall(0, 0), formulas.write_f1(0, 0, 0)):
        assert nothing.endswith(r"0\,\% \text{ (there is nothing to count)}")


def test_formulas_of_averages():
    counts = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])  # the last class has neither image nor prediction
    support, counted = counts.sum(1), counts.sum(0) + counts.sum(1) > 0

    def written(kind, figure):
        return formulas.write_average(
            kind,
            figure(counts),
            support,
            counted,
            getattr(average_classes(counts, kind), figure.__name__.removeprefix("compute_")),
        )

    assert r"\frac{80.0+90.0}{2}\,\% = 85.0\,\%" in written("macro", compute_recall)
    assert r"\frac{10\cdot 88.9+10\cdot 81.8}{20}\,\% = 85.4\,\%" in written("weighted", compute_precision)
    assert r"\frac{17}{20} = 85.0\,\%" in written("micro", compute_f1)


def test_the_formula_of_the_calibration_error():
    found = compute_reliability([0.95, 0.85, 0.55, 0.45], [True, True, False, True], bins=2)
    assert formulas.write_calibration_error(found).endswith(r"\frac{1\cdot 55.0+3\cdot 11.7}{4}\,\% = 22.50\,\%")
    many = formulas.write_calibration_error(
        compute_reliability(np.linspace(0.05, 0.95, 10), np.ones(10, bool), bins=10)
    )
    assert r"+\dots+1\cdot 5.0" in many


# Reading what a run answered


def saved(probs: np.ndarray) -> runs.RunFolder:
    run = runs.create_run(RunConfig())
    run.save_epoch(3, {"output.bias": np.zeros(2, np.float16)}, probs)
    return run


def test_what_a_run_answered_is_read_back():
    wanted = CASES["ten classes"]
    found = read_predictions(saved(wanted.probs.astype(np.float16)), 3, wanted.targets, 10)
    np.testing.assert_allclose(found.probs, wanted.probs, atol=1e-3)
    assert found.confusion.sum() == 500


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda p: p[:-1], "499 images and 10 classes, and the test set has 500 and 10"),
        (lambda p: p[:, :-1], "the predictions of epoch 3 are damaged"),
        (lambda p: np.where(p == p.max(), np.nan, p), "the predictions of epoch 3 are damaged"),
        (lambda p: p * 2, "the predictions of epoch 3 are damaged"),
        (lambda p: p - 1, "the predictions of epoch 3 are damaged"),
    ],
)
def test_predictions_that_do_not_fit_are_one_line(change, line):
    wanted = CASES["ten classes"]
    with pytest.raises(RunError, match=line) as caught:
        read_predictions(saved(change(wanted.probs).astype(np.float16)), 3, wanted.targets, 10)
    assert "\n" not in str(caught.value)


def test_an_epoch_without_predictions_is_one_line():
    run = saved(np.ones((1, 2), np.float16) / 2)
    with pytest.raises(RunError, match="Epoch 2 was kept without its predictions; choose one of 3"):
        read_predictions(run, 2, np.array([0]), 2)
    (run.path / "predictions" / "epoch-0003.safetensors").unlink()
    with pytest.raises(RunError, match="no epoch of this run has any"):
        read_predictions(run, 3, np.array([0]), 2)
