"""Kernels, histograms, dead and saturated units, and what excites a map: against plain loops and known networks."""

import copy
import time

import numpy as np
import pytest
import torch

from playground.choices import ACTIVATIONS, NORMS
from playground.config import TrainingConfig, from_flat
from playground.interpret import InterpretError
from playground.interpret.dead_units import examine_layers
from playground.interpret.kernels import (
    compute_gradients,
    draw_in_colour,
    make_histogram,
    read_kernels,
    read_layer_kernels,
    read_weights,
)
from playground.interpret.network import Budget, choose_batch_size, compute_outputs, copy_network, prepare_image
from playground.interpret.top_activations import find_top_activations
from playground.interpret.trace import trace_image
from playground.models import build
from playground.training.losses import loss_function

torch.set_num_threads(1)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 12, 12), np.uint8)
TARGETS = np.arange(20) % 4
SMALL = Budget(megabytes=0)  # one image at a time


def network(**knobs):
    torch.manual_seed(0)
    net = build(from_flat({"channels": "3-4", "fc_width": 5, **knobs}).model, (3, 12, 12), 4)
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def test_kernels_are_those_of_the_network_and_a_copy():
    net = network(kernel_size=4)
    found = read_kernels(net, "block2.conv1")
    assert found.shape == (4, 3, 4, 4) and found.flags.c_contiguous
    wanted = net.state_dict()["block2_conv1.weight"].numpy().copy()
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(read_layer_kernels(net, "block2.conv1", 3), wanted[3])
    found[:] = 0
    np.testing.assert_array_equal(read_kernels(net, "block2.conv1"), wanted)
    assert list(read_weights(net)) == ["block1.conv1", "block2.conv1", "fc1", "output"]
    with pytest.raises(InterpretError, match=r"no conv 'fc1'; there are block1\.conv1, block2\.conv1$"):
        read_kernels(net, "fc1")
    with pytest.raises(InterpretError, match="no map 4; it has 0 to 3"):
        read_layer_kernels(net, "block2.conv1", 4)


def test_colours_of_kernels():
    made = np.zeros((2, 3, 2, 2), np.float32)
    made[0, 0, 0, 0], made[0, 2, 1, 1], made[1, 1, 0, 1] = 2, -1, 0.5
    each, together = draw_in_colour(made), draw_in_colour(made, each=False)
    assert each.shape == (2, 2, 2, 3) and each.dtype == np.uint8
    assert each[0, 0, 0].tolist() == [255, 128, 128] and each[0, 1, 1].tolist() == [128, 128, 64]
    assert each[1, 0, 1].tolist() == [128, 255, 128] and together[1, 0, 1].tolist() == [128, 159, 128]
    assert (draw_in_colour(made * 0) == 128).all()
    with pytest.raises(InterpretError, match="Kernels over 1 channels"):
        draw_in_colour(made[:, :1])


def test_histograms_count_every_finite_value_once():
    values = np.array([-1.0, 0, 0, 3, np.nan, np.inf])
    found = make_histogram(values, 4)
    assert found.counts.tolist() == [1, 2, 0, 1] and found.total == 4
    assert (found.low, found.high, found.mean) == (-1, 3, 0.5)
    assert make_histogram(np.array([np.nan])).total == 0
    assert make_histogram(np.full(5, 2.0)).counts.sum() == 5


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("megabytes", [0, 256])
def test_gradients_are_those_of_the_mean_loss(loss, megabytes):
    net, config = network(norm="batch", dropout=0.5), TrainingConfig(loss=loss, label_smoothing=0.1)
    found = compute_gradients(net, IMAGES, TARGETS, MEAN, STD, loss_function(config), megabytes)
    other = copy.deepcopy(net).requires_grad_()
    loss_function(config)(other(prepare_image(net, IMAGES, MEAN, STD)), torch.from_numpy(TARGETS)).backward()
    assert list(found) == list(read_weights(net))
    for name, gradient in found.items():
        wanted = other.get_parameter(name.replace(".", "_") + ".weight").grad
        np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-6)
    assert not any(p.requires_grad or p.grad is not None for p in net.parameters())


def test_gradients_need_a_target_for_each_image():
    net, loss = network(), loss_function(TrainingConfig())
    with pytest.raises(InterpretError, match="20 images have 3 targets"):
        compute_gradients(net, IMAGES, TARGETS[:3], MEAN, STD, loss)
    with pytest.raises(InterpretError, match="they are 0 to 3"):
        compute_gradients(net, IMAGES, TARGETS + 1, MEAN, STD, loss)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_flat_units_are_found_and_the_others_are_not(activation, norm):
    """One unit of each layer is held far down, one far up, the others are left alone."""
    net = network(activation=activation, norm=norm)
    for before in (
        ("block1.norm1", "block2.norm1", "fc1") if NORMS[norm].module else ("block1.conv1", "block2.conv1", "fc1")
    ):
        module = net.get_submodule(before.replace(".", "_"))
        module.weight.data[:2] = 0
        module.bias.data[0], module.bias.data[1] = -9.0, 9.0
    found = examine_layers(net, IMAGES, MEAN, STD)
    assert [each.layer for each in found] == ["block1.act1", "block2.act1", "fc1_act"]
    wanted = (activation != "leaky_relu", ACTIVATIONS[activation].bounded)
    for each in found:
        assert tuple(each.flat[:2]) == wanted, each.layer
        assert each.images == len(IMAGES) and each.meaning
        values = np.stack([trace_image(net, image, MEAN, STD)[each.layer].values for image in IMAGES])
        flat = ACTIVATIONS[activation].is_flat(torch.from_numpy(values)).numpy().reshape(20, len(each.share), -1)
        np.testing.assert_allclose(each.share, flat.mean((0, 2)))
        assert ((each.share == 1) == each.flat).all()
        assert each.sentence == f"{each.layer}: {each.count} of {len(each.flat)} units are {each.word}"
    assert all(
        (a.share == b.share).all() for a, b in zip(found, examine_layers(net, IMAGES, MEAN, STD, SMALL), strict=True)
    )


@pytest.mark.parametrize("layer", ["block1.conv1", "block2.pool", "flatten", "fc1_act", "output"])
@pytest.mark.parametrize("budget", [None, SMALL])
def test_the_most_exciting_images_are_those_of_a_plain_loop(layer, budget):
    net = network()
    found = find_top_activations(net, IMAGES, MEAN, STD, layer, top=4, budget=budget)
    maps = np.stack([trace_image(net, image, MEAN, STD)[layer].values for image in IMAGES])
    units = maps.shape[1]
    assert found.images.shape == found.values.shape == (units, 4) and found.seen == 20
    highest = maps.reshape(20, units, -1).max(2)
    for unit in range(0, units, max(1, units // 8)):
        order = np.argsort(-highest[:, unit], kind="stable")[:4]
        np.testing.assert_allclose(found.values[unit], highest[order, unit], rtol=1e-4, atol=1e-6)
        for rank, image in enumerate(found.images[unit]):
            assert highest[image, unit] == pytest.approx(found.values[unit, rank], rel=1e-4, abs=1e-6)
            if found.places is not None:
                row, column = found.places[unit, rank]
                assert maps[image, unit, row, column] == pytest.approx(found.values[unit, rank], rel=1e-4, abs=1e-6)
            assert not found.field(unit, rank).empty
    assert (found.places is None) == (layer in ("flatten", "fc1_act", "output"))
    with pytest.raises(InterpretError, match="has maps 0 to"):
        found.field(units, 0)


def test_of_equally_exciting_images_the_earlier_comes_first():
    net = network(activation="relu")
    net.state_dict()["block1_conv1.weight"].zero_()
    found = find_top_activations(net, IMAGES, MEAN, STD, "block1.conv1", top=30, budget=SMALL)
    assert found.images.tolist() == [list(range(20))] * 3


def test_a_pass_stays_within_its_time_and_memory():
    net = network(channels="512-512", kernel_size=1)
    assert choose_batch_size(net, Budget(megabytes=4)) < choose_batch_size(net, Budget(megabytes=32)) <= 256
    assert choose_batch_size(net, Budget(megabytes=0)) == 1
    many = np.zeros((400, 3, 12, 12), np.uint8)
    started = time.monotonic()
    starts = [start for start, *_ in compute_outputs(net, many, MEAN, STD, ["output"], Budget(seconds=0, megabytes=2))]
    assert starts == [0] and time.monotonic() - started < 20
    assert find_top_activations(net, many, MEAN, STD, "output", budget=Budget(seconds=0, megabytes=2)).seen < 400


def test_a_pass_leaves_the_gradient_switch_of_its_reader_alone():
    for _ in compute_outputs(network(), IMAGES, MEAN, STD, ["output"], SMALL):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_a_pass_needs_images_and_layers():
    with pytest.raises(InterpretError, match="no images"):
        examine_layers(network(), IMAGES[:0], MEAN, STD)
    with pytest.raises(InterpretError, match="no layer 'conv1'"):
        find_top_activations(network(), IMAGES, MEAN, STD, "conv1")


def test_a_private_copy_shares_all_weights_but_those_replaced():
    net = network(norm="batch")
    other = copy_network(net, {"fc1.bias": torch.ones(5)})
    for name, tensor in net.state_dict().items():
        assert (other.state_dict()[name].data_ptr() == tensor.data_ptr()) == (name != "fc1.bias")
    assert other.get_parameter("fc1.bias").tolist() == [1] * 5
    pixels = prepare_image(net, IMAGES, MEAN, STD)
    assert not torch.equal(net(pixels), other(pixels))
