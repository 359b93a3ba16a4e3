"""Runs side by side: figures by hand, tests of luck against their formulas, and what the curves look like."""

import json
import math
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import scipy.stats
import torch
from rows_support import make_row
from torch.utils.flop_counter import FlopCounterMode

from playground import runs
from playground.comparison import curves, masks, settings
from playground.comparison.costs import sum_up_costs
from playground.comparison.curves import list_curves, read_curve
from playground.comparison.mistakes import compare_predictions, run_mcnemar_test
from playground.comparison.significance import Member, correct_by_holm, group_members, run_welch_test, write_p_value
from playground.config import RunConfig, from_flat
from playground.geometry import layers
from playground.metrics import IGNORE
from playground.models import build
from playground.plots import MAX_POINTS
from playground.plots.compare import Curve, color_run, draw_overlay
from playground.runs import RunReader, Status

# What differs


def test_only_the_knobs_that_differ_in_the_order_of_the_form():
    configs = [
        from_flat({"learning_rate": 0.01, "flip": True}),
        from_flat({"learning_rate": 0.02, "flip": True, "channels": "8-16"}),
        from_flat({"learning_rate": 0.01, "flip": True}),
    ]
    assert settings.find_differences(configs) == {
        "channels": [(16, 32, 64), (8, 16), (16, 32, 64)],
        "learning_rate": [0.01, 0.02, 0.01],
    }
    assert settings.find_differences(configs[:1]) == settings.find_differences([]) == {}


def test_a_run_keeps_its_colour_while_others_come_and_go():
    first = curves.assign_colours({}, ["a", "b", "c"])
    assert first == {"a": 0, "b": 1, "c": 2}
    second = curves.assign_colours(first, ["b", "c"])
    assert second == {"b": 1, "c": 2}
    assert curves.assign_colours(second, ["d", "b", "c", "e"]) == {"d": 0, "b": 1, "c": 2, "e": 3}


# Curves

PROGRESS = {"epoch": [0.5, 1.0, 1.5], "step": [5, 10, 15], "seconds": [1.0, 2.0, 3.5], "loss": [2.0, 1.5, 1.0]}
PROGRESS |= {"accuracy": [0.2, 0.4, 0.6], "images_per_second": [100.0, 300.0, 200.0]}


def epoch_row(epoch, train, val, test, seconds):
    def scores(accuracy):
        return None if accuracy is None else {"loss": 1 - accuracy, "accuracy": accuracy}

    row = {"epoch": epoch, "step": 10 * epoch, "seconds": seconds, "confusion": np.eye(10, dtype=int).tolist()}
    return make_row({"type": "epoch"} | row | {"train": scores(train), "val": scores(val), "test": scores(test)})


EPOCHS = [
    epoch_row(0, None, 0.9, 0.1, 0.5),  # luck before the first step does not count as a best
    epoch_row(1, 0.4, 0.5, 0.35, 2.0),
    epoch_row(2, 0.6, 0.5, 0.30, 4.0),
]


@pytest.mark.parametrize(
    ("axis", "split", "figure", "x", "y"),
    [
        ("epoch", "train", "loss", [0.5, 1, 1.5], [2, 1.5, 1]),
        ("step", "train", "accuracy", [5, 10, 15], [0.2, 0.4, 0.6]),
        ("seconds", "val", "accuracy", [0.5, 2, 4], [0.9, 0.5, 0.5]),
        ("images", "test", "loss", [0, 80, 160], [0.9, 0.65, 0.7]),
        ("images", "train", "loss", [40, 80, 120], [2, 1.5, 1]),
    ],
)
def test_a_curve_over_each_axis(axis, split, figure, x, y):
    found = read_curve(PROGRESS, EPOCHS, axis=axis, split=split, figure=figure, per_epoch=80)
    np.testing.assert_allclose(found, [x, y])


def test_a_curve_that_is_not_there_is_empty():
    without = [replace(row, val=None) for row in EPOCHS]
    for rows, axis, per_epoch in ((without, "epoch", 80), (EPOCHS, "images", None), ([], "step", 80)):
        x, y = read_curve({}, rows, axis=axis, split="val", figure="loss", per_epoch=per_epoch)
        assert len(x) == len(y) == 0


def pixel_row(epoch, accuracy, iou, seconds=1.0):
    """An epoch row of a run that labels pixels of three classes, one of which no test image shows."""
    counts = [[70, 10, 0], [5, 15, 0], [0, 0, 0]]
    scores = {"loss": 1 - accuracy, "accuracy": accuracy, "iou": iou, "boundary_f1": iou / 2}
    row = {"epoch": epoch, "step": 10 * epoch, "seconds": seconds, "confusion": counts}
    row |= {"train": {"loss": 1.0, "accuracy": 0.9} if epoch else None, "test": scores}
    return make_row({"type": "epoch"} | row)


PIXELS = [pixel_row(0, 0.5, 0.9), pixel_row(1, 0.8, 0.6), pixel_row(2, 0.9, 0.5)]


def test_curves_of_runs_that_label_pixels():
    x, y = read_curve({}, PIXELS, axis="epoch", split="test", figure="iou", per_epoch=None)
    np.testing.assert_allclose([x, y], [[0, 1, 2], [0.9, 0.6, 0.5]])
    assert read_curve({}, PIXELS, axis="epoch", split="test", figure="boundary_f1", per_epoch=None)[1][0] == 0.45
    for rows, split in ((PIXELS, "val"), (EPOCHS, "test"), ([*EPOCHS, pixel_row(3, 0.9, 0.5)][:3], "val")):
        assert len(read_curve({}, rows, axis="epoch", split=split, figure="iou", per_epoch=None)[0]) == 0


def test_which_curves_a_run_has():
    everywhere = {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    held_back = everywhere | {"val_loss", "val_accuracy"}
    assert list_curves(RunConfig(), EPOCHS) == held_back
    assert list_curves(RunConfig(), [replace(row, val=None) for row in EPOCHS]) == everywhere
    assert list_curves(RunConfig(), PIXELS) == everywhere | {"test_iou", "test_boundary_f1"}
    # Before the first epoch the config tells.
    assert list_curves(from_flat({"validation_share": 0.1}), []) == held_back
    assert list_curves(from_flat({"validation_share": 0.0, "folds": 3}), []) == held_back
    assert list_curves(from_flat({"validation_share": 0.0, "dataset": "shapes"}), []) == everywhere | {
        "test_iou",
        "test_boundary_f1",
    }
    assert list_curves(from_flat({"validation_share": 0.0, "dataset": "no-longer-here"}), []) == everywhere


def curve(number, count=10):
    return Curve(f"run {number}", number, np.arange(count, dtype=float), np.linspace(0.1, 0.9, count))


@pytest.mark.parametrize("count", [1, 2, 20])
@pytest.mark.parametrize("figure", ["loss", "accuracy"])
def test_the_figure_is_one_that_plotly_takes(count, figure):
    made = draw_overlay(
        [curve(n) for n in range(count)], axis="images", figure=figure, title="t", log=True, smoothing=0.5
    )
    go.Figure(made)
    json.dumps(made, allow_nan=False)
    assert [trace["name"] for trace in made["data"]] == [f"run {n}" for n in range(count)]


def test_twenty_runs_are_told_apart_by_colour_and_dash():
    made = draw_overlay([curve(n) for n in range(20)], axis="epoch", figure="loss", title="")
    looks = {(trace["line"]["color"], trace["line"].get("dash")) for trace in made["data"]}
    assert len(looks) == 20
    assert draw_overlay([curve(7)], axis="epoch", figure="loss", title="")["data"][0]["line"]["color"] == color_run(7)


def test_many_points_are_thinned_out_and_accuracy_is_in_per_cent():
    made = draw_overlay([curve(0, 10_000)], axis="step", figure="accuracy", title="")["data"][0]
    assert len(made["x"]) <= MAX_POINTS
    assert (made["y"][0], made["y"][-1]) == (10, 90)
    for figure in ("iou", "boundary_f1"):
        made = draw_overlay([curve(0)], axis="step", figure=figure, title="")
        assert made["data"][0]["y"][-1] == 90 and made["layout"]["yaxis"]["ticksuffix"] == " %"
    raw = draw_overlay([curve(0)], axis="step", figure="loss", title="", smoothing=0.0)["data"][0]["y"]
    smoothed = draw_overlay([curve(0)], axis="step", figure="loss", title="", smoothing=0.9)["data"][0]["y"]
    assert raw[-1] == 0.9 > smoothed[-1]


# What was reached, and its cost


def test_figures_and_costs_by_hand():
    config = from_flat({"images_per_class": 10, "validation_share": 0.2})  # 80 images an epoch
    found = sum_up_costs(config, Status("finished", seconds=4.5, parameters=7), PROGRESS, EPOCHS)
    assert found.final == {"train": 0.6, "val": 0.5, "test": 0.3}
    # The earliest of equals on the validation images; the other splits as they were at that epoch.
    assert (found.best_epoch, found.best) == (1, {"train": 0.4, "val": 0.5, "test": 0.35})
    assert (found.epochs, found.images, found.seconds) == (2, 160, 4.5)
    assert found.images_per_second == 200
    chain = layers(config.model, (3, 32, 32), 10)
    assert found.macs == sum(layer.macs for layer in chain)
    assert found.parameters == sum(layer.parameters for layer in chain)
    assert found.points == pytest.approx(20)  # 30 % less the 10 % of guessing
    assert found.seconds_per_point == pytest.approx(4.5 / 20)
    assert found.macs_per_point == pytest.approx(3 * found.macs * 160 / 20)


def test_a_run_that_gained_nothing_has_no_cost_a_point():
    epochs = [EPOCHS[0], epoch_row(1, 0.1, None, 0.1, 2.0)]
    found = sum_up_costs(RunConfig(), Status("queued"), PROGRESS, epochs)
    assert found.points is found.seconds_per_point is found.macs_per_point is None
    empty = sum_up_costs(RunConfig(), Status("queued"), {}, [])
    assert (empty.final, empty.best, empty.epochs, empty.seconds_per_point) == ({}, {}, 0, None)


def test_a_run_that_labels_pixels_is_judged_by_its_mean_iou():
    found = sum_up_costs(from_flat({"dataset": "shapes"}), Status("queued", seconds=8.0), {}, PIXELS)
    assert found.task.name == "segmentation"
    # Nothing is held back, so no epoch is chosen: the test images may not choose.
    assert (found.best_epoch, found.best) == (2, {"train": 0.9, "test": 0.5})
    assert found.final == {"train": 0.9, "test": 0.5}
    # Calling every pixel the first class is right for 80 of 100, and gets 80 % and 0 % of the two classes that occur.
    assert found.chance == pytest.approx(0.4)
    assert found.points == pytest.approx(10)
    assert found.seconds_per_point == pytest.approx(0.8)
    few = from_flat({"dataset": "shapes", "images_per_class": 10, "validation_share": 0.2})
    assert (
        sum_up_costs(few, Status("queued"), {}, PIXELS).images == 2 * 8
    )  # of all images, which are of no class as a whole
    assert sum_up_costs(RunConfig(), Status("queued"), PROGRESS, EPOCHS).task.name == "classification"


@pytest.mark.parametrize("convs_per_block", [1, 2])
def test_training_multiplies_as_often_as_torch_counts(convs_per_block):
    config = from_flat({"images_per_class": 10, "validation_share": 0.2, "convs_per_block": convs_per_block})
    found = sum_up_costs(config, Status("finished"), PROGRESS, EPOCHS)
    net = build(config.model, (3, 32, 32), 10).train()
    with FlopCounterMode(display=False) as forward:
        out = net(torch.randn(2, 3, 32, 32))
    with FlopCounterMode(display=False) as backward:
        out.sum().backward()
    assert found.macs is not None and found.images is not None and found.training_macs is not None
    assert found.macs == pytest.approx(forward.get_total_flops() / 2 / 2, rel=0.01)  # two images; an add and a multiply
    counted = (forward.get_total_flops() + backward.get_total_flops()) / 2 / 2
    # A little less than three times the forward pass: no gradient goes to the image.
    assert found.training_macs / found.images == pytest.approx(counted, rel=0.1)


def test_a_deleted_data_set_leaves_what_was_measured():
    found = sum_up_costs(from_flat({"dataset": "no-longer-here"}), Status("queued", parameters=7), PROGRESS, EPOCHS)
    assert found.macs is found.images is found.macs_per_point is None
    assert (found.parameters, found.final["test"]) == (7, 0.3)


def test_the_demo():
    demo = runs.demo_run()
    feed = RunReader(demo)
    feed.update()
    found = sum_up_costs(demo.config, feed.status, feed.progress, feed.epochs)
    assert (found.best["val"], found.best_epoch) == (0.905, 24)
    assert found.final["test"] == 0.8953
    assert found.images == 24 * 49_000
    assert found.parameters == feed.status.parameters == 177_730


# Luck


def member(label, value, changes=(), **knobs):
    return Member(label, from_flat(knobs), changes, value)


def test_groups_differ_in_more_than_seed_and_fold():
    found = group_members(
        [
            member("a0", 0.6, seed=0),
            member("b0", 0.7, seed=0, kernel_size=5),
            member("a1", 0.62, seed=1),
            member("f0", 0.5, folds=3, fold=0),
            member("f1", 0.54, folds=3, fold=1),
            member("changed", 0.9, ((10, "learning_rate", 0.1),), seed=2),
        ]
    )
    assert [group.labels for group in found] == [("changed",), ("b0",), ("a0", "a1"), ("f0", "f1")]
    assert found[2].mean == pytest.approx(0.61)
    assert found[2].std == pytest.approx(math.sqrt(2) * 0.01)  # n - 1 in the denominator
    assert found[1].std is None


def test_a_repeat_of_the_same_seed_counts_once():
    (found,) = group_members([member("new", 0.6, seed=3), member("old", 0.6, seed=3), member("other", 0.7, seed=4)])
    assert found.labels == ("new", "other")


def test_welch_against_its_formula():
    a, b = [0.61, 0.63, 0.62], [0.58, 0.60, 0.55, 0.61]
    found = run_welch_test(a, b)
    va, vb = np.var(a, ddof=1) / 3, np.var(b, ddof=1) / 4
    t = (np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
    degrees = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 3)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert (found.t, found.degrees) == pytest.approx((t, degrees))
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(t, degrees))
    assert run_welch_test(b, a).t == pytest.approx(-t)
    known = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert (found.t, found.degrees, found.p) == pytest.approx((known.statistic, known.df, known.pvalue))


def test_one_seed_cannot_tell():
    assert run_welch_test([0.6], [0.7, 0.71]) is None
    assert run_welch_test([0.6, 0.61], [0.7]) is None


def test_groups_without_any_spread_have_nothing_to_be_held_against():
    assert run_welch_test([0.5, 0.5], [0.5, 0.5]) is None
    assert run_welch_test([0.5, 0.5], [0.6, 0.6]) is None
    assert run_welch_test([0.5, 0.5], [0.6, 0.7]) is not None


def test_no_p_value_is_zero():
    assert write_p_value(0.0123) == "p = 0.012"
    assert write_p_value(run_mcnemar_test(5000, 0)) == "p < 1e-300"


def test_a_group_says_whether_seeds_or_folds_set_its_runs_apart():
    folds = [member(f"f{i}", 0.5, folds=3, fold=i) for i in range(3)]
    seeds = [member(f"s{i}", 0.6, seed=i) for i in range(2)]
    both = [member(f"b{i}", 0.7, folds=2, fold=i, seed=i) for i in range(2)]
    found = group_members([*folds, *seeds, *both, member("one", 0.8, kernel_size=5)])
    assert [sorted(group.apart) for group in found] == [[], ["folds", "seeds"], ["seeds"], ["folds"]]


def test_holm_by_hand():
    assert correct_by_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_by_holm([0.6, 0.9]) == [1, 1]
    assert correct_by_holm([]) == []


# Two runs


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (0, 6), (3, 9), (10, 10), (51, 594), (1000, 1100)])
def test_mcnemar_against_the_binomial_sum(b, c):
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) * 2
    assert run_mcnemar_test(b, c) == pytest.approx(min(1.0, tail / 2**n), rel=1e-9)


def one_hot(guesses, sure=0.9):
    probs = np.full((len(guesses), 4), (1 - sure) / 3)
    probs[np.arange(len(guesses)), guesses] = sure
    return probs


def test_each_image_is_of_one_kind():
    targets = [0, 1, 2, 3, 0, 1, 2, 3]
    a = one_hot([0, 1, 2, 0, 1, 1, 3, 1])
    b = one_hot([0, 0, 0, 3, 2, 1, 3, 2])
    a[1] = [0.3, 0.4, 0.2, 0.1]  # right by a hair: less telling than image 2
    found = compare_predictions(a, b, targets)
    assert found.both == 2
    assert found.only_a.tolist() == [2, 1]
    assert found.only_b.tolist() == [3]
    assert found.same_mistake == 1
    assert found.different_mistakes.tolist() == [4, 7]
    assert found.images == len(targets)
    assert found.p == run_mcnemar_test(2, 1)
    swapped = compare_predictions(b, a, targets)
    assert swapped.only_b.tolist() == [2, 1]


def test_runs_on_different_images_are_no_pair():
    with pytest.raises(ValueError, match="same test images"):
        compare_predictions(one_hot([0, 1]), one_hot([0, 1, 2]), [0, 1])
    with pytest.raises(ValueError, match="same test images"):
        compare_predictions(one_hot([0, 1]), one_hot([0, 1]), [0, 1, 2])


# Two runs that label pixels


def test_the_overlap_of_each_class_by_hand():
    found = masks.compute_overlaps([[6, 2, 1], [1, 3, 0], [0, 0, 0]])
    np.testing.assert_allclose(found, [6 / 10, 3 / 6, np.nan])  # what no pixel is of has none


def test_images_by_how_much_two_masks_differ():
    truth = np.zeros((4, 2, 2), np.uint8)
    truth[0, 0, 0] = truth[3] = IGNORE
    a, b = truth.copy(), np.zeros((5, 2, 2), np.uint8)  # one image more is kept of B
    a[1] = 1  # all wrong, and B right
    b[0, 0] = 1  # of three pixels that have a class one wrong
    b[2] = [[0, 1], [1, 0]]
    found = masks.compare_masks(a, b, truth)
    np.testing.assert_allclose(found.right_a, [1, 0, 1, 0])  # of an image without any class nothing is right
    np.testing.assert_allclose(found.right_b, [2 / 3, 1, 1 / 2, 0])
    assert found.order.tolist() == [1, 2, 0, 3]
    with pytest.raises(ValueError, match="same test images"):
        masks.compare_masks(a, b[:, :1], truth)
