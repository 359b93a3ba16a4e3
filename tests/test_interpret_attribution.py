"""Attributions against oracles that know nothing of captum: differences, sums, and the definitions by hand."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from playground.config import from_flat
from playground.interpret import InterpretError, attribution
from playground.interpret.attribution import METHODS, attribute, draw_overlay
from playground.interpret.network import prepare_image
from playground.interpret.trace import trace_image
from playground.models import build
from playground.ui.pages.inside.attribution import sum_words

torch.set_num_threads(1)
SIZE, CLASSES = 10, 4
KNOBS = {"channels": "4-5", "activation": "gelu", "norm": "batch", "fc_width": 6, "pooling": "average"}


def network(depth: int = 3, **knobs):
    torch.manual_seed(1)
    net = build(from_flat({**KNOBS, **knobs}).model, (depth, SIZE, SIZE), CLASSES).eval().requires_grad_(False)
    image = np.random.default_rng(1).integers(0, 256, (depth, SIZE, SIZE), np.uint8)
    return net.to(memory_format=torch.channels_last), image, (0.5,) * depth, (0.25,) * depth


def scores(net, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """In float64, so that small differences are exact."""
    with torch.no_grad():
        return copy.deepcopy(net).double()(pixels.double())[:, target]


def differences(net, pixels: torch.Tensor, target: int, step: float = 1e-4) -> torch.Tensor:
    """The gradient (C, H, W) by central differences, one pixel at a time."""
    count = pixels.numel()
    moves = torch.eye(count, dtype=torch.float64).reshape(count, *pixels.shape[1:]) * step
    base = pixels.double()
    return ((scores(net, base + moves, target) - scores(net, base - moves, target)) / (2 * step)).reshape(
        pixels.shape[1:]
    )


@pytest.mark.parametrize("target", [0, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_saliency_and_input_x_gradient_are_differences(channels, target):
    net, image, mean, std = network(channels)
    pixels = prepare_image(net, image[None], mean, std)
    gradient = differences(net, pixels, target)
    found = attribute(net, image, mean, std, "saliency", target)
    np.testing.assert_allclose(found.values, gradient.abs().amax(0), rtol=1e-3, atol=1e-6)
    assert not found.signed and found.low >= 0
    found = attribute(net, image, mean, std, "input_x_gradient", target)
    np.testing.assert_allclose(found.values, (gradient * pixels[0].double()).sum(0), rtol=1e-3, atol=1e-6)
    assert found.signed and (found.low, found.high) == (found.values.min(), found.values.max())
    assert found.score == pytest.approx(float(scores(net, pixels, target)[0]), abs=1e-5)


def test_integrated_gradients_are_a_sum_over_the_way_and_complete():
    net, image, mean, std = network()
    found = attribute(net, image, mean, std, "integrated_gradients", 2)
    assert found.values.sum() == pytest.approx(found.score - found.baseline, abs=1e-4)
    pixels = prepare_image(net, image[None], mean, std)
    assert found.baseline == pytest.approx(float(scores(net, torch.zeros_like(pixels), 2)[0]), abs=1e-5)
    parts = torch.arange(0.5, 400)[:, None, None, None] / 400
    way = (parts * pixels).double().requires_grad_()
    copy.deepcopy(net).double()(way)[:, 2].sum().backward()
    assert way.grad is not None
    np.testing.assert_allclose(found.values, (way.grad.mean(0) * pixels[0]).sum(0), rtol=1e-3, atol=2e-5)


def test_integrated_gradients_take_more_steps_until_they_add_up_and_say_what_they_miss(monkeypatch):
    net, image, mean, std = network(3, activation="relu", pooling="max", channels="16-16", norm="none")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(4) if parameter.ndim > 1 else parameter.normal_(0, 2)  # many sharp bends on the way
    monkeypatch.setattr(attribution, "STEPS", (50,))
    short = [attribute(net, image, mean, std, "integrated_gradients", k) for k in range(4)]
    monkeypatch.undo()
    found = [attribute(net, image, mean, std, "integrated_gradients", k) for k in range(4)]
    assert max(one.missed for one in short) > attribution.CLOSE
    for before, one in zip(short, found, strict=True):
        apart = one.score - one.baseline
        assert one.missed == pytest.approx(abs(one.values.sum(dtype=float) - apart) / abs(apart))
        assert one.missed <= attribution.CLOSE or one.steps == attribution.STEPS[-1]
        assert (one.steps == 50) == (before.missed <= attribution.CLOSE)
        assert f"In {one.steps} steps the pixels add up to" in sum_words(one)
        assert f"which is {100 * one.missed:.2f} % off" in sum_words(one)


@pytest.mark.parametrize("layer", ["block1.conv1", "block2.conv1", "block2.act1", ""])
def test_grad_cam_by_hand(layer):
    net, image, mean, std = network()
    found = attribute(net, image, mean, std, "grad_cam", 1, layer)
    assert found.layer == (layer or "block2.conv1")
    maps = prepare_image(net, image[None], mean, std)
    modules = dict(zip([step.name for step in net.chain], net.children(), strict=True))
    after = list(modules).index(found.layer) + 1
    for module in list(modules.values())[:after]:
        maps = module(maps)
    maps = maps.detach().requires_grad_()
    out = maps
    for module in list(modules.values())[after:]:
        out = module(out)
    (gradient,) = torch.autograd.grad(out[0, 1], maps)
    weighted = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    wanted = F.interpolate(weighted, (SIZE, SIZE), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(found.values, wanted.detach(), rtol=1e-4, atol=1e-6)
    assert found.values.any() and found.low >= 0


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 2), (4, 1), (10, 10), (0, 0)])
def test_occlusion_by_brute_force(window, stride):
    net, image, mean, std = network()
    found = attribute(net, image, mean, std, "occlusion", 3, window=window, stride=stride)
    pixels = prepare_image(net, image[None], mean, std)
    window, stride = window or 1, stride or 1
    before = float(scores(net, pixels, 3)[0])
    total, count = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    starts = range(0, -(-(SIZE - window) // stride) * stride + 1, stride)
    for top in starts:
        for left in starts:
            hidden, square = pixels.clone(), np.s_[top : top + window, left : left + window]
            hidden[:, :, square[0], square[1]] = 0
            total[square] += before - float(scores(net, hidden, 3)[0])
            count[square] += 1
    np.testing.assert_allclose(found.values, total / count, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "knobs",
    [
        {"fc_width": 0, "pooling": "none", "activation": "relu", "norm": "none"},
        {"activation": "sigmoid", "pooling": "max", "kernel_size": 4, "stride": 2, "padding": "3"},
        {"channels": "1", "convs_per_block": 3, "activation": "tanh", "dropout": 0.5},
    ],
)
def test_every_method_takes_every_network(method, knobs):
    net, image, mean, std = network(1, **knobs)
    found = attribute(net, image, mean, std, method, 0)
    assert found.values.shape == (SIZE, SIZE) and found.values.dtype == np.float32
    assert np.isfinite(found.values).all()
    assert draw_overlay(image, found.values, found.signed).shape == (SIZE, SIZE, 3)


def test_the_network_that_others_use_is_left_alone():
    net, image, mean, std = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    wanted = trace_image(net, image, mean, std).probs

    def work(method):
        return attribute(net, image, mean, std, method, 1).values, trace_image(net, image, mean, std).probs

    alone = {method: work(method)[0] for method in METHODS}
    with ThreadPoolExecutor(4) as pool:
        for method, (values, probs) in zip(list(METHODS) * 3, pool.map(work, list(METHODS) * 3), strict=True):
            np.testing.assert_allclose(values, alone[method], rtol=1e-4, atol=1e-6)
            np.testing.assert_array_equal(probs, wanted)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with torch.inference_mode():
        assert attribute(net, image, mean, std, "saliency", 1).values.any()


@pytest.mark.parametrize("method", METHODS)
def test_no_hook_ever_touches_the_network_that_others_use(method, monkeypatch):
    net, image, mean, std = network()
    hooked = []
    for name in ("register_forward_hook", "register_forward_pre_hook"):
        real = getattr(torch.nn.Module, name)
        spy = lambda module, *args, real=real, **more: (hooked.append(module), real(module, *args, **more))[1]  # noqa: E731
        monkeypatch.setattr(torch.nn.Module, name, spy)
    attribute(net, image, mean, std, method, 1)
    assert not {id(module) for module in hooked} & {id(module) for module in net.modules()}
    assert hooked or method != "grad_cam"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"class_index": 4}, "There is no class 4; this network knows 0 to 3"),
        ({"class_index": -1}, "There is no class -1"),
        ({"method": "magic"}, "There is no method 'magic'; there are saliency"),
        ({"method": "grad_cam", "layer": "block7.conv1"}, "no conv or norm .* 'block7.conv1'; there are block1.conv1"),
        ({"method": "grad_cam", "layer": "fc1_act"}, "fc1_act has no maps"),
        ({"method": "occlusion", "window": 11}, "cannot hide each place"),
        ({"method": "occlusion", "window": 2, "stride": 3}, "cannot hide each place"),
        ({"image": np.zeros((3, 5, 5), np.uint8)}, "this network takes uint8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes, says):
    net, image, mean, std = network()
    asked = {"image": image, "mean": mean, "std": std, "method": "saliency", "class_index": 0} | changes
    with pytest.raises(InterpretError, match=says) as caught:
        attribute(net, **asked)
    assert "\n" not in str(caught.value)


def test_an_overlay_goes_from_the_image_to_the_colours():
    image = np.full((1, 2, 2), 40, np.uint8)
    values = np.array([[-1.0, 0.0], [1.0, np.nan]], np.float32)
    assert (draw_overlay(image, values, True, 0) == 40).all()
    full = draw_overlay(image, values, True, 1)
    assert full[0, 0, 2] > full[0, 0, 0] and full[1, 0, 0] > full[1, 0, 2]  # blue against, red for
    assert full[0, 1].tolist() == [247, 247, 247] and full[1, 1].tolist() == [40, 40, 40]
    only_for = draw_overlay(image, np.abs(np.nan_to_num(values)), True, 1)
    assert only_for[0, 1].tolist() == [247, 247, 247]
    with pytest.raises(InterpretError, match="does not lie on an image"):
        draw_overlay(image, values[:1], True)


def test_a_network_that_diverged_gives_no_numbers_rather_than_an_error():
    net, image, mean, std = network()
    net.state_dict()["output.weight"].fill_(float("nan"))
    found = attribute(net, image, mean, std, "saliency", 0)
    assert np.isnan(found.low)
    np.testing.assert_array_equal(draw_overlay(image, found.values, found.signed), image.transpose(1, 2, 0))
