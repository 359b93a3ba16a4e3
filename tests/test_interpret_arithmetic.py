"""What is shown of a network equals torch.nn.functional on the same tensors, for whatever the knobs allow."""

import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from playground.choices import ACTIVATIONS
from playground.config import KNOBS, ModelConfig, from_flat
from playground.geometry import GeometryError
from playground.interpret import InterpretError, ops
from playground.interpret.arithmetic import explain_number, find_inputs
from playground.interpret.receptive_field import ReceptiveField, compute_receptive_field, unravel_index
from playground.interpret.trace import trace_image
from playground.models import build

torch.set_num_threads(1)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
FUNCTIONS = {name: entry.module_class() for name, entry in ACTIVATIONS.items()}
SHARED = ("kernel_size", "stride", "padding", "dilation", "pooling", "activation", "convs_per_block", "norm")


def valid_knobs() -> list[dict]:
    """Draw 8 networks for each kernel size; together they take every value of every knob that shapes a layer."""
    draw, found = random.Random(3), []
    for kernel_size in range(1, 12):
        wanted = len(found) + 8
        while len(found) < wanted:
            knobs = {
                "kernel_size": kernel_size,
                "stride": draw.randint(1, 4),
                "padding": draw.choice(KNOBS["padding"].choices),
                "dilation": draw.randint(1, 4),
                "pooling": draw.choice(KNOBS["pooling"].choices),
                "activation": draw.choice(KNOBS["activation"].choices),
                "convs_per_block": draw.randint(1, 4),
                "norm": draw.choice(KNOBS["norm"].choices),
                "fc_width": draw.choice((0, 5)),
                "channels": draw.choice(("3", "2-4", "4-3")),
                "dropout": 0.5,
            }
            try:
                build(from_flat(knobs).model, (3, 33, 33), 4)
            except GeometryError:
                continue
            found.append({**knobs, "input": draw.choice((1, 3))})
    return found


KNOBS_DRAWN = valid_knobs()


def network(knobs: dict, size: int = 33, classes: int = 4, seed: int = 0):
    """Build a network whose norms have seen something, and an image for it."""
    channels = knobs.get("input", 3)
    torch.manual_seed(seed)
    model = from_flat({k: v for k, v in knobs.items() if k != "input"}).model
    net = build(model, (channels, size, size), classes).eval().requires_grad_(False)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_var", "norm1.weight", "norm2.weight")):
            tensor.uniform_(0.3, 2)
        elif name.endswith(("running_mean", "norm1.bias", "norm2.bias")):
            tensor.normal_()
    image = np.random.default_rng(seed).integers(0, 256, (channels, size, size), np.uint8)
    return net.to(memory_format=torch.channels_last), image, MEAN[:channels], STD[:channels]


def functional(layer, maps, weights, model: ModelConfig):
    """One layer by torch.nn.functional, from its geometry and the weights' file alone."""
    own = {k.split(".")[1]: v for k, v in weights.items() if k.split(".")[0] == layer.name.replace(".", "_")}
    match layer.kind:
        case "conv":
            return F.conv2d(maps, own["weight"], own["bias"], layer.stride, layer.padding, layer.dilation)
        case "norm" if model.norm == "group":
            groups = maps.reshape(1, {2: 1, 3: 1, 4: 2}[len(maps[0])], -1)
            centred = groups - groups.mean(2, keepdim=True)
            scaled = centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()
            return scaled.reshape(maps.shape) * own["weight"][:, None, None] + own["bias"][:, None, None]
        case "norm":
            return F.batch_norm(maps, own["running_mean"], own["running_var"], own["weight"], own["bias"], eps=1e-5)
        case "activation":
            return FUNCTIONS[model.activation](maps)
        case "pool":
            return (F.max_pool2d if model.pooling == "max" else F.avg_pool2d)(maps, 2, 2)
        case "linear":
            return F.linear(maps, own["weight"], own["bias"])
        case "flatten":
            return maps.reshape(len(maps), -1)
    return maps  # dropout, in evaluation


def places(shape, draw: random.Random) -> list[tuple[int, ...]]:
    """Two places: a corner, where padding is seen, and any."""
    return [tuple(draw.choice((0, n - 1)) for n in shape), tuple(draw.randrange(n) for n in shape)]


def tolerance(arithmetic) -> float:
    """Float32 sums of such terms are this exact."""
    step = arithmetic.step
    size, least = abs(step.output), 2e-7
    if isinstance(step, ops.ConvStep | ops.LinearStep):
        size += float(np.abs(step.products).sum()) + abs(step.bias) + abs(getattr(step, "rest_sum", 0))
    elif isinstance(step, ops.NormStep):
        size += (
            abs(step.normalised * step.gamma) + abs(step.mean / np.sqrt(step.variance) * step.gamma) + abs(step.beta)
        )
        if step.words[0] == "mean of the group":  # torch sums a thousand numbers in float32
            size, least = 5 * size, 1e-6
    elif isinstance(step, ops.ActivationStep):  # GELU: x magnifies the error of Φ(x) far below zero
        least *= max(1.0, abs(step.input))
    return 2e-6 * size + least


def test_the_drawn_networks_take_every_value_of_every_knob():
    for name in SHARED:
        knob, taken = KNOBS[name], {knobs[name] for knobs in KNOBS_DRAWN}
        if knob.kind == "int":
            assert taken == set(range(int(knob.low or 0), int(knob.high or 0) + 1)), name
        else:
            assert taken == set(knob.choices or (False, True)), name


@pytest.mark.parametrize("number", range(len(KNOBS_DRAWN)))
def test_every_layer_and_every_number_is_that_of_torch(number):
    knobs = KNOBS_DRAWN[number]
    net, image, mean, std = network(knobs, seed=number)
    model = from_flat({k: v for k, v in knobs.items() if k != "input"}).model
    traced, draw = trace_image(net, image, mean, std), random.Random(number)
    pixels = torch.from_numpy(image)[None] / 255
    maps = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    weights = net.state_dict()
    np.testing.assert_allclose(traced["input"].values, maps[0], atol=2e-6)
    for layer in net.chain:
        maps = functional(layer, maps, weights, model)
        shown = traced[layer.name]
        assert shown.shape == layer.out_shape and shown.values.dtype == np.float32
        np.testing.assert_allclose(shown.values, maps[0].numpy(), rtol=1e-4, atol=2e-5, err_msg=layer.name)
        assert (shown.low, shown.high) == (shown.values.min(), shown.values.max())
        assert shown.mean == pytest.approx(shown.values.astype(float).mean(), abs=1e-6)
    np.testing.assert_allclose(traced.probs, F.softmax(maps, 1)[0], atol=1e-5)
    for output in traced.outputs:
        for place in places(output.shape, draw):
            told = explain_number(net, traced, output.name, place)
            assert told.traced == output.values[place]
            assert told.step.output == pytest.approx(told.traced, abs=tolerance(told)), (output.name, place)
            assert (told.kind, told.index) == (output.kind, place)


def test_a_trace_names_its_layers_in_order():
    net, image, mean, std = network({"channels": "2", "norm": "batch", "fc_width": 3})
    traced = trace_image(net, image, mean, std)
    assert traced.names == ("input", *(layer.name for layer in net.chain), "softmax")
    assert traced.before("block1.conv1").name == "input" and traced.before("softmax").name == "output"
    assert traced.logits.shape == traced.probs.shape == (4,)
    assert traced.probs.sum() == pytest.approx(1)


def test_the_parts_of_a_convolution_add_up():
    net, image, mean, std = network({"kernel_size": 3, "padding": "1", "dilation": 1, "channels": "5", "stride": 2})
    traced = trace_image(net, image, mean, std)
    step = explain_number(net, traced, "block1.conv1", (4, 0, 3)).step
    assert isinstance(step, ops.ConvStep)
    np.testing.assert_array_equal(step.rows, [-1, 0, 1])
    np.testing.assert_array_equal(step.columns, [5, 6, 7])
    assert not step.inside[0].any() and step.inside[1:].all()
    assert not step.patch[:, 0].any()
    np.testing.assert_array_equal(step.patch[:, 1:], traced["input"].values[:, 0:2, 5:8])
    np.testing.assert_array_equal(step.kernel, net.state_dict()["block1_conv1.weight"][4])
    np.testing.assert_array_equal(step.products, step.patch * step.kernel)
    np.testing.assert_allclose(step.channel_sums, step.products.sum((1, 2)))
    assert step.output == pytest.approx(step.channel_sums.sum() + step.bias)


def test_a_maximum_says_which_number_was_taken():
    maps = np.array([[1.0, 7.0, 0.0], [7.0, -2.0, 0.0]])
    step = ops.pool(maps, np.array([0, 1]), np.array([0, 1]), maximum=True)
    assert (step.taken, step.output) == ((0, 1), 7.0)  # the first of two, as torch's own indices say
    _, index = F.max_pool2d(torch.tensor(maps)[None], 2, return_indices=True)
    assert index.flatten()[0] == 1
    mean = ops.pool(maps, np.array([0, 1]), np.array([0, 1]), maximum=False)
    assert (mean.taken, mean.output) == (None, 3.25)
    assert mean.numbers == "((1) + (7) + (7) + (−2)) / 4 = 3.25"


def test_the_parts_of_a_fully_connected_unit_add_up_and_say_where_they_come_from():
    net, image, mean, std = network({"channels": "2-4", "fc_width": 6}, size=16)
    traced = trace_image(net, image, mean, std)
    told = explain_number(net, traced, "fc1", (2,), most=5)
    step = told.step
    assert isinstance(step, ops.LinearStep)
    assert told.source == "flatten"
    assert len(step.units) == 5 and step.rest_count == 4 * 4 * 4 - 5
    assert (np.diff(np.abs(step.products)) <= 0).all()
    everything = traced["flatten"].values * net.state_dict()["fc1.weight"][2].numpy()
    assert np.abs(step.products[-1]) >= np.sort(np.abs(everything))[-5] - 1e-7
    assert step.output == pytest.approx(step.products.sum() + step.rest_sum + step.bias)
    for place, value in zip(find_inputs(traced, "fc1", step.units), step.inputs, strict=True):
        assert traced["block2.dropout"].values[place] == value
    assert find_inputs(traced, "output", np.array([3])) == [(3,)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_agree_everywhere(name):
    values = [*np.linspace(-9, 9, 181), -1e4, -745.0, -90.0, 1e4, 0.0, -0.0, np.inf, -np.inf, np.nan]
    wanted = FUNCTIONS[name](torch.tensor(values, dtype=torch.float64)).numpy()
    if np.isnan(wanted[values.index(-np.inf)]):
        wanted[values.index(-np.inf)] = 0  # the limit; torch says inf · 0
    found = [ops.activation(name, float(value)) for value in values]
    np.testing.assert_allclose([step.output for step in found], wanted, rtol=1e-9, atol=1e-12)
    assert all(step.numbers and step.formula for step in found)


def test_softmax_holds_for_logits_that_would_overflow():
    step = ops.softmax(np.array([1000.0, 999.0, -5.0], np.float32), 1)
    assert step.output == pytest.approx(float(torch.tensor([1000.0, 999.0, -5.0]).softmax(0)[1]))
    assert step.total == pytest.approx(step.exponentials.sum())


FIELDS = [
    dict(zip(("kernel_size", "stride", "padding", "dilation", "pooling", "convs_per_block"), values, strict=True))
    for values in itertools.product((1, 3, 4), (1, 2), ("same", "0", "2"), (1, 2), ("average", "none"), (1, 2))
]


@pytest.mark.parametrize("number", range(0, len(FIELDS), 5))
def test_a_field_is_what_moves_the_number(number):
    """With positive weights and sigmoids nothing cancels: the gradient is not 0 just where the image is seen."""
    net = build(from_flat({**FIELDS[number], "channels": "2-2", "fc_width": 0, "activation": "sigmoid"}).model, *INPUT)
    for parameter in net.eval().parameters():
        parameter.data.uniform_(0.01, 0.02)
    draw = random.Random(number)
    for i, layer in enumerate(net.chain):
        place = tuple(draw.randrange(n) for n in layer.out_shape)
        pixels = torch.rand(1, *INPUT[0], requires_grad=True)
        maps = pixels
        for module in list(net.children())[: i + 1]:
            maps = module(maps)
        maps[(0, *place)].backward()
        assert pixels.grad is not None
        seen = np.argwhere(pixels.grad[0].sum(0).numpy() != 0)
        told = compute_receptive_field(net.chain, layer.name, place)
        if not len(seen):
            assert told.clipped and told.empty
            continue
        box = (*seen.min(0)[::-1], *(seen.max(0)[::-1] + 1))
        assert box == (told.left, told.top, told.right, told.bottom), layer.name


INPUT = (1, 77, 77), 3


def test_fields_at_the_edge_and_after_the_flattening():
    net, *_ = network({"kernel_size": 5, "channels": "2", "pooling": "none", "fc_width": 4}, size=9)
    assert compute_receptive_field(net.chain, "block1.conv1", (0, 0, 8)) == ReceptiveField(6, 0, 9, 3, True)
    assert compute_receptive_field(net.chain, "block1.conv1", (1, 4, 4)) == ReceptiveField(2, 2, 7, 7, False)
    assert compute_receptive_field(net.chain, "input", (2, 3, 4)) == ReceptiveField(4, 3, 5, 4, False)
    assert compute_receptive_field(net.chain, "flatten", (81 + 4 * 9 + 4,)) == ReceptiveField(2, 2, 7, 7, False)
    whole = ReceptiveField(0, 0, 9, 9, True)
    assert {compute_receptive_field(net.chain, name, (0,)) for name in ("fc1", "fc1_act", "output", "softmax")} == {
        whole
    }
    assert unravel_index(81 + 4 * 9 + 5, (2, 9, 9)) == (1, 4, 5)
    # Of three taps two pixels apart the first is padding, and the second is not at the edge.
    holes, *_ = network({"kernel_size": 3, "dilation": 2, "channels": "2", "pooling": "none"}, size=9)
    assert compute_receptive_field(holes.chain, "block1.conv1", (0, 1, 4)) == ReceptiveField(2, 1, 7, 4, True)
    blind, *_ = network({"kernel_size": 1, "padding": "3", "channels": "1", "pooling": "none"}, size=9)
    assert compute_receptive_field(blind.chain, "block1.conv1", (0, 0, 0)).empty


def test_a_network_that_diverged_is_still_shown():
    net, image, mean, std = network({"channels": "2", "fc_width": 0})
    net.state_dict()["block1_conv1.weight"].fill_(float("nan"))
    traced = trace_image(net, image, mean, std)
    assert np.isnan(traced["block1.conv1"].low) and np.isnan(traced.probs).all()
    for output in traced.outputs:
        explain_number(net, traced, output.name, (0,) * len(output.shape))


def test_a_network_in_training_is_shown_as_it_predicts():
    net, image, mean, std = network({"channels": "2", "fc_width": 0, "dropout": 0.9, "norm": "batch"})
    wanted = trace_image(net, image, mean, std).probs
    net.train()
    np.testing.assert_array_equal(trace_image(net, image, mean, std).probs, wanted)
    assert net.training


@pytest.mark.parametrize(
    ("name", "index", "says"),
    [
        ("block9.conv1", (0, 0, 0), "has no layer 'block9.conv1'; there are input, block1.conv1"),
        ("block1.conv1", (2, 0, 0), r"no place \(2, 0, 0\); its output is 2 × 33 × 33"),
        ("block1.conv1", (0, -1, 0), "no place"),
        ("block1.conv1", (0,), "map, row, column"),
        ("output", (4,), r"no place \(4,\); its output is 4"),
        ("softmax", (0, 0), "no place"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(name, index, says):
    net, image, mean, std = network({"channels": "2"})
    with pytest.raises(InterpretError, match=says) as caught:
        explain_number(net, trace_image(net, image, mean, std), name, index)
    assert "\n" not in str(caught.value)


def test_images_of_another_kind_are_refused():
    net, image, mean, std = network({"channels": "2"})
    for wrong in (image[:1], image[:, :5], image.astype(np.float32), image[0]):
        with pytest.raises(InterpretError, match="this network takes uint8"):
            trace_image(net, wrong, mean, std)
    with pytest.raises(InterpretError, match="3 channels, their mean has 1"):
        trace_image(net, image, (0.5,), std)
    with pytest.raises(InterpretError, match="A Linear cannot be looked into"):
        trace_image(torch.nn.Linear(2, 2), image, mean, std)
    other, *_ = network({"channels": "4"})
    with pytest.raises(InterpretError, match="another network"):
        explain_number(other, trace_image(net, image, mean, std), "output", (0,))
