"""The figures of studies: what is drawn is what was measured."""

import json

import pytest

from playground.plots.studies import (
    Column,
    draw_members,
    draw_over_setting,
    draw_parallel_coordinates,
    draw_range_test,
    draw_setting_map,
)

RATE = Column("Learning rate", ("0.1", "0.001", "0.01"), (0.1, 0.001, 0.01), log=True)
KERNEL = Column("Kernel size", ("11", "3", "3"), (11, 3, 3))
OPTIMIZER = Column("Optimizer", ("sgd", "adamw", "sgd"))
DRAWN = Column("Learning rate", ("0.0123", "0.00045", "0.091"), (0.0123, 0.00045, 0.091), log=True, continuous=True)
SCORES = [0.7, 0.5, 0.61234567]


def test_curves_and_their_mean_over_what_all_have_reached():
    figure = draw_members([("fold 0", [0, 1, 2], [0.1, 0.3, 0.5]), ("fold 1", [0, 1], [0.2, 0.5])], revision="x")
    first, second, mean = figure["data"]
    assert (first["name"], first["x"], first["y"]) == ("fold 0", [0, 1, 2], [10, 30, 50])
    assert second["y"] == [20, 50]
    assert (mean["name"], mean["x"], mean["y"]) == ("mean", [0, 1], [15, 40])
    assert len({trace["line"]["color"] for trace in figure["data"]}) == 3
    json.dumps(figure, allow_nan=False)


def test_one_member_has_no_mean_and_one_point_is_seen():
    (only,) = draw_members([("seed 0", [0], [0.1])])["data"]
    assert only["mode"] == "markers"


def test_parallel_coordinates_go_through_the_values_in_order():
    figure = draw_parallel_coordinates([RATE, KERNEL, OPTIMIZER, DRAWN], SCORES)
    (trace,) = figure["data"]
    rate, kernel, optimizer, drawn, accuracy = trace["dimensions"]
    assert (rate["values"], rate["ticktext"]) == ([2, 0, 1], ["0.001", "0.01", "0.1"])
    assert (kernel["values"], kernel["ticktext"]) == ([1, 0, 0], ["3", "11"]), "by number, not by letter"
    assert (optimizer["values"], optimizer["ticktext"]) == ([1, 0, 1], ["adamw", "sgd"])
    assert drawn["values"] == pytest.approx([-1.9101, -3.3468, -1.0410], abs=1e-4)
    assert (drawn["tickvals"], drawn["ticktext"]) == ([-4, -3, -2, -1], ["0.0001", "0.001", "0.01", "0.1"])
    assert accuracy["values"] == trace["line"]["color"] == [70, 50, 61.235]
    json.dumps(figure, allow_nan=False)


def test_a_knob_with_one_value_has_room_around_it():
    one = Column("Kernel size", ("3",), (3,))
    assert draw_parallel_coordinates([one], [0.5])["data"][0]["dimensions"][0]["range"] == [-0.5, 0.5]


def test_a_map_of_cells_holds_their_means():
    kernel = Column("Kernel size", ("3", "5", "3", "3"), (3, 5, 3, 3))
    optimizer = Column("Optimizer", ("sgd", "sgd", "adamw", "sgd"))
    (heat,) = draw_setting_map(kernel, optimizer, [0.2, 0.5, 0.7, 0.4])["data"]
    assert (heat["type"], heat["x"], heat["y"]) == ("heatmap", ["3", "5"], ["adamw", "sgd"])
    assert heat["z"] == [[70, None], [30, 50]]
    assert heat["text"] == [["70.0", ""], ["30.0", "50.0"]]


def test_a_map_of_a_range_is_of_points():
    figure = draw_setting_map(DRAWN, KERNEL, SCORES)
    (points,) = figure["data"]
    assert points["type"] == "scatter"
    assert (points["x"], points["y"]) == ([0.0123, 0.00045, 0.091], [11, 3, 3])
    assert points["marker"]["color"] == [70, 50, 61.235]
    assert figure["layout"]["xaxis"]["type"] == "log"


def test_accuracy_over_one_knob():
    figure = draw_over_setting(RATE, SCORES, ["a", "b", "c"])
    (points,) = figure["data"]
    assert (points["x"], points["y"], points["text"]) == ([0.1, 0.001, 0.01], [70, 50, 61.235], ["a", "b", "c"])
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert draw_over_setting(OPTIMIZER, SCORES, "abc")["layout"]["xaxis"]["categoryarray"] == ["adamw", "sgd"]


def test_a_range_test_marks_what_was_read_and_hides_the_explosion():
    figure = draw_range_test(
        [1e-3, 1e-2, 1e-1, 1], [2.3, 1.5, 1.0, 500.0], [2.3, 1.4, 1.1, 900.0], {"steepest": 0.01, "x": None}
    )
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0.01]
    (note,) = figure["layout"]["annotations"]
    assert (note["text"], note["x"]) == ("steepest 0.01", -2), "a note on a logarithmic axis stands at the logarithm"
    low, high = figure["layout"]["yaxis"]["range"]
    assert 0 <= low < 1.0 and 2.3 < high < 4
    assert draw_range_test([], [], [], {})["data"][0]["x"] == []
