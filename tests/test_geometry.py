"""The arithmetic of the network against torch: shapes, parameters, multiplications, receptive fields, refusals."""

import math
import random
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from playground.config import KNOBS, ConfigError, ModelConfig
from playground.geometry import MAX_PARAMETERS, GeometryError, layers, padding_of, receptive_field, window_steps
from playground.models import build

SHAPES = [(3, 32, 32), (1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 64, 64), (2, 17, 33), (3, 5, 40)]


def draw_model(rng: random.Random) -> ModelConfig:
    knobs = {
        "channels": [rng.randint(1, 24) for _ in range(rng.randint(1, 6))],
        "convs_per_block": rng.randint(1, 4),
        "kernel_size": rng.randint(1, 11),
        "stride": rng.choice([1, 1, 1, 2, 3, 4]),
        "padding": rng.choice(["same", "same", *KNOBS["padding"].choices]),
        "dilation": rng.choice([1, 1, 2, 3, 4]),
        "pooling": rng.choice(KNOBS["pooling"].choices),
        "activation": rng.choice(KNOBS["activation"].choices),
        "norm": rng.choice(KNOBS["norm"].choices),
        "dropout": rng.choice([0.0, 0.5]),
        "fc_width": rng.choice([0, 1, 16, 128]),
    }
    return ModelConfig.model_validate(knobs)


def reference(model: ModelConfig, channels: int) -> Iterator[tuple[str, nn.Module]]:
    """The maps' part of the network, written down a second time with torch's lazy modules."""
    padding = model.dilation * (model.kernel_size - 1) // 2 if model.padding == "same" else int(model.padding)
    for b, width in enumerate(model.channels, 1):
        for c in range(1, model.convs_per_block + 1):
            stride = model.stride if c == 1 else 1
            conv = nn.Conv2d(channels, width, model.kernel_size, stride, padding, model.dilation, device="meta")
            yield f"block{b}.conv{c}", conv
            if model.norm == "group":
                yield f"block{b}.norm{c}", nn.GroupNorm(1, width, device="meta")
            channels = width
        if model.pooling != "none":
            yield f"block{b}.pool", nn.MaxPool2d(2)


def first_failure(model: ModelConfig, shape: tuple[int, int, int]) -> str | None:
    """The first layer whose torch module refuses its input, or gives an empty map."""
    maps = torch.empty(1, *shape, device="meta")
    for name, module in reference(model, shape[0]):
        try:
            maps = module(maps)
        except (RuntimeError, ValueError):
            return name
        if not maps.numel():
            return name
    return None


def cases(count: int, seed: int) -> list[tuple[ModelConfig, tuple[int, int, int]]]:
    rng = random.Random(seed)
    return [(draw_model(rng), rng.choice(SHAPES)) for _ in range(count)]


def check_against_torch(model: ModelConfig, shape: tuple[int, int, int], device: str) -> None:
    """Run the module that is built from the list, and compare what it does with what the list says."""
    chain = layers(model, shape, 7)
    with torch.device(device):
        net = build(model, shape, 7).eval()
        images = torch.zeros(2, *shape)
    seen = {}
    for name, module in net.named_children():
        module.register_forward_hook(lambda _, args, out, name=name: seen.update({name: (args[0].shape, out.shape)}))
    logits = net(images)
    assert logits.shape == (2, 7)
    expected = {layer.name.replace(".", "_"): ((2, *layer.in_shape), (2, *layer.out_shape)) for layer in chain}
    assert {name: tuple(map(tuple, shapes)) for name, shapes in seen.items()} == expected
    assert list(seen) == list(expected), "in the order of the list"
    for layer, module in zip(chain, net.children(), strict=True):
        assert layer.parameters == sum(p.numel() for p in module.parameters()), layer.name


def test_random_networks_are_refused_where_torch_refuses_them_and_else_have_its_shapes():
    refused = 0
    for model, shape in cases(300, seed=1):
        failing = first_failure(model, shape)
        if failing is None:
            check_against_torch(model, shape, "meta")
        else:
            refused += 1
            with pytest.raises(GeometryError) as caught:
                layers(model, shape, 7)
            assert str(caught.value).startswith(f"{failing}: "), (model, shape)
            assert str(caught.value).isprintable()
    assert 75 < refused < 225, "both kinds are among the 300"


def test_a_few_networks_with_real_numbers():
    possible = [(model, shape) for model, shape in cases(60, seed=2) if first_failure(model, shape) is None]
    for model, shape in possible[:8]:
        check_against_torch(model, shape, "cpu")


def test_macs_are_what_torch_counts():
    counted = 0
    for model, shape in cases(120, seed=3):
        if first_failure(model, shape) is not None:
            continue
        with torch.device("meta"):
            net, images = build(model, shape, 7).eval(), torch.empty(1, *shape)
        counter = FlopCounterMode(display=False)
        with counter:
            net(images)
        # Its count is of operations, a multiplication and an addition for each MAC.
        assert 2 * sum(layer.macs for layer in layers(model, shape, 7)) == counter.get_total_flops(), (model, shape)
        counted += 1
    assert counted > 30


def test_the_article_s_network():
    chain = {layer.name: layer for layer in layers(ModelConfig(norm="none"), (3, 32, 32), 10)}
    assert list(chain) == [
        *(f"block{b}.{part}" for b in (1, 2, 3) for part in ("conv1", "act1", "pool", "dropout")),
        *("flatten", "fc1", "fc1_act", "fc1_dropout", "output"),
    ]
    assert {name: (layer.out_shape, layer.parameters, layer.macs) for name, layer in chain.items() if layer.macs} == {
        "block1.conv1": ((16, 32, 32), 448, 442_368),
        "block2.conv1": ((32, 16, 16), 4_640, 1_179_648),
        "block3.conv1": ((64, 8, 8), 18_496, 1_179_648),
        "fc1": ((128,), 131_200, 131_072),
        "output": ((10,), 1_290, 1_280),
    }
    assert chain["flatten"].in_shape == (64, 4, 4)
    assert chain["flatten"].out_shape == chain["fc1"].in_shape == (1024,)


@pytest.mark.parametrize(
    ("knobs", "shape", "message"),
    [
        (
            {"kernel_size": 11, "padding": "0"},
            (3, 28, 28),
            "block2.conv1: a window of 11×11 does not fit a map of 9×9 with padding 0; "
            "take a smaller kernel, dilation or stride, more padding or fewer blocks",
        ),
        (
            {"channels": (4,) * 6},
            (3, 32, 32),
            "block6.pool: a 2×2 window does not fit a map of 1×1; "
            "take fewer blocks, a smaller stride or kernel, more padding, or no pooling",
        ),
        ({"kernel_size": 4, "padding": "0", "dilation": 4}, (3, 12, 12), "block1.conv1: a window of 13×13 "),
    ],
)
def test_what_a_refusal_says(knobs, shape, message):
    with pytest.raises(GeometryError) as caught:
        layers(ModelConfig(**knobs), shape, 10)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ConfigError), "so that a form shows it as it shows a bad value"


def test_pooling_of_a_single_pixel_is_refused_and_without_pooling_it_works():
    fits = ModelConfig(channels=(4,) * 5)
    assert layers(fits, (3, 32, 32), 10)[-2].name == "fc1_dropout"
    flat = next(layer for layer in layers(fits, (3, 32, 32), 10) if layer.kind == "flatten")
    assert flat.in_shape == (4, 1, 1)
    assert layers(ModelConfig(channels=(4,) * 6, pooling="none"), (3, 32, 32), 10)


# Size


def test_a_network_of_too_many_weights_is_refused_and_the_layer_named():
    wide = ModelConfig(channels=(512,), pooling="none", fc_width=2048)
    weights = 512 * 32 * 32 * 2048
    with pytest.raises(GeometryError, match=r"^fc1: the network would have 1,073,[\d,]+ parameters") as caught:
        layers(wide, (3, 32, 32), 10)
    assert weights > MAX_PARAMETERS
    assert str(caught.value).isprintable()


def test_too_many_kernels_are_refused_at_the_convolution_that_is_too_much():
    # 31.7 M weights in each convolution after the first: three of them fit, the fourth is too much.
    deep = ModelConfig(channels=(512,), convs_per_block=4, kernel_size=11, fc_width=0)
    total = sum(layer.parameters for layer in layers(deep, (3, 32, 32), 10))
    assert 95e6 < total < MAX_PARAMETERS < total + 512 * 512 * 121
    with pytest.raises(GeometryError, match=r"^block2\.conv1: "):
        layers(deep.model_copy(update={"channels": (512, 512)}), (3, 32, 32), 10)


def test_the_limit_is_inclusive(monkeypatch):
    total = sum(layer.parameters for layer in layers(ModelConfig(), (3, 32, 32), 10))
    monkeypatch.setattr("playground.geometry.MAX_PARAMETERS", total)
    assert layers(ModelConfig(), (3, 32, 32), 10)
    monkeypatch.setattr("playground.geometry.MAX_PARAMETERS", total - 1)
    with pytest.raises(GeometryError, match=rf"^output: .* {total:,} parameters .* limit is {total - 1:,};"):
        layers(ModelConfig(), (3, 32, 32), 10)


# Padding and windows


@pytest.mark.parametrize("kernel_size", range(1, 12))
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_same_keeps_the_size_where_torch_s_same_does_so_evenly(kernel_size, dilation):
    model = ModelConfig(kernel_size=kernel_size, dilation=dilation)
    reach = dilation * (kernel_size - 1)
    out = window_steps(32, kernel_size, 1, padding_of(model), dilation)
    assert out == (32 if reach % 2 == 0 else 31)
    if reach % 2 == 0:
        pixels = torch.randn(1, 1, 32, 32)
        weight = torch.randn(1, 1, kernel_size, kernel_size)
        ours = nn.functional.conv2d(pixels, weight, padding=padding_of(model), dilation=dilation)
        torch.testing.assert_close(ours, nn.functional.conv2d(pixels, weight, padding="same", dilation=dilation))


@pytest.mark.parametrize("padding", ["0", "1", "5"])
def test_padding_in_pixels_does_not_depend_on_the_kernel(padding):
    assert padding_of(ModelConfig(padding=padding, kernel_size=7, dilation=3)) == int(padding)


def test_window_steps_counts_places():
    for size in range(1, 14):
        for kernel_size in (1, 2, 3, 5):
            for stride in (1, 2, 3):
                for padding in (0, 1, 2):
                    for dilation in (1, 2):
                        last = size + 2 * padding - dilation * (kernel_size - 1) - 1
                        places = len(range(0, last + 1, stride))
                        assert window_steps(size, kernel_size, stride, padding, dilation) == places


# Receptive field


def seen_by(model: ModelConfig, size: int, name: str, unit: int) -> list[int]:
    """Rows of the input on which one unit depends, from the gradient: all weights 1, no bend, averages."""
    pixels = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    maps = pixels
    for layer in layers(model, (1, size, size), 2):
        if layer.kind == "conv":
            weight = torch.ones(1, 1, layer.kernel_size, layer.kernel_size, dtype=torch.float64)
            maps = nn.functional.conv2d(maps, weight, None, layer.stride, layer.padding, layer.dilation)
        elif layer.kind == "pool":
            maps = nn.functional.avg_pool2d(maps, layer.kernel_size, layer.stride)
        if layer.name == name:
            break
    (gradient,) = torch.autograd.grad(maps[0, 0, unit, unit], pixels)
    rows, columns = (gradient[0, 0].sum(side).nonzero().ravel().tolist() for side in (1, 0))
    assert rows == columns
    return rows


@pytest.mark.parametrize("seed", range(40))
def test_receptive_field_is_where_the_gradient_reaches(seed):
    rng = random.Random(seed)
    model = ModelConfig(
        channels=(1,) * rng.randint(1, 3),
        convs_per_block=rng.randint(1, 2),
        kernel_size=rng.randint(1, 5),
        stride=rng.choice([1, 1, 2]),
        padding=rng.choice(["same", "0", "1", "2"]),
        dilation=rng.choice([1, 1, 2]),
        pooling=rng.choice(["average", "none"]),
        fc_width=0,
    )
    size = 230
    chain = layers(model, (1, size, size), 2)
    for layer in chain:
        if layer.kind not in ("conv", "pool", "activation"):
            continue
        field, step, start = receptive_field(chain, layer.name)
        middle = layer.out_shape[1] // 2
        first = start + middle * step
        assert first >= 0 and first + field <= size, "the unit in the middle sees no padding"
        rows = seen_by(model, size, layer.name, middle)
        assert (rows[0], rows[-1]) == (first, first + field - 1), layer.name
        if model.dilation == 1 and model.kernel_size >= model.stride:
            assert len(rows) == field, "and all between"


def test_receptive_field_at_the_border_reaches_into_the_padding():
    model = ModelConfig(channels=(1, 1), kernel_size=5, pooling="average", fc_width=0)
    chain = layers(model, (1, 32, 32), 2)
    assert receptive_field(chain, "block1.conv1") == (5, 1, -2)
    assert receptive_field(chain, "block1.pool") == (6, 2, -2)
    assert receptive_field(chain, "block2.conv1") == (14, 2, -6)
    assert seen_by(model, 32, "block2.conv1", 0) == list(range(-6 + 14))


def test_receptive_field_of_a_layer_that_is_not_there():
    with pytest.raises(KeyError, match="block9"):
        receptive_field(layers(ModelConfig(), (3, 32, 32), 10), "block9.conv1")


def test_the_list_needs_no_integer_overflow_guard():
    # Six blocks of rings of zeros: the maps grow, and the numbers with them.
    growing = ModelConfig(channels=(512,) * 6, convs_per_block=4, kernel_size=1, padding="5", pooling="none")
    with pytest.raises(GeometryError, match=r"^fc1: "):
        layers(growing, (3, 32, 32), 10)
    small = growing.model_copy(update={"fc_width": 0, "channels": (8,)})
    assert math.prod(layers(small, (3, 32, 32), 10)[-2].in_shape) == 8 * 72 * 72
