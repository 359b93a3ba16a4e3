"""Networks that label each pixel: shapes, sums of their own, and U-Net and FCN against torch by hand."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from playground.config import ModelConfig, from_flat
from playground.geometry import GeometryError, layers
from playground.models import build

SEGMENTATION = "segmentation"
SIZES = [(3, 32, 32), (1, 45, 37)]
VARIANTS = [
    dict(zip(("architecture", "pooling", "upsampling", "skips"), chosen, strict=True))
    for chosen in itertools.product(
        ("unet", "fcn"), ("max", "average", "none"), ("interpolation", "transposed"), (True, False)
    )
]
MORE = [
    {"stride": 2},
    {"stride": 3, "norm": "batch", "convs_per_block": 2},
    {"padding": "0"},
    {"kernel_size": 4, "pooling": "none"},
    {"kernel_size": 5, "dilation": 2, "dropout": 0.3},
    {"channels": "6"},
    {"channels": "6", "architecture": "fcn", "stride": 2},
]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("knobs", VARIANTS + MORE)
def test_what_geometry_says_is_what_comes_out(knobs, shape):
    model = from_flat({"channels": "4-6-8", "architecture": "unet", **knobs}).model
    chain = layers(model, shape, 5, SEGMENTATION)
    net = build(model, shape, 5, SEGMENTATION).eval()
    seen = {}
    for name, module in net.named_children():
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])}))
    images = torch.randn(2, *shape)
    assert net(images).shape == (2, 5, *shape[1:])
    joined = {layer.name for layer in chain if layer.kind in ("concat", "add")}  # joined outside of their module
    named = {layer.name.replace(".", "_"): layer.out_shape for layer in chain if layer.name not in joined}
    assert {name: seen[name] for name in named} == named
    assert sum(p.numel() for p in net.parameters()) == sum(layer.parameters for layer in chain)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(images[:1])
    assert counter.get_total_flops() == 2 * sum(layer.macs for layer in chain)


@pytest.mark.parametrize("knobs", VARIANTS)
def test_any_other_size_of_image_works_too(knobs):
    net = build(from_flat({"channels": "4-6-8", **knobs}).model, (3, 32, 32), 4, SEGMENTATION).eval()
    for size in ((64, 48), (33, 70), (21, 8)):
        assert net(torch.randn(1, 3, *size)).shape == (1, 4, *size)


@pytest.mark.parametrize("knobs", VARIANTS)
def test_every_weight_gets_a_gradient(knobs):
    torch.manual_seed(0)
    net = build(from_flat({"channels": "4-6-8", "activation": "tanh", **knobs}).model, (3, 16, 16), 4, SEGMENTATION)
    net(torch.randn(3, 3, 16, 16)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def convolved(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor, padding: int = 1) -> torch.Tensor:
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)


def block(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return convolved(weights, f"{name}_conv1", x).relu()


def larger(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear")


def test_a_unet_by_hand():
    model = ModelConfig(architecture="unet", channels=(4, 6, 8), norm="none")
    net = build(model, (3, 22, 30), 5, SEGMENTATION).double().eval()
    w, x = net.state_dict(), torch.randn(2, 3, 22, 30, dtype=torch.float64)
    one = block(w, "block1", x)
    two = block(w, "block2", F.max_pool2d(one, 2))
    three = block(w, "block3", F.max_pool2d(two, 2))
    narrow = convolved(w, "up2_narrow", three, 0)
    up2 = block(w, "up2", torch.cat([larger(narrow, two), two], 1))
    narrow = convolved(w, "up1_narrow", up2, 0)
    up1 = block(w, "up1", torch.cat([larger(narrow, one), one], 1))
    torch.testing.assert_close(net(x), convolved(w, "output", up1, 0))


def test_a_unet_without_skips_and_with_transposed_convolutions_by_hand():
    model = ModelConfig(architecture="unet", channels=(4, 6), norm="none", skips=False, upsampling="transposed")
    net = build(model, (3, 21, 30), 5, SEGMENTATION).double().eval()
    w, x = net.state_dict(), torch.randn(2, 3, 21, 30, dtype=torch.float64)
    two = block(w, "block2", F.max_pool2d(block(w, "block1", x), 2))
    doubled = F.conv_transpose2d(two, w["up1_up.weight"], w["up1_up.bias"], stride=2)
    assert doubled.shape[2:] == (20, 30)  # a row short of the image, which the last one fills
    risen = torch.cat([doubled, doubled[:, :, -1:]], 2)
    torch.testing.assert_close(net(x), convolved(w, "output", block(w, "up1", risen), 0))


def test_an_fcn_by_hand():
    model = ModelConfig(architecture="fcn", channels=(4, 6, 8), norm="none")
    net = build(model, (3, 20, 28), 5, SEGMENTATION).double().eval()
    w, x = net.state_dict(), torch.randn(2, 3, 20, 28, dtype=torch.float64)
    one = block(w, "block1", x)
    two = block(w, "block2", F.max_pool2d(one, 2))
    scores = convolved(w, "score3", block(w, "block3", F.max_pool2d(two, 2)), 0)
    scores = larger(scores, two) + convolved(w, "score2", two, 0)
    scores = larger(scores, one) + convolved(w, "output", one, 0)
    torch.testing.assert_close(net(x), scores)


@pytest.mark.parametrize(
    ("architecture", "task", "words"),
    [
        ("cnn", SEGMENTATION, "one label for each pixel: architecture takes auto, unet, fcn, not cnn"),
        ("unet", "classification", "one label for each image: architecture takes auto, cnn, not unet"),
    ],
)
def test_an_architecture_of_the_other_task_is_one_line(architecture, task, words):
    with pytest.raises(GeometryError, match=words):
        layers(ModelConfig(architecture=architecture), (3, 32, 32), 10, task)


def test_an_image_too_small_for_the_blocks_is_one_line():
    with pytest.raises(GeometryError, match=r"block3\.pool: a 2×2 window does not fit"):
        layers(ModelConfig(channels=(4,) * 6), (3, 4, 4), 3, SEGMENTATION)
