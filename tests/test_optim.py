"""Schedules and optimizers against torch's functions and against updates written out by hand."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from playground.choices import SCHEDULES
from playground.config import KNOBS, ModelConfig, TrainingConfig
from playground.models import build
from playground.training.optim import Muon, optimizers

OPTIMIZERS = KNOBS["optimizer"].choices
RATE, MOMENTUM, DECAY = 0.05, 0.8, 0.03


def training(**knobs) -> TrainingConfig:
    return TrainingConfig.model_validate(knobs)


# Schedules


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("constant", {0: 1, 0.5: 1, 1: 1}),
        ("step", {0: 1, 0.4999: 1, 0.5: 0.1, 0.7499: 0.1, 0.75: 0.01, 1: 0.01}),
        ("cosine", {0: 1, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1: 0}),
        ("one_cycle", {0: 0.04, 0.125: 0.52, 0.25: 1, 0.625: 0.5, 1: 0}),
        ("warm_up", {0: 0.04, 0.05: 0.52, 0.1: 1, 0.4: 0.75, 0.55: 0.5, 0.7: 0.25, 1: 0}),
        ("range_test", {0: 1e-4, 0.25: 1e-3, 0.5: 0.01, 0.75: 0.1, 1: 1}),
    ],
)
def test_schedules_pass_through_known_points(name, points):
    for done, factor in points.items():
        assert SCHEDULES[name].factor(done) == pytest.approx(factor, abs=1e-12), done


@pytest.mark.parametrize("name", KNOBS["schedule"].choices)
def test_schedules_stay_between_0_and_1_and_fall_after_their_peak(name):
    factors = [SCHEDULES[name].factor(i / 1000) for i in range(1001)]
    assert all(0 <= factor <= 1 for factor in factors)
    peak = 1000 if SCHEDULES[name].probes else round(1000 * SCHEDULES[name].rises_until)
    assert factors[peak] == max(factors) == 1
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_one_cycle_has_no_jump():
    factors = [SCHEDULES["one_cycle"].factor(i / 10_000) for i in range(10_001)]
    assert max(abs(b - a) for a, b in itertools.pairwise(factors)) < 1e-3


def test_cosine_is_torch_s():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    for step in range(50):
        assert SCHEDULES["cosine"].factor(step / 50) == pytest.approx(schedule.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        schedule.step()


# Optimizers


def network(**knobs) -> nn.Module:
    """Seven matrices and kernels, nine vectors, in the layout in which it is trained."""
    torch.manual_seed(0)
    model = ModelConfig.model_validate({"channels": (4, 6), "norm": "batch", "fc_width": 8} | knobs)
    return build(model, (3, 16, 16), 5).to(memory_format=torch.channels_last)


def take_steps(net: nn.Module, config: TrainingConfig, count: int, fused: bool = False, scale: float = 1.0) -> None:
    """Take steps along gradients that depend on the step alone."""
    made = optimizers(net, config, fused)
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        for parameter in net.parameters():
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
            parameter.grad *= scale
        for optimizer in made:
            for group in optimizer.param_groups:
                group["lr"] = RATE
            optimizer.step()


def sgd(state: dict, w: Tensor, g: Tensor, decay: float) -> Tensor:
    return w - RATE * (g + decay * w)


def momentum(state: dict, w: Tensor, g: Tensor, decay: float) -> Tensor:
    state["velocity"] = MOMENTUM * state.get("velocity", 0) + g + decay * w
    return w - RATE * state["velocity"]


def nesterov(state: dict, w: Tensor, g: Tensor, decay: float) -> Tensor:
    state["velocity"] = MOMENTUM * state.get("velocity", 0) + g + decay * w
    return w - RATE * (g + decay * w + MOMENTUM * state["velocity"])


def rmsprop(state: dict, w: Tensor, g: Tensor, decay: float) -> Tensor:
    g = g + decay * w
    state["square"] = 0.99 * state.get("square", 0) + 0.01 * g**2
    state["velocity"] = MOMENTUM * state.get("velocity", 0) + g / (state["square"].sqrt() + 1e-8)
    return w - RATE * state["velocity"]


def adam_step(state: dict, g: Tensor) -> Tensor:
    state["t"] = t = state.get("t", 0) + 1
    state["mean"] = 0.9 * state.get("mean", 0) + 0.1 * g
    state["square"] = 0.999 * state.get("square", 0) + 0.001 * g**2
    return RATE * (state["mean"] / (1 - 0.9**t)) / ((state["square"] / (1 - 0.999**t)).sqrt() + 1e-8)


def adam(state: dict, w: Tensor, g: Tensor, decay: float) -> Tensor:
    return w - adam_step(state, g + decay * w)


def adamw(state: dict, w: Tensor, g: Tensor, decay: float) -> Tensor:
    return w * (1 - RATE * decay) - adam_step(state, g)


RULES: dict[str, Callable[[dict, Tensor, Tensor, float], Tensor]] = {
    "gradient_descent": sgd,
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def test_each_optimizer_but_muon_has_a_rule():
    assert set(RULES) | {"muon"} == set(OPTIMIZERS)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", RULES)
def test_steps_are_those_of_the_rule(name, count, fused):
    config = training(optimizer=name, momentum=MOMENTUM, weight_decay=DECAY)
    net, start = network(), network().double()
    take_steps(net, config, count, fused)
    generator = torch.Generator().manual_seed(1)
    expected = {key: value.detach() for key, value in start.named_parameters()}
    states = {key: {} for key in expected}
    for _ in range(count):
        for key, weight in expected.items():
            gradient = torch.randn(weight.shape, generator=generator).double()
            expected[key] = RULES[name](states[key], weight, gradient, DECAY if weight.ndim > 1 else 0.0)
    for key, weight in net.named_parameters():
        torch.testing.assert_close(weight.detach().double(), expected[key], rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_is_moved_by_one_optimizer(name):
    net = network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    take_steps(net, training(optimizer=name), 1)
    assert [key for key, value in net.named_parameters() if torch.equal(value, before[key])] == []
    made = optimizers(net, training(optimizer=name), False)
    groups = [group for optimizer in made for group in optimizer.param_groups]
    pointers = [parameter.data_ptr() for group in groups for parameter in group["params"]]
    assert sorted(pointers) == sorted(parameter.data_ptr() for parameter in net.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_acts_on_kernels_and_matrices_and_not_on_biases_and_norms(name):
    net = network()
    before = {key: value.clone() for key, value in net.named_parameters()}
    take_steps(net, training(optimizer=name, weight_decay=0.5), 1, scale=0.0)
    for key, weight in net.named_parameters():
        if weight.ndim > 1:
            assert ((weight - before[key]) * before[key]).sum() < 0, f"{key} is pulled towards zero"
        else:
            assert torch.equal(weight, before[key]), key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_gradient_and_decay_nothing_moves(name):
    net = network()
    before = {key: value.clone() for key, value in net.named_parameters()}
    take_steps(net, training(optimizer=name, weight_decay=0), 2, scale=0.0)
    for key, weight in net.named_parameters():
        assert torch.equal(weight, before[key]), key


@pytest.mark.parametrize("name", ["momentum", "nesterov", "rmsprop", "muon"])
def test_momentum_may_be_zero(name):
    net, still = network(), network()
    take_steps(net, training(optimizer=name, momentum=0, weight_decay=0), 2)
    assert all(p.isfinite().all() for p in net.parameters())
    if name in ("momentum", "nesterov"):
        take_steps(still, training(optimizer="sgd", weight_decay=0), 2)
        for ours, plain in zip(net.parameters(), still.parameters(), strict=True):
            torch.testing.assert_close(ours, plain)


# Muon


def test_muon_takes_the_hidden_matrices_and_leaves_the_rest_to_adamw():
    net = network(convs_per_block=2)
    muon, rest = optimizers(net, training(optimizer="muon", weight_decay=0.2), False)
    assert isinstance(muon, Muon) and isinstance(rest, torch.optim.AdamW)
    names = {p.data_ptr(): name for name, p in net.named_parameters()}
    assert [names[view.data_ptr()] for view in muon.param_groups[0]["params"]] == [
        "block1_conv2.weight",
        "block2_conv1.weight",
        "block2_conv2.weight",
        "fc1.weight",
    ]
    matrices, vectors = rest.param_groups
    assert [names[p.data_ptr()] for p in matrices["params"]] == ["block1_conv1.weight", "output.weight"]
    assert all(p.ndim == 1 for p in vectors["params"])
    assert (muon.param_groups[0]["weight_decay"], matrices["weight_decay"], vectors["weight_decay"]) == (0.2, 0.2, 0)


@pytest.mark.parametrize("net", [nn.Linear(3, 4), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))])
def test_without_a_hidden_matrix_adamw_takes_all(net):
    (only,) = optimizers(net, training(optimizer="muon"), False)
    assert isinstance(only, torch.optim.AdamW)
    assert sum(len(group["params"]) for group in only.param_groups) == len(list(net.parameters()))


def torch_s_muon(matrix: Tensor, gradients: list[Tensor]) -> Tensor:
    weight = nn.Parameter(matrix.clone())
    optimizer = torch.optim.Muon(
        [weight], lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
    )
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def our_muon(weight: nn.Parameter, gradients: list[Tensor]) -> Tensor:
    optimizer = Muon([weight], MOMENTUM, DECAY)
    optimizer.param_groups[0]["lr"] = RATE
    for gradient in gradients:
        weight.grad = gradient
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (6, 6), (1, 7), (7, 1)])
def test_muon_on_matrices_is_torch_s(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    assert torch.equal(our_muon(nn.Parameter(start.clone()), gradients), torch_s_muon(start, gradients))


@pytest.mark.parametrize("gradient_layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("in_channels", [1, 2, 3, 16])
@pytest.mark.parametrize("kernel_size", range(1, 12))
def test_muon_moves_the_real_kernels(kernel_size, in_channels, gradient_layout):
    torch.manual_seed(0)
    shape = (4, in_channels, kernel_size, kernel_size)
    weight = nn.Parameter(torch.randn(shape).to(memory_format=torch.channels_last))
    start = weight.detach().clone()
    gradients = [torch.randn(shape) for _ in range(2)]
    moved = our_muon(weight, [gradient.to(memory_format=gradient_layout) for gradient in gradients])

    def rows(kernels: Tensor) -> Tensor:
        return kernels.movedim(1, 3).flatten(1)

    assert torch.equal(rows(moved), torch_s_muon(rows(start), [rows(gradient) for gradient in gradients]))
    # The direction is orthogonal, so it does not matter in which order the taps stand in a row, but for rounding.
    plain = torch_s_muon(start.flatten(1), [gradient.flatten(1) for gradient in gradients])
    torch.testing.assert_close(moved.flatten(1), plain, rtol=0, atol=0.02 * RATE)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_muon_on_kernels_of_one_pixel_in_the_plain_layout(in_channels):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, in_channels, 1, 1))
    start, gradients = weight.detach().clone(), [torch.randn(4, in_channels, 1, 1)]
    expected = torch_s_muon(start.flatten(1), [gradients[0].flatten(1)])
    assert torch.equal(our_muon(weight, gradients).flatten(1), expected)


def test_muon_refuses_kernels_that_it_would_have_to_copy():
    with pytest.raises(AssertionError, match="a view, not a copy"):
        Muon([nn.Parameter(torch.randn(4, 3, 3, 3))], 0.9, 0)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("channels", [(1,), (1, 1), (1, 4), (4, 1), (5, 4, 3)])
def test_muon_on_whole_networks(kernel_size, channels):
    net = network(channels=channels, kernel_size=kernel_size, norm="none")
    before = {key: value.clone() for key, value in net.named_parameters()}
    take_steps(net, training(optimizer="muon"), 1)
    assert [key for key, value in net.named_parameters() if torch.equal(value, before[key])] == []


def test_muon_needs_gradients():
    weight = nn.Parameter(torch.randn(4, 3))
    with pytest.raises(AssertionError):
        Muon([weight], 0.9, 0).step()
