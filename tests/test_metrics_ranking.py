"""Ranking curves and calibration against scikit-learn, torchmetrics and by hand."""

import numpy as np
import pytest
import sklearn.metrics as oracle
import torch
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision, MulticlassCalibrationError

from playground.metrics.calibration import compute_reliability
from playground.metrics.predictions import Predictions
from playground.metrics.ranking import average_rankings, count_at_threshold, rank_all_classes, rank_class, rank_together


def draw(
    seed: int, count: int, num_classes: int, absent: tuple[int, ...] = (), dtype: type = np.float32
) -> Predictions:
    """Answers that are right about half of the time; as float16 many probabilities are the same."""
    rng = np.random.default_rng(seed)
    targets = rng.choice([k for k in range(num_classes) if k not in absent], count)
    logits = rng.normal(size=(count, num_classes)) * 2
    logits[np.arange(count), targets] += 2
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(probs.astype(dtype).astype(np.float32), targets)


CASES = {
    "ten classes": draw(0, 1000, 10),
    "two classes": draw(1, 60, 2),
    "many ties": draw(2, 400, 5, dtype=np.float16),
    "a hundred classes, some without an image": draw(3, 300, 100),
    "a class without an image": draw(4, 100, 4, absent=(2,)),
}


@pytest.fixture(params=CASES)
def answers(request) -> Predictions:
    return CASES[request.param]


def coarse(answers: Predictions) -> Predictions:
    """Round to a tenth, so that most scores are the same."""
    return Predictions(answers.probs.round(1), answers.targets)


@pytest.mark.parametrize("change", [lambda a: a, coarse])
def test_each_class_against_scikit_learn(answers, change):
    answers = change(answers)
    for k, found in enumerate(rank_all_classes(answers)):
        own, scores = answers.targets == k, answers.probs[:, k]
        if not own.any():
            assert found is None
            continue
        assert (found.positives, found.negatives) == (own.sum(), (~own).sum())
        assert found.auc == pytest.approx(oracle.roc_auc_score(own, scores), abs=1e-12)
        assert found.average_precision == pytest.approx(oracle.average_precision_score(own, scores), abs=1e-12)
        fpr, tpr, _ = oracle.roc_curve(own, scores, drop_intermediate=False)
        np.testing.assert_allclose((found.fpr, found.tpr), (fpr, tpr), atol=1e-12)
        precision, recall, _ = oracle.precision_recall_curve(own, scores)
        # Theirs runs from full recall down to 0 and stops at the first threshold that reaches it.
        first = len(precision)
        np.testing.assert_allclose(found.precision[:first], precision[::-1], atol=1e-12)
        np.testing.assert_allclose(found.tpr[:first], recall[::-1], atol=1e-12)


def test_all_together_against_scikit_learn(answers):
    own = np.eye(answers.probs.shape[1], dtype=bool)[answers.targets]
    found = rank_together(answers)
    assert found.auc == pytest.approx(oracle.roc_auc_score(own.ravel(), answers.probs.ravel()), abs=1e-12)
    expected = oracle.average_precision_score(own, answers.probs, average="micro")
    assert found.average_precision == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", ["ten classes", "two classes", "many ties"])
def test_macro_averages_against_torchmetrics(case):
    answers = CASES[case]
    probs, targets, found = torch.tensor(answers.probs), torch.tensor(answers.targets), rank_all_classes(answers)
    num_classes = probs.shape[1]
    auroc = MulticlassAUROC(num_classes, average="macro")(probs, targets)
    assert average_rankings(found, "roc") == pytest.approx(float(auroc), abs=1e-5)
    average_precision = MulticlassAveragePrecision(num_classes, average="macro")(probs, targets)
    assert average_rankings(found, "pr") == pytest.approx(float(average_precision), abs=1e-5)


def test_classes_without_a_curve_do_not_count():
    answers = CASES["a class without an image"]
    present = [0, 1, 3]
    expected = [oracle.roc_auc_score(answers.targets == k, answers.probs[:, k]) for k in present]
    assert average_rankings(rank_all_classes(answers), "roc") == pytest.approx(np.mean(expected))
    assert average_rankings([None, None], "roc") is None


def test_a_ranking_by_hand():
    found = rank_class(np.array([0.9, 0.8, 0.7, 0.7, 0.1]), np.array([True, False, True, False, False]))
    assert found.tpr.tolist() == [0, 0.5, 0.5, 1, 1]
    assert found.fpr.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert found.precision.tolist() == pytest.approx([1, 1, 1 / 2, 2 / 4, 2 / 5])
    # Of 6 pairs 3 + 1 are in order, and one has the same score.
    assert found.auc == pytest.approx(4.5 / 6)
    assert found.average_precision == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def test_there_is_nothing_to_rank():
    for positive in ([True, True], [False, False], []):
        assert rank_class(np.linspace(0, 1, len(positive)), np.array(positive, bool)) is None


def test_counts_at_a_threshold(answers):
    own, scores = answers.targets == 0, answers.probs[:, 0]
    for threshold in (0.0, 0.3, float(scores[0]), 1.1):
        found = count_at_threshold(scores, own, threshold)
        (tn, fp), (fn, tp) = oracle.confusion_matrix(own, scores >= threshold, labels=[False, True])
        assert (found.tp, found.fp, found.fn, found.tn) == (tp, fp, fn, tn)


@pytest.mark.parametrize("bins", [5, 10, 15, 30])
def test_the_calibration_error_against_torchmetrics(answers, bins):
    # torchmetrics gives a confidence of exactly 1 a bin of its own; none of these is.
    assert answers.confidence.max() < 1
    probs, targets = torch.tensor(answers.probs), torch.tensor(answers.targets)
    found = compute_reliability(answers.confidence, answers.right, bins)
    for norm, ours in (("l1", found.error), ("max", found.largest_gap)):
        metric = MulticlassCalibrationError(probs.shape[1], n_bins=bins, norm=norm)
        assert ours == pytest.approx(float(metric(probs, targets)), abs=1e-5)


def test_a_reliability_diagram_by_hand():
    found = compute_reliability([0.95, 1.0, 0.55, 0.5], [True, False, False, True], bins=10)
    assert found.counts.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 2]  # 0.5 is the upper end of its bin, 1 of the last
    assert found.right.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert found.accuracy[[4, 5, 9]].tolist() == [1, 0, 0.5]
    assert found.confidence[[4, 5, 9]] == pytest.approx([0.5, 0.55, 0.975])
    assert found.gaps[[4, 5, 9]] == pytest.approx([0.5, -0.55, -0.475])
    assert found.error == pytest.approx((0.5 + 0.55 + 2 * 0.475) / 4)
    assert found.largest_gap == pytest.approx(0.55)


def test_the_ends_have_their_bins_and_no_answers_have_no_error():
    assert compute_reliability([0.0, 1.0], [False, True], bins=5).counts.tolist() == [1, 0, 0, 0, 1]
    assert compute_reliability([], [], bins=5).error == 0
