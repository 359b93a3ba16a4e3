"""Sliding windows: one pass against window by window, and both against the network asked for one window."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import nn

from playground.config import ModelConfig
from playground.inference import sliding_window as sliding
from playground.inference.errors import InferenceError
from playground.inference.sliding_window import (
    Classifier,
    SlidingWindowResult,
    check_convertibility,
    compute_dense_logits,
    compute_window_logits,
    find_most_frequent,
    fuse_probs,
    make_label_map,
    measure_deviation,
    slide_window,
)
from playground.models import build

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def network(size: int = 16, channels_in: int = 3, **knobs: object) -> nn.Module:
    settings = {"channels": (4, 5), "padding": "0", "fc_width": 7} | knobs
    torch.manual_seed(1)
    net = build(ModelConfig(**settings), (channels_in, size, size), 6).eval()
    for module in net.modules():  # averages that do something
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    # Fresh logits hardly differ from place to place: scaled up, a mistake shows.
    net.get_parameter("output.weight").data.mul_(20)
    return net


def classifier(size: int = 16, **knobs: object) -> Classifier:
    return Classifier(network(size, **knobs), size, MEAN, STD)


def photo(height: int = 50, width: int = 61) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def by_hand(net: nn.Module, images: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """Cut each window out and ask the network for it alone."""
    rows, columns = (range(0, side - size + 1, stride) for side in images.shape[2:])
    with torch.inference_mode():
        found = [net(images[..., y : y + size, x : x + size])[0] for y, x in itertools.product(rows, columns)]
    return torch.stack(found).reshape(len(rows), len(columns), -1)


GEOMETRIES = {
    "the article's": {},
    "several convolutions": {"channels": (4,), "convs_per_block": 3, "norm": "none"},
    "batch norm": {"norm": "batch"},
    "strides": {"stride": 2, "channels": (4, 5), "pooling": "none"},
    "stride and pooling": {"stride": 3, "channels": (4,)},
    "dilation": {"dilation": 2, "channels": (4,), "convs_per_block": 2},
    "even kernel": {"kernel_size": 2},
    "average pooling": {"pooling": "average"},
    "no pooling": {"pooling": "none", "channels": (4,)},
    "no hidden layer": {"fc_width": 0},
    "1×1 kernels": {"kernel_size": 1, "padding": "same"},
    "dropout": {"dropout": 0.5, "activation": "gelu"},
}


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6, 16, 20])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_one_pass_equals_window_by_window(geometry, stride):
    net = network(**GEOMETRIES[geometry])
    assert check_convertibility(net).exact
    images = torch.randn(1, 3, 41, 38)
    with torch.inference_mode():
        dense, windows = compute_dense_logits(net, images, 16, stride), compute_window_logits(net, images, 16, stride)
    assert dense.shape == windows.shape
    torch.testing.assert_close(dense, windows, rtol=1e-4, atol=1e-4)
    assert windows.flatten(0, 1).std(0).min() > 0.01  # the places do differ


def test_windows_are_those_that_the_network_sees_alone():
    for padding in ("0", "same"):
        net, images = network(padding=padding), torch.randn(1, 3, 33, 28)
        with torch.inference_mode():
            found = compute_window_logits(net, images, 16, 3)
        torch.testing.assert_close(found, by_hand(net, images, 16, 3), rtol=1e-4, atol=1e-4)


def test_strips_change_nothing(monkeypatch):
    net, images = network(), torch.randn(1, 3, 60, 38)
    with torch.inference_mode():
        whole = compute_dense_logits(net, images, 16, 2)
        asked = []
        convolved = sliding._convolved
        monkeypatch.setattr(sliding, "FLOATS", 38 * 4 * 20)
        monkeypatch.setattr(sliding, "_convolved", lambda *given: asked.append(given) or convolved(*given))
        cut = compute_dense_logits(net, images, 16, 2)
    assert len(asked) > 5
    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-4)


def test_a_padded_network_differs_in_one_pass_and_says_by_how_much():
    who = classifier(padding="same")
    assert check_convertibility(who.net).possible
    assert not check_convertibility(who.net).exact
    assert "block1.conv1 pads its map with zeros" in check_convertibility(who.net).why
    exact, fast = (slide_window(who, photo(), 16, 4, how) for how in ("windows", "one pass"))
    assert exact.probs.shape == fast.probs.shape
    mean, same, count = measure_deviation(who, photo(), 16, 4, fast)
    assert count == exact.windows  # few enough that all are compared
    assert mean == pytest.approx(np.abs(exact.probs - fast.probs).mean(), abs=1e-6)
    assert same == pytest.approx((exact.probs.argmax(2) == fast.probs.argmax(2)).mean())
    assert mean > 0.01
    mean, same, count = measure_deviation(
        who, photo(120, 120), 16, 2, slide_window(who, photo(120, 120), 16, 2, "windows")
    )
    assert mean == pytest.approx(0, abs=1e-6)  # the same windows are compared, though not all
    assert same == 1
    assert 50 < count <= 121


def test_one_pass_of_a_padded_network_sees_the_neighbours():
    net, images = network(padding="same"), torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = compute_dense_logits(net, images, 16, 4)
        images[..., 40:, :] = 0
        after = compute_dense_logits(net, images, 16, 4)
    changed = (before != after).any(2).any(1)
    assert not changed[0]  # its window has rows 0 to 15
    assert changed[6]  # its window has rows 24 to 39: what is below it changed


class Other(nn.Module):
    """A network that is no chain."""

    def forward(self, images):
        return images.mean((2, 3)) * 30


def test_what_is_no_chain_is_computed_window_by_window():
    found = check_convertibility(Other())
    assert not found.possible
    assert "A Other is no chain of layers that can be turned into convolutions" in found.why
    who = Classifier(Other(), 16, MEAN, STD)
    swept = slide_window(who, photo(), 16, 5, "windows")
    assert swept.probs.shape == (7, 10, 3)
    with pytest.raises(InferenceError, match="compute it window by window"):
        slide_window(who, photo(), 16, 5, "one pass")


def test_a_norm_that_goes_by_the_window_is_computed_window_by_window():
    who = classifier(norm="group")
    found = check_convertibility(who.net)
    assert not found.possible and found.why == "block1.norm1 centres and scales by what else is in the window"
    swept = slide_window(who, photo(50, 61), 16, 5, "windows")
    pixels = torch.from_numpy(photo(50, 61).transpose(2, 0, 1).copy())[None] / 255
    images = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    alone = by_hand(who.net, images, 16, 5).softmax(2)
    np.testing.assert_allclose(swept.probs, alone, atol=1e-4)
    with pytest.raises(InferenceError, match=r"^block1\.norm1 centres .* in the window; compute it window by window$"):
        slide_window(who, photo(50, 61), 16, 5, "one pass")


def test_a_layer_of_an_unknown_kind_says_so():
    net: Any = network()
    net.chain = (*net.chain[:-1], dataclasses.replace(net.chain[-1], kind="add"))
    assert check_convertibility(net) == sliding.Convertibility(
        False, False, "The layer output cannot be turned into a convolution"
    )


def test_a_sweep_says_where_its_windows_are():
    swept = slide_window(classifier(), photo(), 16, 5, "windows")
    assert swept.probs.shape == (7, 10, 6)
    assert swept.start == (8, 8)
    assert swept.step == (5, 5)
    assert swept.windows == 70
    np.testing.assert_allclose(swept.probs.sum(2), 1, atol=1e-5)


def test_a_region_is_resized_to_the_network():
    """A region twice the network's size: the photo is halved, and places are told in pixels of the photo."""
    swept = slide_window(classifier(), photo(64, 80), 32, 6, "one pass")
    assert swept.start == (16, 16)
    assert swept.step == (6, 6)
    assert swept.probs.shape == ((32 - 16) // 3 + 1, (40 - 16) // 3 + 1, 6)
    halved = np.array(Image.fromarray(photo(64, 80)).resize((40, 32), Image.Resampling.BICUBIC))
    assert np.allclose(slide_window(classifier(), halved, 16, 3, "one pass").probs, swept.probs, atol=1e-5)
    # 5 px are 2.5 of the halved photo, which are rounded; never to 0.
    assert slide_window(classifier(), photo(64, 80), 32, 5, "one pass").step == (4, 4)
    assert slide_window(classifier(), photo(64, 80), 64, 1, "one pass").step == (4, 4)


def test_a_grey_network_sees_luma():
    who = Classifier(network(channels_in=1), 16, (0.5,), (0.2,))
    grey = np.asarray(Image.fromarray(photo()).convert("L"))
    expected = slide_window(who, np.repeat(grey[..., None], 3, 2), 16, 5, "windows")
    np.testing.assert_allclose(slide_window(who, photo(), 16, 5, "windows").probs, expected.probs, atol=1e-5)


def test_an_image_smaller_than_the_region_is_one_line():
    with pytest.raises(
        InferenceError, match="The image is 40 × 15 pixels, smaller than a region of 16; take a smaller"
    ):
        slide_window(classifier(), photo(15, 40), 16, 4, "windows")
    assert slide_window(classifier(), photo(16, 40), 16, 4, "one pass").probs.shape == (1, 7, 6)


def test_too_many_windows_are_one_line(monkeypatch):
    monkeypatch.setitem(sliding.MAX_WINDOWS, "windows", 69)
    with pytest.raises(InferenceError, match="There would be 70 regions, and 69 are the most; take a larger stride"):
        slide_window(classifier(), photo(), 16, 5, "windows")


def test_answers_that_are_no_numbers_are_one_line():
    who = classifier()
    who.net.get_parameter("output.bias").data[2] = float("nan")
    with pytest.raises(InferenceError, match="no finite numbers"):
        slide_window(who, photo(), 16, 5, "one pass")


# Fusing


def swept(probs: np.ndarray, start: float = 8, step: float = 4) -> SlidingWindowResult:
    return SlidingWindowResult(probs.astype(np.float32), (start, start), (step, step), "windows", 0.0)


def test_in_the_middle_of_a_window_its_own_probabilities_hold():
    probs = np.random.default_rng(0).dirichlet(np.ones(3), (5, 6))
    fused = fuse_probs([swept(probs, start=8.5)], 40, 44, "mean")  # the middle of pixel 8
    np.testing.assert_allclose(fused[8:25:4, 8:29:4], probs, atol=1e-6)
    np.testing.assert_allclose(fused[10, 8], (probs[0, 0] + probs[1, 0]) / 2, atol=1e-6)
    np.testing.assert_allclose(fused[0, 0], probs[0, 0], atol=1e-6)
    np.testing.assert_allclose(fused[-1, -1], probs[-1, -1], atol=1e-6)
    np.testing.assert_allclose(fused.sum(2), 1, atol=1e-5)


def test_interpolation_against_scipy():
    probs = np.random.default_rng(1).dirichlet(np.ones(3), (5, 6))
    fused = fuse_probs([swept(probs, start=7, step=3.7)], 30, 33, "mean")
    y, x = ((np.arange(n) + 0.5 - 7) / 3.7 for n in (30, 33))
    at = np.stack(np.meshgrid(y, x, indexing="ij"))
    expected = [ndimage.map_coordinates(probs[..., k], at, order=1, mode="nearest") for k in range(3)]
    np.testing.assert_allclose(fused, np.stack(expected, -1), atol=1e-5)


def test_a_single_window_holds_everywhere():
    fused = fuse_probs([swept(np.array([[[0.2, 0.8]]]))], 16, 20, "mean")
    np.testing.assert_allclose(fused, np.broadcast_to([0.2, 0.8], (16, 20, 2)), atol=1e-6)


def test_mean_and_max_of_scales():
    first, second = (swept(np.array([[probs]])) for probs in ([0.6, 0.3, 0.1], [0.1, 0.3, 0.6]))
    np.testing.assert_allclose(fuse_probs([first, second], 16, 16, "mean")[0, 0], [0.35, 0.3, 0.35], atol=1e-6)
    np.testing.assert_allclose(
        fuse_probs([first, second], 16, 16, "max")[0, 0], np.array([0.6, 0.3, 0.6]) / 1.5, atol=1e-6
    )


def test_the_gaussian_blurs_each_classs_map():
    probs = np.random.default_rng(2).dirichlet(np.ones(3), (9, 9))
    plain, blurred = (fuse_probs([swept(probs)], 48, 48, "mean", sigma) for sigma in (0, 3))
    expected = np.stack([ndimage.gaussian_filter(plain[..., k], 3, mode="nearest") for k in range(3)], -1)
    np.testing.assert_allclose(blurred, expected / expected.sum(2, keepdims=True), atol=1e-5)


def test_very_many_classes_share_places(monkeypatch):
    probs = np.random.default_rng(3).dirichlet(np.ones(3), (5, 6))
    whole = fuse_probs([swept(probs)], 33, 41, "mean")
    monkeypatch.setattr(sliding, "FLOATS", 33 * 41)
    coarse = fuse_probs([swept(probs)], 33, 41, "mean")
    assert coarse.shape == (17, 21, 3)
    labels = make_label_map(coarse, 33, 41)
    assert labels.shape == (33, 41)
    monkeypatch.undo()
    assert (labels == make_label_map(whole, 33, 41)).mean() > 0.85


@pytest.mark.parametrize("side", [3, 4, 7])
def test_the_majority_against_brute_force(side):
    labels = np.random.default_rng(4).integers(0, 4, (20, 23))

    def first_mode(values):
        return np.bincount(values.astype(int)).argmax()

    expected = ndimage.generic_filter(labels, first_mode, side, mode="nearest")
    np.testing.assert_array_equal(find_most_frequent(labels, side), expected)


def test_the_majority_removes_a_speck_and_keeps_a_straight_boundary():
    probs = np.zeros((30, 30, 2), np.float32)
    probs[:, :15, 0] = probs[:, 15:, 1] = 1
    probs[5, 5] = 0, 1
    labels = make_label_map(probs, 30, 30, majority=5)
    assert not labels[:, :15].any()
    assert labels[:, 15:].all()
    assert make_label_map(probs, 30, 30)[5, 5] == 1
