"""The space of a sweep: what may be varied, the grid of it and draws from it, against values worked out by hand."""

import itertools
import math

import numpy as np
import pytest
from jobs_support import tiny

from playground.config import KNOBS, flatten, from_flat
from playground.studies import Axis, StudyError, parse_axis
from playground.studies.space import MAX_MEMBERS, NOT_VARIED, draw, grid

BASE = tiny()


def refusal(make) -> str:
    with pytest.raises(StudyError) as caught:
        make()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700
    return str(caught.value)


# One knob


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("learning_rate=1e-4..1e-1:log", Axis("learning_rate", (), 1e-4, 0.1, True)),
        ("learning-rate = 1e-4 .. 1e-1 : log : 3", Axis("learning_rate", (), 1e-4, 0.1, True, 3)),
        ("dropout=0..0.5:3", Axis("dropout", (), 0, 0.5, False, 3)),
        ("kernel_size=3,5", Axis("kernel_size", ("3", "5"))),
        ("kernel_size=3, 5, 3", Axis("kernel_size", ("3", "5"))),
        ("channels=8-16,16-32-64", Axis("channels", ("8-16", "16-32-64"))),
        ("flip=true,False", Axis("flip", ("true", "false"))),
        ("learning_rate=0.0010", Axis("learning_rate", ("0.001",))),
        ("optimizer=adamw,muon", Axis("optimizer", ("adamw", "muon"))),
    ],
)
def test_an_axis_is_read(text, axis):
    assert parse_axis(text) == axis
    assert parse_axis(str(axis)) == Axis(axis.knob, axis.values, axis.low, axis.high, axis.log)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no values"),
        ("learning_rate", "names no values"),
        ("learning_rate=", "names no values"),
        ("lr=1,2", "'lr' cannot be varied; the knobs that can are images_per_class, "),
        ("threads=1,2", "cannot be varied"),
        ("fold=0,1", "cannot be varied"),
        ("kernel_size=3,12", "Kernel size (kernel_size) cannot be 12; it takes a whole number from 1 to 11"),
        ("kernel_size=3,", "Kernel size (kernel_size) cannot be empty"),
        ("kernel_size=1..12", "Kernel size (kernel_size) cannot be 12.0"),
        ("kernel_size=1.5..3", "Kernel size (kernel_size) cannot be 1.5"),
        ("optimizer=a..b", "is no range of numbers"),
        ("optimizer=1..2", "Optimizer (optimizer) has no range; list its values"),
        ("learning_rate=0.1..0.01", "a range goes from a number to a larger one"),
        ("learning_rate=0.1..0.1", "a range goes from a number to a larger one"),
        ("learning_rate=nan..1", "cannot be"),
        ("weight_decay=0..0.1:log", "a logarithmic range begins above 0"),
        ("dropout=0..0.5:1", "a grid takes 2 to 200 values"),
        ("dropout=0..0.5:3:4", "after a range may follow"),
        ("dropout=0..0.5:logg", "after a range may follow"),
        ("dropout=0,0.5:log", "options follow a range alone"),
        ("dropout=0..0.5..1", "is no range of numbers"),
    ],
)
def test_an_axis_that_cannot_be_is_one_line(text, says):
    assert says in refusal(lambda: parse_axis(text))


def test_a_grid_of_a_range_is_even_and_keeps_its_ends():
    assert parse_axis("learning_rate=1e-4..1e-1:log:4").grid() == ("0.0001", "0.001", "0.01", "0.1")
    assert parse_axis("dropout=0..0.5:3").grid() == ("0", "0.25", "0.5")
    assert parse_axis("kernel_size=1..11:3").grid() == ("1", "6", "11")
    assert parse_axis("kernel_size=3..5:10").grid() == ("3", "4", "5"), "whole numbers come once"


def test_draws_stay_in_their_range_and_are_even_in_it():
    random = np.random.default_rng(0)
    log = [float(parse_axis("learning_rate=1e-4..1e-1:log").draw(random)) for _ in range(2000)]
    assert 1e-4 <= min(log) < 1.2e-4 and 0.085 < max(log) <= 0.1
    assert abs(np.mean(np.log10(log)) + 2.5) < 0.1
    flat = [float(parse_axis("dropout=0.1..0.5").draw(random)) for _ in range(2000)]
    assert min(flat) >= 0.1 and max(flat) <= 0.5 and abs(np.mean(flat) - 0.3) < 0.02
    whole = [int(parse_axis("kernel_size=3..5").draw(random)) for _ in range(3000)]
    assert np.bincount(whole)[3:] == pytest.approx([1000] * 3, rel=0.1), "the ends are as likely as the middle"
    listed = [parse_axis("optimizer=sgd,muon").draw(random) for _ in range(500)]
    assert 180 < listed.count("sgd") < 320


@pytest.mark.parametrize("knob", [knob for name, knob in KNOBS.items() if name not in NOT_VARIED], ids=lambda k: k.name)
def test_each_knob_can_be_varied(knob):
    value = knob.format(knob.default)
    assert Axis(knob.name, (value,)).grid() == (value,)
    if knob.kind in ("int", "float"):
        ends = Axis(knob.name, (), knob.low, knob.high, points=2).grid()
        assert [float(end) for end in ends] == pytest.approx([knob.low, knob.high], rel=1e-3)


# Together


def test_a_grid_is_every_combination_once():
    axes = [parse_axis("kernel_size=3,5"), parse_axis("dropout=0..0.5:3"), parse_axis("flip=false,true")]
    plan = grid(BASE, axes)
    expected = set(itertools.product(("3", "5"), ("0", "0.25", "0.5"), ("false", "true")))
    assert {tuple(values.values()) for values, _ in plan.members} == expected
    assert len(plan.members) == 12 and plan.left_out == ()
    for values, config in plan.members:
        assert config == from_flat(values, base=BASE)


def test_what_makes_no_network_is_left_out_with_the_reason():
    plan = grid(BASE, [parse_axis("channels=4,4-4-4-4-4-4"), parse_axis("kernel_size=3,5")])
    assert [values["channels"] for values, _ in plan.members] == ["4", "4"]
    assert [values for values, _ in plan.left_out] == [
        {"channels": "4-4-4-4-4-4", "kernel_size": size} for size in ("3", "5")
    ]
    assert all("take fewer blocks" in why for _, why in plan.left_out)


def test_too_large_a_grid_is_refused():
    axes = [parse_axis(f"{name}=0..0.5:20") for name in ("dropout", "validation_share")]
    assert refusal(lambda: grid(BASE, axes)) == f"this grid has 400 combinations; up to {MAX_MEMBERS} runs make a study"


def test_draws_are_distinct_and_repeatable():
    axes = [parse_axis("learning_rate=1e-4..1e-1:log"), parse_axis("kernel_size=3,5,7")]
    first, again, other = (draw(BASE, axes, 10, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len({config for _, config in first.members}) == 10


def test_a_small_space_gives_no_more_than_it_has():
    plan = draw(BASE, [parse_axis("kernel_size=3,5"), parse_axis("flip=false,true")], 50, 0)
    assert len(plan.members) == 4


def test_values_are_those_of_the_config():
    for values, config in draw(BASE, [parse_axis("learning_rate=1e-4..1e-1:log")], 20, 3).members:
        assert math.isclose(float(values["learning_rate"]), flatten(config)["learning_rate"])
