"""Losses and boundaries against torch's functions, and against sums written out by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from playground.config import KNOBS, TrainingConfig
from playground.metrics import IGNORE
from playground.metrics.boundaries import boundary, compute_boundary_f1, count_boundaries
from playground.training.losses import loss_function, median_frequency


def training(**knobs) -> TrainingConfig:
    return TrainingConfig.model_validate(knobs)


# One label an image


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Logits of 40 images over 7 classes, some of them confident, and targets of which class 3 is never one."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 7, generator=generator) * torch.logspace(-1, 1.5, 40).unsqueeze(1)
    targets = torch.tensor([0, 1, 2, 4, 5, 6])[torch.randint(6, (40,), generator=generator)]
    return logits, targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy(batch, smoothing):
    logits, targets = batch
    loss = loss_function(training(loss="cross_entropy", label_smoothing=smoothing))(logits, targets)
    torch.testing.assert_close(loss, F.cross_entropy(logits, targets, label_smoothing=smoothing))
    wanted = torch.full((40, 7), smoothing / 7)
    wanted[torch.arange(40), targets] += 1 - smoothing
    torch.testing.assert_close(loss, -(wanted * logits.log_softmax(1)).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_mse_is_the_brier_score(batch, smoothing):
    logits, targets = batch
    total = 0.0
    for row, target in zip(logits.double(), targets.tolist(), strict=True):
        probs = row.exp() / row.exp().sum()
        for c in range(7):
            wanted = smoothing / 7 + (1 - smoothing) * (c == target)
            total += float(probs[c] - wanted) ** 2
    loss = loss_function(training(loss="mse", label_smoothing=smoothing))(logits, targets)
    assert float(loss) == pytest.approx(total / 40, rel=1e-5)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("loss", KNOBS["loss"].choices)
def test_a_sure_and_right_network_has_no_loss_and_an_undecided_one_a_known_one(loss):
    function = loss_function(training(loss=loss))
    targets = torch.arange(10)
    assert float(function(100 * torch.eye(10), targets)) == pytest.approx(0, abs=1e-6)
    focal, dice = 0.9**2 * math.log(10), 1 - 2 * 0.1 / (1 + 1)
    undecided = {
        "cross_entropy": math.log(10),
        "mse": 0.9**2 + 9 * 0.1**2,
        "focal": focal,
        "dice": dice,
        "cross_entropy_dice": math.log(10) + dice,
        "focal_dice": focal + dice,
    }[loss]
    assert float(function(torch.zeros(10, 10), targets)) == pytest.approx(undecided, rel=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "focal"])
def test_the_loss_is_a_mean_over_the_images(loss, batch):
    logits, targets = batch
    function = loss_function(training(loss=loss, label_smoothing=0.1))
    single = torch.stack([function(logits[i : i + 1], targets[i : i + 1]) for i in range(40)])
    torch.testing.assert_close(function(logits, targets), single.mean())


# One label a pixel


@pytest.fixture
def pixels() -> tuple[Tensor, Tensor]:
    """Logits (3, 4, 9, 11) and masks of three of the four classes, one pixel in ten without a class."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.randint(3, (3, 9, 11), generator=generator)
    targets[torch.rand(targets.shape, generator=generator) < 0.1] = IGNORE
    return torch.randn(3, 4, 9, 11, generator=generator) * 2, targets


def probabilities(logits: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that have a class, as (M, K) probabilities and (M,) classes."""
    flat = logits.double().softmax(1).permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).numpy()
    known = targets.flatten().numpy() != IGNORE
    return flat[known], targets.flatten().numpy()[known]


WEIGHTS = np.array([1.0, 0.25, 3.0, 7.0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "focal"])
def test_a_loss_of_pixels_is_a_mean_over_those_that_have_a_class(pixels, loss, weighted):
    probs, classes = probabilities(*pixels)
    p = probs[np.arange(len(classes)), classes]
    brier = (probs**2).sum(1) - 2 * p + 1
    each = {"cross_entropy": -np.log(p), "mse": brier, "focal": (1 - p) ** 2 * -np.log(p)}[loss]
    weights = WEIGHTS[classes] if weighted else np.ones(len(classes))
    made = loss_function(training(loss=loss), torch.tensor(WEIGHTS).float() if weighted else None)
    assert float(made(*pixels)) == pytest.approx((each * weights).sum() / weights.sum(), rel=1e-5)


def test_pixel_cross_entropy_is_that_of_torch(pixels):
    weights = torch.tensor(WEIGHTS).float()
    for smoothing, given in ((0.0, None), (0.0, weights), (0.1, None)):
        made = loss_function(training(label_smoothing=smoothing), given)(*pixels)
        wanted = F.cross_entropy(*pixels, weight=given, ignore_index=IGNORE, label_smoothing=smoothing)
        torch.testing.assert_close(made, wanted)


def test_class_weights_of_images_are_those_of_torch(batch):
    weights = torch.linspace(0.1, 3, 7)
    made = loss_function(training(loss="cross_entropy"), weights)(*batch)
    torch.testing.assert_close(made, F.cross_entropy(*batch, weight=weights))


def test_dice_is_the_overlap_of_the_classes_that_occur(pixels):
    probs, classes = probabilities(*pixels)
    wanted = []
    for c in range(3):  # the fourth never occurs
        true = classes == c
        wanted.append(2 * probs[true, c].sum() / (probs[:, c].sum() + true.sum()))
    assert float(loss_function(training(loss="dice"))(*pixels)) == pytest.approx(1 - np.mean(wanted), rel=1e-5)


def test_joined_names_are_sums(pixels):
    for name in ("cross_entropy_dice", "focal_dice"):
        both = [float(loss_function(training(loss=part))(*pixels)) for part in (name.removesuffix("_dice"), "dice")]
        assert float(loss_function(training(loss=name))(*pixels)) == pytest.approx(sum(both), rel=1e-6)


def test_pixels_at_a_boundary_count_for_more(pixels):
    logits, targets = pixels
    each = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none").double()
    weights = (targets != IGNORE) * (1 + 5.0 * boundary(targets))
    made = loss_function(training(boundary_weight=5.0))(logits, targets)
    assert float(made) == pytest.approx(float((each * weights).sum() / weights.sum()), rel=1e-5)


@pytest.mark.parametrize("loss", KNOBS["loss"].choices)
def test_masks_without_any_class_give_a_loss_of_nothing(loss):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    made = loss_function(training(loss=loss, boundary_weight=2))(logits, torch.full((2, 4, 4), IGNORE))
    made.backward()
    assert math.isfinite(float(made.detach())) and logits.grad is not None and not logits.grad.any()


def test_median_frequency_by_hand():
    masks = np.full((2, 2, 4), IGNORE, np.uint8)
    masks[0] = [[0, 0, 0, 0], [0, 0, 1, 1]]  # 6 of class 0, 2 of class 1
    masks[1, 0] = [0, 0, 2, IGNORE]  # 2 of class 0, 1 of class 2
    # freq: 0 → 8 of 11 pixels, 1 → 2 of the 8 in its image, 2 → 1 of 3
    wanted = np.array([(1 / 3) / (8 / 11), (1 / 3) / (2 / 8), 1, 1])
    np.testing.assert_allclose(median_frequency(masks, 4), wanted, rtol=1e-6)
    labels = np.array([0, 0, 0, 1, 2, 2])
    np.testing.assert_allclose(median_frequency(labels, 3), [(1 / 3) / 0.5, 2, 1], rtol=1e-6)


# Boundaries


def slow_boundary(mask: np.ndarray) -> np.ndarray:
    """A pixel and each of its eight neighbours, one after the other."""
    found = np.zeros(mask.shape, bool)
    for (y, x), value in np.ndenumerate(mask):
        around = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        found[y, x] = value != IGNORE and any(v not in (value, IGNORE) for v in around.flat)
    return found


def test_boundaries_are_where_a_neighbour_is_another_class(pixels):
    masks = pixels[1].numpy()
    np.testing.assert_array_equal(boundary(pixels[1]).numpy(), [slow_boundary(mask) for mask in masks])


def test_boundary_f1_counts_what_lies_within_the_tolerance():
    random = np.random.default_rng(0)
    height, width = 60, 80  # a diagonal of 100: a tolerance of 0.75, so 1 pixel
    true = ndimage.gaussian_filter(random.standard_normal((4, height, width)), (0, 6, 6)) > 0
    preds = ndimage.gaussian_filter(true + 2.5 * random.standard_normal(true.shape), (0, 1.5, 1.5)) > 0.5
    targets = true.astype(np.uint8)
    targets[:, :5] = IGNORE
    counts = np.zeros(4)
    for pred, target in zip(preds.astype(np.uint8), targets, strict=True):
        found, wanted = slow_boundary(pred) & (target != IGNORE), slow_boundary(target)
        wide = np.ones((3, 3))
        right = found & ndimage.binary_dilation(wanted, wide)
        seen = wanted & ndimage.binary_dilation(found, wide)
        counts += [right.sum(), found.sum(), seen.sum(), wanted.sum()]
    made = count_boundaries(torch.from_numpy(preds.astype(np.uint8)), torch.from_numpy(targets))
    np.testing.assert_array_equal(made.numpy(), counts)
    precision, recall = counts[0] / counts[1], counts[2] / counts[3]
    assert compute_boundary_f1(made) == pytest.approx(2 * precision * recall / (precision + recall))
    assert 0.2 < compute_boundary_f1(made) < 0.95


def test_boundary_f1_of_a_perfect_and_of_an_empty_mask():
    masks = torch.zeros(1, 20, 20, dtype=torch.uint8)
    assert compute_boundary_f1(count_boundaries(masks, masks)) == 0
    masks[:, 5:15, 5:15] = 1
    assert compute_boundary_f1(count_boundaries(masks, masks)) == 1
    assert compute_boundary_f1(count_boundaries(torch.zeros_like(masks), masks)) == 0
