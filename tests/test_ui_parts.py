"""The arithmetic behind the widgets."""

import ast
from pathlib import Path

import numpy as np
import pytest
from rows_support import make_row
from ui_support import make_run

from playground.config import KNOBS, ConfigError, RunConfig, flatten, from_flat
from playground.runs import RunError
from playground.ui.common import form, frame, guard, knobs, run_views
from playground.ui.pages.train import network


def test_a_logarithmic_slider_has_the_present_value_and_stays_in_bounds():
    for name in ("learning_rate", "weight_decay", "l1", "batch_size"):
        knob = KNOBS[name]
        stops = knobs._steps(knob, knob.default)
        assert stops == sorted(set(stops))
        assert knob.default in stops
        assert (stops[0], stops[-1]) == (knob.low, knob.high)
    assert 0.00123 in knobs._steps(KNOBS["learning_rate"], 0.00123)


ROOT = Path(__file__).parent.parent
WIDGETS = """button download_button form_submit_button popover text_input text_area number_input selectbox multiselect
slider select_slider toggle checkbox radio segmented_control pills file_uploader camera_input""".split()


def test_each_widget_with_a_label_has_a_help():
    """Where the label is hidden, Streamlit has no place to show one."""
    without = []
    for path in sorted([*ROOT.glob("pages/*.py"), *ROOT.glob("playground/ui/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            named = {keyword.arg for keyword in node.keywords}  # None stands for ** of a helper that all go through
            drawn = ast.unparse(node.func.value) == "st" and node.func.attr in WIDGETS
            if drawn and not named & {"help", "label_visibility", None}:
                without.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert without == []


def test_a_query_is_read_knob_by_knob():
    assert form.read_query({"batch_norm": "false"}) == (from_flat({"norm": "none"}), [])  # a link of long ago
    config, lines = form.read_query({"epochs": "5", "stride": "9", "flip": "perhaps"}, from_flat({"stride": 2}))
    assert flatten(config) == flatten(RunConfig()) | {"epochs": 5}
    assert len(lines) == 2
    assert "Stride (stride) cannot be 9; it takes a whole number from 1 to 4" in lines[0]


def test_a_widget_that_was_forgotten_comes_back_as_it_was(monkeypatch):
    """A quick second change cuts the drawing of the page short, and Streamlit forgets what was not drawn."""
    monkeypatch.setattr(form.st, "session_state", {})
    config = from_flat({"optimizer": "sgd", "fc_width": 32, "channels": (8, 16)})
    form.load_config(config)
    for key in ("knob_optimizer", "knob_fc_width", "knob_learning_rate", "knob_channels_1"):
        del form.st.session_state[key]
    form.st.session_state["knob_epochs"] = 7
    form._restore()
    assert form.read_config() == from_flat({"epochs": 7}, config)


def test_first_knobs_exist():
    assert set(KNOBS) >= knobs.FIRST | set(knobs.HIDDEN)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"optimizer": "sgd"}, "momentum"),
        ({"optimizer": "gradient_descent"}, "batch_size"),
        ({"kernel_size": 1}, "dilation"),
    ],
)
def test_what_does_nothing_has_a_reason(values, name):
    assert knobs.find_unused(flatten(from_flat(values)))[name]
    assert name not in knobs.find_unused(flatten(from_flat({"optimizer": "momentum"})))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.4, "9.4 s"), (9.97, "10 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds, text):
    assert network.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1284, "1.28 k"), (156_074, "156 k"), (2.5e9, "2.5 G")]
)
def test_counts(number, text):
    assert network.format_count(number) == text


def test_many_viewers_cost_one_reader_and_one_figure(home):
    folder = make_run("finished")
    first, second = run_views.watch_run(folder), run_views.watch_run(folder)
    assert first is second
    figures, version = run_views.draw_figures(first, smoothing=0.5)
    assert run_views.draw_figures(second, smoothing=0.5)[0] is figures
    assert run_views.draw_figures(second, smoothing=0.6)[1] != version


def test_a_runs_knobs_follow_what_was_changed_on_the_way(home):
    folder = make_run("stopped")
    folder.append(make_row({"type": "change", "epoch": 2.0, "step": 20, "knob": "dropout", "old": 0.0, "new": 0.5}))
    assert run_views.watch_run(folder).config.model.dropout == 0.5


def test_an_error_for_people_is_shown_as_it_is_and_another_as_one_line(monkeypatch):
    shown = []
    monkeypatch.setattr(guard.st, "error", lambda text, icon: shown.append(text))
    with pytest.raises(ConfigError) as refused:
        from_flat({"epochs": 0})
    assert guard.show_error(refused.value)
    assert guard.show_error(ZeroDivisionError("division by zero"))
    assert "Epochs (epochs) cannot be 0" in shown[0]
    assert "division" not in shown[1]
    assert all("\n" not in text for text in shown)


def test_a_guard_shows_what_a_person_can_mend_and_lets_mistakes_through(monkeypatch):
    shown = []
    monkeypatch.setattr(guard.st, "error", lambda text, icon: shown.append(text))
    with guard.guard():
        raise RunError("run a\nis *damaged*")
    assert shown == ["run a is \\*damaged\\*"]
    with pytest.raises(ValueError, match="operands could not be broadcast"), guard.guard():
        np.zeros(2) + np.zeros(3)
    assert len(shown) == 1


@pytest.mark.parametrize("error", [ValueError(), RunError(), RunError(" "), KeyError()])
def test_an_error_without_words_is_one_line_all_the_same(error):
    assert guard.describe_error(error).startswith(
        "This page could not be drawn; what went wrong is in the server's console."
    )


def test_no_page_takes_a_mistake_of_ours_for_a_person_s():
    """`except ValueError` would show a bug in numpy to a class, and log it nowhere; numbers that people type may."""
    caught = []
    for path in sorted([*ROOT.glob("pages/*.py"), *ROOT.glob("playground/ui/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.type and "ValueError" in ast.unparse(node.type):
                caught.append(path.relative_to(ROOT).as_posix())
    assert caught == ["playground/ui/pages/studies/new.py"]  # float() of what was typed


def test_the_icon_lies_in_the_page_itself():
    assert frame.ICON.startswith("data:image/png;base64,")  # Streamlit forgets files of a drawing that is broken off
