"""The network against torch.nn.functional by hand."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import KNOBS, ModelConfig
from playground.geometry import GeometryError
from playground.models import build
from playground.models.cnn import Norm
from playground.tasks import TASKS

BENDS = {
    "relu": F.relu,
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "silu": lambda x: x * torch.sigmoid(x),
    "mish": lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "tanh": torch.tanh,
}


def by_hand(net: nn.Module, model: ModelConfig, images: Tensor) -> Tensor:
    """The forward pass in evaluation mode from the weights alone, by their names."""
    weights = net.state_dict()
    bend, padding = BENDS[model.activation], model.dilation * (model.kernel_size - 1) // 2
    x = images
    for b in range(1, len(model.channels) + 1):
        for c in range(1, model.convs_per_block + 1):
            name = f"block{b}_conv{c}"
            x = F.conv2d(
                x,
                weights[f"{name}.weight"],
                weights[f"{name}.bias"],
                stride=model.stride if c == 1 else 1,
                padding=padding if model.padding == "same" else int(model.padding),
                dilation=model.dilation,
            )
            if model.norm == "batch":
                mean, var, scale, offset = (
                    weights[f"block{b}_norm{c}.{part}"].view(1, -1, 1, 1)
                    for part in ("running_mean", "running_var", "weight", "bias")
                )
                x = (x - mean) / (var + 1e-5).sqrt() * scale + offset
            elif model.norm == "group":  # of at most eight, with two maps or more
                groups = x.reshape(len(x), {4: 2, 6: 3}[x.shape[1]], -1)
                var, mean = torch.var_mean(groups, 2, correction=0, keepdim=True)
                x = ((groups - mean) / (var + 1e-5).sqrt()).reshape(x.shape)
                scale, offset = (weights[f"block{b}_norm{c}.{part}"].view(-1, 1, 1) for part in ("weight", "bias"))
                x = x * scale + offset
            x = bend(x)
        if model.pooling != "none":
            windows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
            x = windows.amax(4) if model.pooling == "max" else windows.mean(4)
    x = x.flatten(1)
    if model.fc_width:
        x = bend(x @ weights["fc1.weight"].T + weights["fc1.bias"])
    return x @ weights["output.weight"].T + weights["output.bias"]


def check(model: ModelConfig, shape: tuple[int, int, int] = (3, 16, 16)) -> None:
    torch.manual_seed(0)
    net = build(model, shape, 5).double()
    for name, buffer in net.named_buffers():  # as after some training, or a mistake in them would not show
        if "running" in name:
            nn.init.uniform_(buffer, 0.5, 1.5)
    for name, weight in net.named_parameters():
        if "norm" in name:
            nn.init.uniform_(weight, 0.5, 1.5)
    images = torch.randn(3, *shape, dtype=torch.float64)
    torch.testing.assert_close(net.eval()(images), by_hand(net, model, images))


def test_each_architecture_of_the_knob_makes_a_network_for_its_task():
    made = set()
    for architecture in KNOBS["architecture"].choices:
        for task in TASKS:
            with contextlib.suppress(GeometryError):
                build(ModelConfig(architecture=architecture, channels=(4, 4)), (3, 16, 16), 5, task)
                made.add((architecture, task))
    pixels = {(name, "segmentation") for name in ("auto", "unet", "fcn")}
    assert made == {("auto", "classification"), ("cnn", "classification")} | pixels


@pytest.mark.parametrize("activation", KNOBS["activation"].choices)
def test_activations(activation):
    check(ModelConfig(activation=activation, channels=(4, 6), fc_width=7))


@pytest.mark.parametrize("pooling", KNOBS["pooling"].choices)
@pytest.mark.parametrize("norm", KNOBS["norm"].choices)
@pytest.mark.parametrize("fc_width", [0, 9])
def test_poolings_norms_and_heads(pooling, norm, fc_width):
    check(ModelConfig(pooling=pooling, norm=norm, fc_width=fc_width, channels=(4, 6)))


@pytest.mark.parametrize(
    "knobs",
    [
        {"kernel_size": 1},
        {"kernel_size": 4},
        {"kernel_size": 5, "padding": "1"},
        {"stride": 2, "convs_per_block": 3, "pooling": "none"},
        {"dilation": 2, "padding": "3", "convs_per_block": 2, "norm": "batch"},
        {"channels": (4, 6, 8, 5), "dropout": 0.5},
    ],
)
def test_kernels(knobs):
    check(ModelConfig.model_validate({"channels": (4, 6), "fc_width": 8} | knobs))


def test_greyscale_and_oblong_images():
    check(ModelConfig(channels=(4,)), shape=(1, 12, 20))


def test_the_article_s_network():
    net = build(ModelConfig(norm="none"), (3, 32, 32), 10)
    assert {name: tuple(p.shape) for name, p in net.named_parameters()} == {
        "block1_conv1.weight": (16, 3, 3, 3),
        "block1_conv1.bias": (16,),
        "block2_conv1.weight": (32, 16, 3, 3),
        "block2_conv1.bias": (32,),
        "block3_conv1.weight": (64, 32, 3, 3),
        "block3_conv1.bias": (64,),
        "fc1.weight": (128, 64 * 4 * 4),
        "fc1.bias": (128,),
        "output.weight": (10, 128),
        "output.bias": (10,),
    }
    assert not list(net.named_buffers())


def test_flattening_is_in_the_order_channel_row_column_whatever_the_memory_layout():
    net = build(ModelConfig(), (3, 32, 32), 10).eval()
    images = torch.randn(2, 3, 32, 32)
    plain = net(images)
    turned = net.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, turned)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_dropout_acts_in_training_alone(dropout):
    net = build(ModelConfig(dropout=dropout, channels=(4, 4)), (3, 16, 16), 10)
    images = torch.randn(4, 3, 16, 16)
    net.train()
    assert torch.equal(net(images), net(images)) == (dropout == 0)
    net.eval()
    assert torch.equal(net(images), net(images))


def test_the_share_of_dropout_is_the_knob_s():
    net = build(ModelConfig(dropout=0.3, channels=(4, 4)), (3, 16, 16), 10)
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Dropout) and module.p == 0.3]
    assert names == ["block1_dropout", "block2_dropout", "fc1_dropout"]


def test_batch_norm_stands_between_convolution_and_activation():
    net = build(ModelConfig(norm="batch", channels=(4,), convs_per_block=2), (3, 16, 16), 10)
    assert [name for name, _ in net.named_children()][:7] == [
        "block1_conv1",
        "block1_norm1",
        "block1_act1",
        "block1_conv2",
        "block1_norm2",
        "block1_act2",
        "block1_pool",
    ]


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 1), (16, 8), (24, 8), (30, 6)])
def test_a_group_holds_two_maps_or_more_where_there_are_two(channels, groups):
    norm = build(ModelConfig(norm="group", channels=(channels,)), (3, 16, 16), 10).get_submodule("block1_norm1")
    assert (type(norm), norm.num_groups, norm.num_channels) == (nn.GroupNorm, groups, channels)


def test_the_seed_decides_the_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return build(ModelConfig(norm="none"), (3, 32, 32), 10).state_dict()

    first, second, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_a_network_that_cannot_be_built_names_the_layer():
    with pytest.raises(GeometryError, match=r"^block6\.pool: "):
        build(ModelConfig(channels=(4,) * 6), (3, 32, 32), 10)


@pytest.mark.parametrize("activation", KNOBS["activation"].choices)
def test_every_weight_gets_a_gradient(activation):
    net = build(ModelConfig(activation=activation, norm="batch", channels=(4, 4)), (3, 16, 16), 10)
    F.cross_entropy(net(torch.randn(8, 3, 16, 16)), torch.arange(8)).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if not (name.endswith("bias") and "conv" in name):  # a norm takes away what a bias before it adds
            assert parameter.grad.abs().sum() > 0, name


def test_batch_norm_takes_a_single_value_per_channel():
    torch.manual_seed(0)
    norm = Norm(4)
    nn.init.uniform_(norm.weight)
    norm(torch.randn(8, 4, 3, 3))  # so that it has averages
    averages = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    pixel = torch.randn(1, 4, 1, 1, requires_grad=True)
    out = norm.train()(pixel)
    torch.testing.assert_close(out, norm.eval()(pixel))
    out.square().sum().backward()
    assert pixel.grad is not None and pixel.grad.abs().min() > 0
    assert all(torch.equal(buffer, averages[name]) for name, buffer in norm.named_buffers())


@pytest.mark.parametrize("shape", [(2, 4, 1, 1), (1, 4, 2, 1), (8, 4, 3, 3)])
def test_batch_norm_is_torch_s_wherever_that_works(shape):
    ours, theirs, maps = Norm(4), nn.BatchNorm2d(4), torch.randn(shape)
    for _ in range(2):
        assert torch.equal(ours(maps), theirs(maps))
    assert all(torch.equal(buffer, theirs.state_dict()[name]) for name, buffer in ours.state_dict().items())
    assert torch.equal(ours.eval()(maps), theirs.eval()(maps))
