"""The Train page without a browser: every knob, every button, every state."""

import subprocess
import sys

import numpy as np
import pytest
from rows_support import make_row
from ui_support import ROOT, app_home, click, commands, errors, make_run, open_page, run, texts, unpacked, worked_on

from playground import runs
from playground.config import KNOBS, RunConfig, diff, from_flat, to_query
from playground.diagnosis import Finding
from playground.events import Change
from playground.presets import PRESETS
from playground.ui.common import diagnosis, knobs
from playground.ui.pages.train.transport import epochs_words

__all__ = ["app_home", "unpacked"]

pytestmark = pytest.mark.usefixtures("app_home")

OTHER = {
    "dataset": "mnist",
    "device": "cpu",
    "channels": (8, 24),
    "images_per_class": 100,
    "learning_rate": 0.01,
    "weight_decay": 0.05,
    "l1": 0.001,
    "batch_size": 128,
    "momentum": 0.5,
    "optimizer": "momentum",
}
"""A value other than the default for knobs where the rule below finds none."""


def other_value(name):
    knob = KNOBS[name]
    if name in OTHER:
        return OTHER[name]
    if knob.kind == "bool":
        return not knob.default
    if knob.kind == "choice":
        return next(choice for choice in knob.choices if choice != knob.default)
    low = knob.low or 0
    value = knob.default + 1 if knob.kind == "int" and knob.default + 1 <= knob.high else (low + (knob.high - low) / 2)
    return int(value) if knob.kind == "int" else value


SHOWN = [name for name in KNOBS if name not in knobs.HIDDEN]


def widget(at, knob):
    """Return the key of a knob's widget, which is another one each time that the page has changed it."""
    turn = at.session_state["form_turns"].get(knob, 0)
    return f"knob_{knob}_{turn}" if turn else f"knob_{knob}"


def form_config(at):
    return at.session_state["form"]


def test_the_page_opens_with_every_knob_at_its_default():
    at = open_page("train")
    assert form_config(at) == RunConfig()
    assert not errors(at)
    assert not list(at.query_params)
    for name in SHOWN:
        key = "knob_channels_blocks" if name == "channels" else f"knob_{name}"
        widget = at.get_by_key(key)
        assert KNOBS[name].help in widget.help or name == "channels"


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "channels"])
def test_a_knob_goes_to_the_url_and_back(name):
    value = other_value(name)
    # Some knobs do nothing, and cannot be moved, beside the default values of others.
    beside = {"optimizer": "momentum"} if name == "momentum" else {}
    beside |= {"dataset": "shapes"} if name in ("upsampling", "skips", "boundary_weight") else {}
    at = open_page("train", **beside)
    at.get_by_key(f"knob_{name}").set_value(value)
    run(at)
    changed = diff(RunConfig(), form_config(at))
    assert changed[name][1] == value
    query = to_query(form_config(at))
    assert {key: at.query_params[key] for key in query} == query
    assert form_config(open_page("train", **query)) == form_config(at)


def test_choosing_a_set_of_digits_turns_flips_off():
    at = open_page("train")
    for dataset, flip in (("mnist", False), ("svhn", False), ("cifar10", True)):
        at.get_by_key("knob_dataset").set_value(dataset)
        assert form_config(run(at)).data.flip == at.get_by_key(widget(at, "flip")).value == flip
        assert ("flip" in at.query_params) == (not flip)
    at.get_by_key(widget(at, "flip")).set_value(False)
    run(at)
    at.get_by_key("knob_dataset").set_value("fashion-mnist")  # garments can be mirrored: what was chosen stays
    assert not form_config(run(at)).data.flip


def test_channels_are_a_number_of_blocks_and_a_number_for_each():
    at = open_page("train", channels="8-24")
    assert form_config(at).model.channels == (8, 24)
    at.slider(key="knob_channels_blocks").set_value(3)
    run(at)
    assert form_config(at).model.channels == (8, 24, 48)
    at.number_input(key="knob_channels_1").set_value(100)
    run(at)
    assert at.query_params["channels"] == "8-100-48"
    at.slider(key="knob_channels_blocks").set_value(1)
    run(at)
    assert form_config(at).model.channels == (8,)


def test_a_value_out_of_bounds_is_named_reset_and_the_others_kept():
    at = open_page("train", kernel_size="2000", epochs="7", optimizer="magic")
    lines = errors(at)
    assert len(lines) == 2
    assert "Kernel size (kernel_size) cannot be 2000; it takes a whole number from 1 to 11" in lines[0] + lines[1]
    assert "Optimizer (optimizer) cannot be magic" in lines[0] + lines[1]
    assert form_config(at) == from_flat({"epochs": 7})
    assert "kernel_size" not in at.query_params
    at.get_by_key("knob_epochs").set_value(8)
    assert not errors(run(at))  # it has been read


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"kernal_size": "5"}, "kernal_size in the link is no knob"),
        ({"dataset": "imagenet"}, "there is no data set imagenet"),
        ({"channels": "8-x"}, "channels"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"run": "no-such-run"}, "there is no run 'no-such-run'"),
        ({"run": "../../etc"}, "there is no run '../../etc'"),
    ],
)
def test_a_link_that_cannot_be_is_one_line(query, line):
    at = open_page("train", **query)
    assert len(errors(at)) == 1
    assert line in errors(at)[0]
    assert form_config(at) == RunConfig()


def test_a_knob_that_does_nothing_says_why():
    at = open_page("train")
    momentum = at.get_by_key("knob_momentum")
    assert momentum.disabled
    assert "not used by AdamW" in momentum.label
    at.get_by_key("knob_optimizer").set_value("nesterov")
    assert not run(at).get_by_key("knob_momentum").disabled


def test_a_geometry_that_cannot_be_is_named_and_blocks_play():
    at = open_page("train", kernel_size="11", padding="0", channels="8-8-8-8", pooling="none")
    assert len(errors(at)) == 1
    assert errors(at)[0].startswith("block4.conv1: a window of 11×11 does not fit")
    assert at.button(key="play").disabled
    assert at.button(key="step_batch").disabled
    at.get_by_key("knob_padding").set_value("same")
    assert not run(at).button(key="play").disabled
    assert not errors(at)


def test_the_network_is_shown_as_the_knobs_make_it():
    at = open_page("train")
    assert at.metric[0].value == "156 k"
    assert "| block1 · conv1 | 16×32×32 | 448 | 442 k |" in texts(at)
    at.get_by_key("knob_kernel_size").set_value(5)
    assert "| block1 · conv1 | 16×32×32 | 1,216 | 1.23 M |" in texts(run(at))
    assert at.metric[2].value.startswith("≈ ")


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_sets_the_knobs_and_is_marked(name):
    at = open_page("train", dataset="mnist")
    click(at, f"preset_{name}")
    assert form_config(at) == PRESETS[name].apply(from_flat({"dataset": "mnist"}))
    assert at.query_params["dataset"] == PRESETS[name].knobs.get("dataset", "mnist")
    click(at, "preset_default")
    assert form_config(at) == RunConfig()


def test_play_makes_a_run_of_the_knobs_and_names_it_in_the_url():
    at = open_page("train", kernel_size="5", epochs="2")
    click(at, "play")
    (made,) = [folder for folder in runs.list_runs() if not folder.read_only]
    assert made.config == from_flat({"kernel_size": 5, "epochs": 2})
    assert made.status().state == "queued"
    assert at.query_params["run"] == made.id
    assert at.query_params["kernel_size"] == "5"
    assert "next in the queue" in texts(at)
    assert at.button(key="play").label == "Pause"


@pytest.mark.parametrize("step", ["step_batch", "step_epoch"])
def test_a_step_without_a_run_starts_one_that_pauses_after_it(step):
    at = click(open_page("train"), step)
    assert commands(runs.open_run(at.query_params["run"])) == [f'{{"do": "{step}"}}']


@pytest.mark.parametrize(
    ("key", "state", "written"),
    [
        ("play", "running", '{"do": "pause"}'),
        ("play", "paused", '{"do": "play"}'),
        ("step_batch", "paused", '{"do": "step_batch"}'),
        ("step_epoch", "running", '{"do": "step_epoch"}'),
        ("stop", "running", '{"do": "stop"}'),
        ("stop", "paused", '{"do": "stop"}'),
    ],
)
def test_a_button_continues_the_run_that_is_shown(key, state, written):
    folder = make_run(state)
    with worked_on(folder):
        click(open_page("train", run=folder.id), key)
    assert commands(folder) == [written]
    assert len([f for f in runs.list_runs() if not f.read_only]) == 1


def test_a_pause_pressed_when_the_run_has_just_ended_starts_no_other():
    folder = make_run("running")
    with worked_on(folder):
        at = open_page("train", run=folder.id)
    assert at.button(key="play").label == "Pause"
    folder.set_status(state="finished")
    click(at, "play")
    assert at.button(key="play").label == "Play"
    assert [run for run in runs.list_runs() if not run.read_only] == [folder]


def test_a_run_paused_for_so_long_that_its_worker_left_is_queued_again():
    folder = make_run("paused")
    click(open_page("train", run=folder.id), "play")
    assert folder.status().state == "queued"


@pytest.mark.parametrize("state", ["stopped", "interrupted", "died", "failed"])
def test_a_run_that_ended_early_can_be_resumed(state):
    folder = make_run("running" if state == "died" else state)
    at = open_page("train", run=folder.id)
    assert state.capitalize() in texts(at)
    click(at, "stop")  # where "Resume" stands, so that the focus stays
    assert folder.status().state == "queued"


@pytest.mark.parametrize(
    ("state", "message", "line"),
    [
        ("preparing", "downloading CIFAR-10 34%", "downloading CIFAR-10 34 %"),
        ("running", "", "epoch 2 of 3 · 2.0 s left"),
        ("paused", "", "epoch 2 of 3 · step 20"),
        ("finished", "", "best validation accuracy 70.0 % after epoch 3 · test accuracy 70.0 % · 3 epochs in 6.0 s"),
        ("stopped", "", "epoch 2 of 3"),
        ("diverged", "step 20: the loss is inf", "step 20: the loss is inf · epoch 2 of 3"),
        ("failed", "out of memory; take a smaller batch", "out of memory; take a smaller batch"),
    ],
)
def test_every_state_says_where_the_run_stands(state, message, line):
    folder = make_run(state, message=message)
    with worked_on(folder):
        at = open_page("train", run=folder.id)
    assert state.capitalize() in texts(at)
    assert line in texts(at)
    assert len(at.get("bidi_component")) == 5  # four curves and the strip
    if state == "preparing":
        assert at.progress[0].value == 34


def test_one_slow_step_does_not_change_the_speed_that_the_status_line_says():
    folder = make_run("running", epochs=10)  # whose reports say 4000
    row = {"type": "progress", "epoch": 9.5, "step": 95, "seconds": 19.0, "loss": 1.0, "accuracy": 0.5}
    row |= {"learning_rate": 0.004, "grad_norm": 1.0, "weight_norm": 9.0, "images_per_second": 3.0}
    folder.append(make_row(row))
    folder.set_status(images_per_second=3.0)
    with worked_on(folder):
        assert "4,000 images/s" in texts(open_page("train", run=folder.id))


@pytest.mark.parametrize(
    ("epoch", "words"), [(0.0284, "0"), (0.1, "0.1"), (1.96, "1.9"), (2.0, "2"), (12.3, "12.3"), (123.04, "123")]
)
def test_an_epoch_has_at_most_one_decimal_and_is_never_ahead(epoch, words):
    assert epochs_words(epoch) == words


def test_a_live_knob_acts_on_the_run_and_others_ask_for_a_new_one():
    folder = make_run("running")
    with worked_on(folder):
        at = open_page("train", run=folder.id)
        at.get_by_key("knob_dropout").set_value(0.5)
        run(at)
        assert commands(folder) == ['{"set": {"dropout": 0.5}}']
        assert "start_anew" not in [button.key for button in at.button]
        at.get_by_key("knob_kernel_size").set_value(5)
        run(at)
        assert commands(folder) == ['{"set": {"dropout": 0.5}}']
        assert "Kernel size 3 → **5**" in texts(at)
        click(at, "start_anew")
    assert commands(folder)[-1] == '{"do": "stop"}'
    assert runs.open_run(at.query_params["run"]).config.model.kernel_size == 5


def test_a_second_run_can_be_queued_beside_the_first():
    folder = make_run("running")
    with worked_on(folder):
        at = open_page("train", run=folder.id, kernel_size="5", epochs="3", validation_share="0.2")
        click(at, "start_beside")
    assert commands(folder) == []
    assert at.query_params["run"] != folder.id


def test_reset_ends_the_run_and_clears_the_curves():
    folder = make_run("running")
    with worked_on(folder):
        at = open_page("train", run=folder.id)
        click(at, "reset")
        assert commands(folder) == ['{"do": "stop"}']
        assert "run" not in at.query_params
        assert "No run yet" in texts(run(at))


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_during_a_run_is_for_a_new_run(name):
    folder = make_run("running")
    with worked_on(folder):
        at = click(open_page("train", run=folder.id), f"preset_{name}")
        assert form_config(at) == PRESETS[name].apply(folder.config)
        for _ in range(2):
            assert "for a new run" in texts(run(at))
        assert commands(folder) == []


def test_a_live_knob_is_sent_when_it_is_moved_and_not_when_the_run_has_its_value():
    folder = make_run("running")
    with worked_on(folder):
        at = open_page("train", run=folder.id)
        for value in (0.5, 0.0, 0.0, 0.5):
            at.get_by_key("knob_dropout").set_value(value)
            run(at)
        assert commands(folder) == [f'{{"set": {{"dropout": {value}}}}}' for value in (0.5, 0.0, 0.5)]
        assert "start_anew" not in [button.key for button in at.button]


def test_a_run_is_shown_with_the_values_it_was_given_on_the_way():
    folder = make_run("running")
    folder.append(Change(0.5, 5, "dropout", 0.0, 0.25))
    with worked_on(folder):
        at = open_page("train", run=folder.id)
        assert form_config(at).model.dropout == 0.25
        assert "start_anew" not in [button.key for button in at.button]


def test_what_is_moved_before_the_browser_has_heard_of_the_last_address_stays():
    at = open_page("train", epochs="7")
    for knob, value in (("kernel_size", 5), ("dropout", 0.5), ("shift", 2)):
        at.get_by_key(f"knob_{knob}").set_value(value)
        at.query_params = {"epochs": ["7"]}  # as it was sent along
        run(at)
    assert form_config(at) == from_flat({"epochs": 7, "kernel_size": 5, "dropout": 0.5, "shift": 2})
    at.query_params = {"epochs": ["7"], "kernel_size": ["5"]}  # nothing was moved: it is a step back
    assert form_config(run(at)) == from_flat({"epochs": 7, "kernel_size": 5})


def test_coming_back_without_parameters_finds_the_run_at_work():
    make_run("finished")
    folder = make_run("paused", epochs=5)
    at = open_page("train")
    assert at.query_params["run"] == folder.id
    assert form_config(at) == folder.config


def test_a_link_with_knobs_shows_no_run():
    make_run("paused")
    assert "run" not in open_page("train", epochs="4").query_params


def test_a_link_with_a_run_and_no_knobs_has_the_runs_own():
    folder = make_run("finished", epochs=4, optimizer="sgd")
    at = open_page("train", run=folder.id)
    assert form_config(at) == folder.config
    click(at, "preset_default")
    again = open_page("train", **{name: at.query_params[name] for name in at.query_params})
    assert form_config(again) == RunConfig()


def test_a_run_that_is_deleted_meanwhile_is_one_line():
    folder = make_run("finished")
    at = open_page("train", run=folder.id)
    folder.delete()
    assert errors(run(at)) == [f"there is no run {folder.id!r}; it may have been deleted"]
    assert "No run yet" in texts(run(at))


def test_the_curve_options_change_what_is_drawn():
    folder = make_run("finished")
    at = open_page("train", run=folder.id)
    at.toggle(key="log").set_value(True)
    at.slider(key="smoothing").set_value(0.0)
    run(at)
    data = at.get("bidi_component")[0].proto.json
    assert '"type":"log"' in data.replace(" ", "")
    assert "train, raw" not in data


def test_the_pages_never_import_torch(home):
    """A server with torch would be 500 MB larger and three seconds later."""
    make_run("finished")
    script = """
import sys
from streamlit.testing.v1 import AppTest
at = AppTest.from_file("pages/frame.py", default_timeout=60).run()
at.switch_page("train.py").run()
assert not at.exception, at.exception
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# Diagnosis


def test_what_is_wrong_is_said_below_the_curves_with_its_number_and_a_knob():
    made = make_run("diverged", message="step 7: the loss is no longer a finite number; a smaller one may help")
    at = open_page("train", run=made.id)
    assert "It has diverged" in texts(at)
    assert "Step 7: the loss is no longer a finite number. The learning rate was set to 0.004." in texts(at)
    assert "**Learning rate** — Take smaller steps" in texts(at)
    assert "Nothing looks wrong" not in texts(at)


def test_cards_stand_below_all_that_they_could_push():
    said = texts(open_page("train", run=make_run("diverged", message="step 7: the loss is inf").id))
    assert said.index("**Curves**") < said.index("**Test images**") < said.index("**Network**")
    assert said.index("**Network**") < said.index("**Diagnosis**") < said.index("It has diverged")


def test_before_the_first_epoch_it_is_too_early_to_tell():
    assert "Too early to tell." in texts(open_page("train", run=make_run("queued").id))


def test_a_sound_run_is_said_to_be_sound():
    at = open_page("train", run=make_run().id)
    assert (
        "Nothing looks wrong in its curves and its confusion matrix. Too short to tell: overfitting, oscillation."
        in texts(at)
    )
    assert "Its units were not examined." in texts(at)


def test_the_gap_of_an_overfitting_run_is_shaded():
    made, sound = make_run(epochs=1), make_run()
    for epoch, val in enumerate((1.5, 1.2, 1.3, 1.5, 1.7, 1.9), 2):
        row = {"type": "epoch", "epoch": epoch, "step": 10 * epoch, "seconds": 2.0 * epoch}
        row["train"] = {"loss": 2.0 - 0.25 * epoch, "accuracy": 0.1 * epoch}
        row["val"] = row["test"] = {"loss": val, "accuracy": 0.3}
        made.append(make_row(row))
    at = open_page("train", run=made.id)
    assert "The validation loss was lowest after epoch 3, 1.2, and is 1.7 now" in texts(at)
    for chart in ("loss", "accuracy"):
        assert '"overfitting"' in str(at.get_by_key(f"chart_{chart}").proto).replace("\\", "")
    at = open_page("train", run=sound.id)
    assert '"overfitting"' not in str(at.get_by_key("chart_loss").proto).replace("\\", "")


@pytest.fixture
def underfits(monkeypatch):
    """Runs that learned little, so that dead units may be why."""
    card = Finding("underfitting", "Underfitting", "It learned little.", "channels", "Take more.", "info")
    monkeypatch.setattr(diagnosis, "find_findings", lambda view: [card])


def test_one_epoch_is_too_early_to_tell():
    busy = make_run("paused", epochs=2)
    with busy.hold():
        at = open_page("train", run=busy.id)
    assert "Too early to tell." in texts(at) and "Nothing looks wrong" not in texts(at)


@pytest.mark.usefixtures("underfits")
def test_units_are_looked_at_when_a_person_asks(monkeypatch):
    asked = []
    monkeypatch.setattr(diagnosis, "_units", lambda key, folder, epoch: asked.append((folder.id, epoch)) or ([], []))
    busy = make_run("paused")
    with busy.hold():
        at = open_page("train", run=busy.id)
        assert not asked
        click(at, "train_diagnosis_examine")
        assert set(asked) == {(busy.id, 2)}
        assert not [button for button in at.button if button.key == "train_diagnosis_examine"]
        busy.save_epoch(3, {}, np.zeros((1, 10), np.float16))  # an epoch later, it is asked for anew
        assert [button for button in run(at).button if button.key == "train_diagnosis_examine"]


@pytest.mark.usefixtures("underfits")
def test_units_that_cannot_be_looked_at_are_one_line():
    made = make_run()  # its weights do not fit its knobs
    at = open_page("train", run=made.id)
    if any(button.key == "train_diagnosis_examine" for button in at.button):  # no torch at hand yet
        click(at, "train_diagnosis_examine")
    assert "Dead units cannot be looked for: The weights of epoch 0 do not fit" in texts(at)
    assert not errors(at)
