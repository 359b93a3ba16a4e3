"""Figures from arrays: what is drawn, what is kept, and that Plotly takes it."""

import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from rows_support import make_rows

from playground import plots
from playground.events import Scores, best_row
from playground.plots.confusion import draw_confusion


def a_run(rows=20, epochs=3, val=True):
    at = np.linspace(0.1, epochs, rows).tolist()
    progress = {
        "epoch": at,
        "loss": [2.3 / (1 + x) for x in at],
        "accuracy": [x / 10 for x in at],
        "learning_rate": [0.004] * rows,
        "images_per_second": [5000.0] * rows,
    }
    scores = [{"loss": 2.0 - 0.3 * e, "accuracy": 0.1 + 0.2 * min(e, 2)} for e in range(epochs + 1)]
    rows_ = [
        {"type": "epoch", "epoch": e, "train": None, "val": s if val else None, "test": s} for e, s in enumerate(scores)
    ]
    return progress, make_rows(rows_, "epoch")


def names(figure):
    return [trace["name"] for trace in figure["data"]]


def test_each_curve_is_a_figure_that_plotly_takes_and_json_holds():
    progress, epochs = a_run()
    changes = make_rows([{"step": 10, "epoch": 1.5, "knob": "learning_rate", "old": 0.004, "new": 0.001}], "change")
    figures = plots.draw_curves(progress, epochs, changes, total_epochs=3, smoothing=0.6, log=True, cursor=1)
    assert list(figures) == ["loss", "accuracy", "learning_rate", "throughput"]
    for figure in figures.values():
        go.Figure(figure)  # raises on a property it does not know
        json.dumps(figure, allow_nan=False)


def test_nothing_measured_yet_is_a_figure_too():
    for figure in plots.draw_curves({}, [], total_epochs=10).values():
        go.Figure(figure)
        assert all(not trace["x"] for trace in figure["data"])


def test_accuracy_is_in_per_cent_on_the_screen():
    progress, epochs = a_run()
    figure = plots.draw_curves(progress, epochs, total_epochs=3)["accuracy"]
    validation = figure["data"][names(figure).index("validation")]
    assert validation["y"] == pytest.approx([10, 30, 50, 50])
    assert figure["layout"]["yaxis"]["ticksuffix"] == " %"


def test_the_splits_have_their_colours_in_every_figure():
    figures = plots.draw_curves(*a_run(), total_epochs=3)
    for key in ("loss", "accuracy"):
        colours = {trace["name"]: trace["line"]["color"] for trace in figures[key]["data"] if "line" in trace}
        assert colours == {"train": plots.TRAIN, "validation": plots.VALIDATION, "test": plots.TEST}


def test_the_raw_curve_stays_behind_the_smoothed_one():
    progress, epochs = a_run()
    raw, smoothed = plots.draw_curves(progress, epochs, total_epochs=3, smoothing=0.9)["loss"]["data"][:2]
    assert raw["y"] == pytest.approx(progress["loss"], rel=1e-4)
    assert raw["opacity"] < 1
    assert smoothed["y"] != raw["y"]


def test_the_first_point_is_seen():
    progress, epochs = a_run(rows=1)
    assert plots.draw_curves(progress, epochs[:1], total_epochs=3)["loss"]["data"][0]["mode"] == "markers"


def test_the_best_epoch_is_the_first_with_the_highest_validation_accuracy():
    _, epochs = a_run()
    assert best_row(epochs) is epochs[2] and epochs[2].judged.accuracy == epochs[3].judged.accuracy == 0.5
    assert best_row(epochs[:1]) is epochs[0] and best_row([]) is None
    figure = plots.draw_curves(*a_run(), total_epochs=3)["accuracy"]
    (label,) = figure["layout"]["annotations"]
    assert label["text"] == "best validation 50.0 %, epoch 2"
    assert (label["yref"], label["y"], label["yanchor"]) == ("paper", 1, "bottom")  # above the curves


def test_without_validation_images_the_last_epoch_counts_and_none_is_called_the_best():
    progress, epochs = a_run(val=False)
    assert best_row(epochs) is epochs[-1]
    figure = plots.draw_curves(progress, epochs, total_epochs=3)["accuracy"]
    assert figure["layout"]["annotations"] == [] and "best" not in names(figure)


def test_a_change_is_a_labelled_line_and_only_the_last_of_a_step_counts():
    progress, epochs = a_run()
    changes = [
        {"step": 10, "epoch": 1.5, "knob": "learning_rate", "old": 0.004, "new": 0.002},
        {"step": 10, "epoch": 1.5, "knob": "learning_rate", "old": 0.004, "new": 0.001},
        {"step": 12, "epoch": 1.7, "knob": "dropout", "old": 0, "new": 0.5},
    ]
    changes = make_rows(changes, "change")
    labels = {"learning_rate": "Learning rate"}
    layout = plots.draw_curves(progress, epochs, changes, total_epochs=3, labels=labels)["loss"]["layout"]
    assert [shape["x0"] for shape in layout["shapes"]] == [1.5, 1.7]
    assert [a["text"] for a in layout["annotations"]] == ["learning rate 0.004 → 0.001", "dropout 0 → 0.5"]


def test_labels_of_changes_do_not_pile_up():
    rates = [0.004, 0.002, 0.001, 0.0005, 0.001]
    changes = [
        {"step": 10 * i, "epoch": 4 + 0.1 * i, "knob": "learning_rate", "old": old, "new": new}
        for i, (old, new) in enumerate(itertools.pairwise(rates))
    ]
    changes.insert(2, {"step": 11, "epoch": 4.11, "knob": "dropout", "old": 0, "new": 0.5})
    changes += [
        {"step": 99 + i, "epoch": 9.9 + 0.1 * i, "knob": "dropout", "old": i / 4, "new": i / 4 + 0.25} for i in (0, 1)
    ]
    layout = plots.draw_curves({"epoch": [10]}, [], make_rows(changes, "change"), total_epochs=10)["loss"]["layout"]
    assert len(layout["shapes"]) == 7  # a line for each all the same
    labels = {note["text"]: note["x"] for note in layout["annotations"]}
    together = "learning_rate 0.004 → 0.001, in 4 steps<br>dropout 0 → 0.5"
    assert labels == {together: 4, "dropout 0 → 0.5, in 2 steps": 9.5}  # the last one before the edge


def test_no_two_labels_of_changes_cover_each_other():
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 30, 200):
        at, knobs = rng.uniform(0, 10, count), rng.choice(["learning_rate", "dropout", "weight_decay"], count)
        changes = [
            {"step": i, "epoch": float(epoch), "knob": str(knob), "old": 0, "new": 0.5}
            for i, (epoch, knob) in enumerate(zip(at, knobs, strict=True))
        ]
        changes = make_rows(changes, "change")
        notes = plots.draw_curves({"epoch": [10]}, [], changes, total_epochs=10)["loss"]["layout"]["annotations"]
        ends = [(note["x"], note["x"] + 0.5 * note["text"].count("<br>") + 0.5) for note in notes]
        assert all(end <= start + 1e-3 for (_, end), (start, _) in itertools.pairwise(ends))
        assert ends[-1][1] <= 10 + 1e-3
        assert (
            sum(
                int((re.findall(r"in (\d+) steps", line) or [1])[0])
                for note in notes
                for line in note["text"].split("<br>")
            )
            == count
        )


def test_a_chart_with_a_cursor_has_no_second_line_under_the_pointer():
    for cursor, lines, pointed in ((1.0, 1, False), (None, 0, None)):
        for figure in plots.draw_curves({"epoch": [0.5, 1.0]}, [], total_epochs=3, cursor=cursor).values():
            assert len(figure["layout"]["shapes"]) == lines
            assert figure["layout"]["xaxis"].get("showspikes") is pointed


def test_the_log_scale_is_for_loss_and_learning_rate_and_forgets_the_zoom_of_the_other_scale():
    linear = plots.draw_curves(*a_run(), total_epochs=3, revision="r")
    log = plots.draw_curves(*a_run(), total_epochs=3, revision="r", log=True)
    kinds = {key: figure["layout"]["yaxis"].get("type") for key, figure in log.items()}
    assert kinds == {"loss": "log", "accuracy": None, "learning_rate": "log", "throughput": None}
    assert log["loss"]["layout"]["uirevision"] == linear["loss"]["layout"]["uirevision"] == "r"
    assert log["loss"]["layout"]["yaxis"]["uirevision"] != linear["loss"]["layout"]["yaxis"]["uirevision"]


def test_the_x_axis_ends_at_a_round_number_and_never_past_the_run():
    ends = [
        plots.draw_curves({"epoch": [x]}, [], total_epochs=7)["loss"]["layout"]["xaxis"]["range"][1]
        for x in (0.2, 3, 6)
    ]
    assert ends == [1, 5, 7]


def test_what_is_not_finite_leaves_a_gap():
    progress, epochs = a_run(rows=4)
    progress["loss"][2] = math.nan
    figure = plots.draw_curves(progress, epochs, total_epochs=3)["loss"]
    assert figure["data"][0]["y"][2] is None
    json.dumps(figure, allow_nan=False)


class TestDownsample:
    def test_few_points_stay_as_they_are(self):
        x, y = np.arange(300.0), np.random.default_rng(0).random(300)
        assert plots.downsample(x, y)[1] is y

    def test_many_points_keep_ends_and_every_peak(self):
        x, y = np.arange(10_000.0), np.random.default_rng(0).random(10_000)
        y[1234], y[7777] = 50, -50
        kept_x, kept_y = plots.downsample(x, y)
        assert len(kept_x) <= plots.MAX_POINTS
        assert (kept_x[0], kept_x[-1]) == (0, 9999)
        assert {50.0, -50.0} <= set(kept_y.tolist())
        assert (np.diff(kept_x) > 0).all()

    def test_a_trace_of_a_long_run_is_short(self):
        progress, epochs = a_run(rows=5000, epochs=1000)
        for figure in plots.draw_curves(progress, epochs, total_epochs=1000, smoothing=0.5).values():
            assert all(len(trace["x"]) <= plots.MAX_POINTS for trace in figure["data"])


class TestSmooth:
    def test_no_weight_changes_nothing(self):
        values = np.array([3.0, 1, 2])
        assert plots.smooth(values, 0).tolist() == values.tolist()

    def test_a_constant_stays_from_the_first_value_on(self):
        assert plots.smooth(np.full(9, 4.0), 0.9) == pytest.approx(np.full(9, 4.0))

    def test_it_is_the_weighted_mean_of_the_past(self):
        values = np.array([1.0, 2, 6])
        weights = np.array([0.25, 0.5, 1])
        assert plots.smooth(values, 0.5)[2] == pytest.approx((weights * values).sum() / weights.sum())

    def test_a_gap_does_not_spread(self):
        assert plots.smooth(np.array([1.0, math.nan, 1.0]), 0.5)[2] == pytest.approx(1)

    def test_a_weight_of_one_is_refused(self):
        with pytest.raises(ValueError, match="smoothing weight 1"):
            plots.smooth(np.ones(2), 1)


def test_probability_bars_show_the_likeliest_first_and_the_truth_in_green():
    figure = plots.draw_probabilities([0.1, 0.7, 0.2], ["cat", "dog", "frog"], top=2, truth="frog")
    go.Figure(figure)
    bars = figure["data"][0]
    assert bars["y"] == ["dog", "frog"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["dog", "frog ✓"]
    assert bars["x"] == [70, 20]
    assert bars["marker"]["color"] == [plots.WRONG, plots.RIGHT]


def test_names_are_the_values_of_a_category_axis_and_no_numbers_or_html():
    names = ["0", "10", "2", "$5", "<b>1</b>", "a & b"]
    shown = ["0", "10", "2", "$5", "&lt;b>1&lt;/b>", "a &amp; b"]
    bars = plots.draw_probabilities([0.3, 0.25, 0.2, 0.15, 0.1, 0.0], names, top=6, truth="2")
    assert bars["data"][0]["y"] == bars["layout"]["yaxis"]["tickvals"] == shown
    assert bars["layout"]["yaxis"]["ticktext"] == [*shown[:2], "2 ✓", *shown[3:]]
    matrix = draw_confusion(np.eye(6), names)
    axes = [bars["layout"]["yaxis"], matrix["layout"]["xaxis"], matrix["layout"]["yaxis"]]
    assert {axis["type"] for axis in axes} == {"category"}
    for axis in axes[1:]:
        assert (axis["tickvals"], axis["ticktext"]) == (shown, shown)
    assert all(trace[axis] == shown for trace in matrix["data"] for axis in "xy")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [plots.TRAIN, plots.VALIDATION, plots.TEST, plots.RIGHT, plots.WRONG])
@pytest.mark.parametrize("background", ["#ffffff", "#12151c"])
def test_lines_stand_out_from_both_backgrounds(colour, background):
    """WCAG 2.2, 1.4.11: graphics need a contrast of 3 to 1; on white, amber gets 2.9 at most and still looks amber."""
    light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 2.9


def test_class_colours_are_distinct_and_never_run_out():
    assert len(set(plots.CLASS_COLOURS)) == len(plots.CLASS_COLOURS) >= 10
    assert plots.color_class(1000) in plots.CLASS_COLOURS


# From linear RGB to Oklab (B. Ottosson, 2020), and to what the colour-blind see (Machado et al., 2009).
TO_LMS = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
TO_LAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
SEEN_BY = {
    "most": np.eye(3),
    "protanopes": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopes": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
}


def oklab(colour: str, seen: np.ndarray) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return TO_LAB @ np.cbrt(TO_LMS @ (seen @ linear).clip(0))


def test_no_class_is_grey_which_is_what_has_no_class():
    for colour in plots.CLASS_COLOURS:
        assert np.hypot(*oklab(colour, SEEN_BY["most"])[1:]) > 0.05, colour


@pytest.mark.parametrize("seen", SEEN_BY)
def test_the_first_ten_classes_are_told_apart_by_all(seen):
    for one, other in itertools.combinations(plots.CLASS_COLOURS[:10], 2):
        assert np.linalg.norm(oklab(one, SEEN_BY[seen]) - oklab(other, SEEN_BY[seen])) > 0.065, (one, other)


@pytest.mark.parametrize("val", [True, False])
def test_the_gap_of_an_overfitting_run_is_shaded_from_an_epoch_on(val):
    progress, epochs = a_run(val=val)
    epochs = [epochs[0], *(replace(row, train=Scores(0.5, 0.9)) for row in epochs[1:])]
    figures = plots.draw_curves(progress, epochs, total_epochs=3, overfitting_since=2)
    for key, train, judged in (("loss", 0.5, [1.4, 1.1]), ("accuracy", 90, [50, 50])):
        go.Figure(figures[key])
        band = figures[key]["data"][0]  # behind the curves
        assert (band["name"], band["fill"], band["x"]) == ("overfitting", "toself", [2, 3, 3, 2])
        assert band["y"] == pytest.approx([train, train, *reversed(judged)])
    assert "overfitting" not in names(figures["throughput"]) + names(
        plots.draw_curves(progress, epochs, total_epochs=3)["loss"]
    )


def test_small_rates_are_written_as_powers_and_counts_in_thousands():
    """Plotly's own tick for 0.0001 is 100µ, and a "~s" makes 500m of half an image a second."""
    figures = plots.draw_curves(*a_run(), total_epochs=3, log=True)
    assert plots.TEMPLATE["layout"]["yaxis"]["exponentformat"] == "power"
    assert "exponentformat" not in figures["learning_rate"]["layout"]["yaxis"]
    assert figures["throughput"]["layout"]["yaxis"]["exponentformat"] == "SI"
    assert "tickformat" not in figures["throughput"]["layout"]["yaxis"]
    for figure in figures.values():
        assert figure["layout"]["xaxis"]["unifiedhovertitle"]["text"].startswith("epoch %{x:.2")


def test_a_speed_is_the_median_of_the_latest_reports():
    speeds = np.array([10.0, 9000, 9100, 40, 9200, 9300, 12, 9000, 9100, 9200, 9300, 5])
    steady = plots.take_running_median(speeds)
    assert steady.tolist() == [float(np.median(speeds[max(0, i - plots.STEADY + 1) : i + 1])) for i in range(12)]
    assert steady[4:].min() > 8000
    assert len(plots.take_running_median(np.array([]))) == 0
