"""The figures that judge a network: Plotly takes them, and they show the numbers they were given."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from playground.plots import MAX_POINTS, RIGHT, SEQUENTIAL, WRONG
from playground.plots.confusion import LABELLED, draw_confusion
from playground.plots.evaluation import Curve, draw_history, draw_ranking_curves, draw_reliability, draw_top_k

COUNTS = np.array([[8, 2, 0], [1, 1200, 3], [0, 4, 5]])
CLASSES = ("cat", "dog", "a ship with a name that is too long for an axis")


def checked(figure):
    go.Figure(figure)  # raises on a property it does not know
    json.dumps(figure, allow_nan=False)
    return figure


def together(figure) -> np.ndarray:
    """The numbers of all traces laid over each other."""
    layers = np.array([trace["z"] for trace in figure["data"]], float)
    assert (np.isfinite(layers).sum(0) == 1).all()  # each cell is in one trace alone
    return np.nansum(layers, axis=0)


def test_counts_with_the_diagonal_on_a_scale_of_its_own():
    errors, right = checked(draw_confusion(COUNTS, CLASSES))["data"]
    assert together(draw_confusion(COUNTS, CLASSES)).tolist() == COUNTS.tolist()
    assert (errors["colorscale"], errors["zmax"]) == (SEQUENTIAL, 4)  # not 1,200
    assert right["colorscale"][-1][1] == RIGHT
    assert right["zmax"] == 1200
    assert errors["text"][0] == ["", "2", ""]
    assert right["text"][1] == ["", "1,200", ""]


@pytest.mark.parametrize(("show", "axis"), [("rows", 1), ("columns", 0)])
def test_shares_in_per_cent(show, axis):
    expected = 100 * COUNTS / COUNTS.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(together(checked(draw_confusion(COUNTS, CLASSES, show=show))), expected, rtol=1e-4)


def test_a_difference_is_on_one_scale_around_nothing():
    (trace,) = checked(draw_confusion(COUNTS - COUNTS.T, CLASSES, difference=True))["data"]
    assert trace["z"] == (COUNTS - COUNTS.T).tolist()
    assert (trace["zmin"], trace["zmax"]) == (-1, 1)
    assert trace["text"][0] == ["", "+1", ""]
    assert trace["text"][1] == ["-1", "", "-1"]
    shares = draw_confusion(np.array([[0.025, -0.5], [0, 0]]), "ab", show="rows", difference=True)["data"][0]
    assert shares["text"][0] == ["+2.5", "-50.0"]
    assert shares["zmax"] == 50


def test_names_are_whole_in_the_cells_and_short_on_the_axes():
    figure = draw_confusion(COUNTS, CLASSES)
    assert figure["data"][0]["x"] == list(CLASSES)
    assert figure["layout"]["xaxis"]["ticktext"] == ["cat", "dog", "a ship with a name that…"]


def test_many_classes_are_not_labelled_and_stay_small():
    counts = np.random.default_rng(0).integers(0, 30, (100, 100))
    figure = checked(draw_confusion(counts, [f"class {k}" for k in range(100)]))
    assert "text" not in figure["data"][0]
    assert len(json.dumps(figure)) < 300_000
    assert "text" in draw_confusion(counts[:LABELLED, :LABELLED], [str(k) for k in range(LABELLED)])["data"][0]


def test_the_chosen_cell_is_outlined():
    frames = checked(draw_confusion(COUNTS, CLASSES, chosen=(2, 1)))["layout"]["shapes"]
    assert {(frame["x0"], frame["x1"], frame["y0"], frame["y1"]) for frame in frames} == {(0.5, 1.5, 1.5, 2.5)}
    assert not draw_confusion(COUNTS, CLASSES)["layout"]["shapes"]


@pytest.mark.parametrize("counts", [np.zeros((3, 3), int), np.diag([1, 2, 3])])
def test_nothing_counted_and_no_mistake_are_figures_too(counts):
    assert together(checked(draw_confusion(counts, CLASSES))).tolist() == counts.tolist()
    assert draw_confusion(counts, CLASSES)["data"][0]["zmax"] > 0


@pytest.mark.parametrize("kind", ["roc", "pr"])
def test_ranking_curves(kind):
    x = np.linspace(0, 1, 5000) ** 8  # most points lie at the start
    figure = checked(draw_ranking_curves([Curve("cat", x, x**0.1, 0.9, "#123456")], kind, mark=(0.25, 0.5), chance=0.1))
    curve, guessing, mark = figure["data"]
    assert curve["name"] == "cat 0.900"
    assert (curve["x"][0], curve["x"][-1], curve["y"][-1]) == (0, 100, 100)
    assert len(curve["x"]) <= MAX_POINTS
    length = np.abs(np.diff(curve["x"])) + np.abs(np.diff(curve["y"]))
    assert length.max() < 4  # of 200 in all: no long stretch is left out
    assert guessing["y"] == ([0, 100] if kind == "roc" else [10, 10])
    assert (mark["x"], mark["y"]) == ([25], [50])


def test_a_short_curve_keeps_its_corners():
    x, y = np.array([0, 0, 0.5, 1]), np.array([0, 1, 1, 1])
    curve = draw_ranking_curves([Curve("cat", x, y, 1.0, "#123456")], "roc")["data"][0]
    assert (curve["x"], curve["y"]) == ([0, 0, 50, 100], [0, 100, 100, 100])


def test_the_reliability_diagram_draws_what_holds_an_answer():
    edges, counts = np.linspace(0, 1, 5), np.array([0, 2, 0, 8])
    right, sure = np.array([0, 0.5, 0, 0.75]), np.array([0, 0.4, 0, 0.9])
    bars, gaps, _, below = checked(draw_reliability(edges, counts, right, sure))["data"]
    assert (bars["x"], bars["y"]) == ([37.5, 87.5], [50, 75])
    assert (gaps["base"], gaps["y"]) == ([50, 75], pytest.approx([-10, 15]))
    assert below["y"] == [2, 8]
    nothing = np.zeros(4)
    assert not checked(draw_reliability(edges, nothing.astype(int), nothing, nothing))["data"][0]["x"]


def test_top_k():
    curve, mark = checked(draw_top_k(np.array([5, 8, 10]), 10, 2))["data"]
    assert (curve["x"], curve["y"]) == ([1, 2, 3], [50, 80, 100])
    assert (mark["x"], mark["y"]) == ([2], [80])


def test_right_and_wrong_over_the_epochs_is_told_by_a_symbol_too():
    right = np.array([[False, True], [True, True]])
    cells = checked(draw_history(right, [["dog", "cat"], ["cat", "cat"]], [0, 5], ["a", "b"]))["data"][0]
    assert (cells["z"], cells["text"]) == ([[0, 1], [1, 1]], [["✗", "✓"], ["✓", "✓"]])
    assert cells["colorscale"] == [[0, WRONG], [1, RIGHT]]
    assert cells["customdata"][0] == ["dog", "cat"]
