"""The page Studies: what it asks, what it shows of a study, and what can be done about one. Nobody trains."""

import json

import pytest
from jobs_support import tiny
from rows_support import make_row
from ui_support import app_home, click, errors, open_page, run, texts, unpacked  # noqa: F401 - fixtures too

from playground import runs, studies
from playground.config import RunConfig, flatten
from playground.jobs import client, queue
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder
from playground.studies import Study, StudyFolder, lifecycle, parse_axis
from playground.ui.pages.studies import findings

pytestmark = pytest.mark.usefixtures("app_home")

TWO_KNOBS = (parse_axis("kernel_size=3,5"), parse_axis("learning_rate=1e-3,1e-2"))
FIELD = "study_new_"


@pytest.fixture(autouse=True)
def slots(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_SLOTS", "2")
    monkeypatch.setattr(client, "list_devices", lambda: {"cpu": "CPU"})


def finish(member: RunFolder, accuracy: float, state: str = "finished", message: str = "") -> None:
    """Write what a worker would have."""
    for epoch in range(3):
        scores = {"loss": 2.0 - epoch / 2, "accuracy": accuracy * epoch / 2}
        row = {"type": "epoch", "epoch": epoch, "step": epoch * 10, "seconds": epoch * 1.0, "train": None}
        member.append(make_row(row | {"val": scores, "test": scores}))
    member.set_status(state=state, epoch=2, epochs=2, seconds=2.0, best_score=accuracy, message=message)
    queue.remove_from_queue(member.id)


def sweep(accuracies=(0.3, 0.5, 0.7, 0.4), **more) -> StudyFolder:
    folder = lifecycle.start_study(Study("sweep", tiny(threads=0), axes=TWO_KNOBS, name="two knobs", **more))
    for member, accuracy in zip(folder.members(), accuracies, strict=False):
        finish(member.run, accuracy)
    return folder


# A new study


def test_the_first_visit_is_the_form_of_a_sweep():
    at = open_page("studies")
    assert not errors(at)
    assert at.segmented_control(key=f"{FIELD}kind").value == "sweep"
    assert "**4 runs**, 2 at a time, in about" in texts(at)
    assert not at.button(key="study_start").disabled


def test_a_sweep_is_started_and_shown():
    at = open_page("studies")
    at.multiselect(key=f"{FIELD}knobs").set_value(["learning_rate", "kernel_size"])
    run(at)
    at.text_input(key=f"{FIELD}kernel_size_list").set_value("3, 5")
    at.number_input(key=f"{FIELD}learning_rate_points").set_value(2)
    run(at)
    assert "**4 runs**" in texts(at)
    click(at, "study_start")
    (folder,) = studies.list_studies()
    assert folder.name == "Sweep of learning rate, kernel size"
    values = [tuple(member.values.values()) for member in folder.members()]
    assert values == [("0.0001", "3"), ("0.0001", "5"), ("0.1", "3"), ("0.1", "5")]
    assert at.query_params["study"] == [folder.id] or at.query_params["study"] == folder.id
    assert ":green-badge[:material/play_circle: Running]" in texts(at)
    assert len(queue.list_waiting()) == 4


@pytest.mark.parametrize(
    ("kind", "key", "value", "says", "count"),
    [
        ("folds", "folds", 3, "**3 runs**", 3),
        ("seeds", "seeds", 4, "**4 runs**", 4),
        ("range_test", "rate", 2.0, "**1 run**", 1),
    ],
)
def test_the_other_kinds_are_started(kind, key, value, says, count):
    at = open_page("studies")
    at.segmented_control(key=f"{FIELD}kind").set_value(kind)
    run(at)
    at.number_input(key=f"{FIELD}{key}").set_value(value)
    run(at)
    assert says in texts(at)
    at.text_input(key=f"{FIELD}name").set_value("mine")
    click(at, "study_start")
    (folder,) = studies.list_studies()
    assert (folder.study.kind, folder.name, len(folder.members())) == (kind, "mine", count)
    if kind == "range_test":
        config = folder.members()[0].run.config.training
        assert (config.learning_rate, config.schedule, config.epochs) == (2.0, "range_test", 2)


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("learning_rate_From", "x", "is no range"),
        ("learning_rate_From", "1", "a range goes from a number to a larger one"),
        ("learning_rate_To", "50", "Learning rate (learning_rate) cannot be 50.0"),
        ("learning_rate_From", "", "is no range"),
    ],
)
def test_what_cannot_be_is_one_line_and_cannot_be_started(field, text, says):
    at = open_page("studies")
    at.text_input(key=f"{FIELD}{field}").set_value(text)
    run(at)
    assert says in errors(at)[0]
    assert at.button(key="study_start").disabled
    assert at.text_input(key=f"{FIELD}learning_rate_To"), "the form is still there"


def test_no_knob_and_too_many_runs_are_one_line():
    at = open_page("studies")
    at.multiselect(key=f"{FIELD}knobs").set_value([])
    run(at)
    assert errors(at) == ["a sweep varies at least one knob; choose one and its values"]
    at.multiselect(key=f"{FIELD}knobs").set_value(["learning_rate", "dropout", "weight_decay", "batch_size"])
    run(at)
    at.number_input(key=f"{FIELD}learning_rate_points").set_value(50)
    run(at)
    assert "combinations; up to 200 runs make a study" in errors(at)[0]


def test_each_kind_of_knob_has_its_fields():
    at = open_page("studies")
    at.multiselect(key=f"{FIELD}knobs").set_value(["flip", "optimizer", "channels", "dropout", "stride"])
    run(at)
    assert not errors(at)
    assert "**Random flip**: off and on" in texts(at)
    assert at.multiselect(key=f"{FIELD}optimizer").value == ["gradient_descent", "sgd", "momentum"]
    assert at.text_input(key=f"{FIELD}channels_list").value == "16-32-64, 32-64-128"
    assert at.text_input(key=f"{FIELD}dropout_To").value == "0.5"
    assert (at.text_input(key=f"{FIELD}stride_From").value, at.text_input(key=f"{FIELD}stride_To").value) == ("1", "4")


def test_combinations_that_make_no_network_are_told_before_the_start():
    at = open_page("studies")
    at.multiselect(key=f"{FIELD}knobs").set_value(["channels"])
    run(at)
    at.text_input(key=f"{FIELD}channels_list").set_value("4, 4-4-4-4-4-4")
    run(at)
    assert "**1 run**" in texts(at)
    assert "1 combinations make no network and are left out" in at.expander[0].label
    at.text_input(key=f"{FIELD}channels_list").set_value("4-4-4-4-4-4")
    run(at)
    assert "take fewer blocks" in errors(at)[0] and at.button(key="study_start").disabled


def test_a_run_s_knobs_can_be_the_base():
    base = runs.create_run(tiny(kernel_size=7, epochs=3), "the base")
    at = open_page("studies")
    at.segmented_control(key=f"{FIELD}source").set_value("A run's")
    run(at)
    assert "Kernel size 7" in texts(at)
    assert base.name in at.selectbox(key=f"{FIELD}run_widget").options[0]
    click(at, "study_start")
    assert {m.run.config.model.kernel_size for m in studies.list_studies()[0].members()} == {7}


def test_a_sampler_that_learns_asks_for_the_number_of_runs():
    at = open_page("studies")
    at.segmented_control(key=f"{FIELD}sampler").set_value("tpe")
    run(at)
    assert at.toggle(key=f"{FIELD}prune").value
    at.number_input(key=f"{FIELD}count").set_value(12)
    run(at)
    assert "**12 runs**, 2 at a time" in texts(at) and "if none is stopped early" in texts(at)


# A study


def test_a_finished_sweep_shows_its_best_and_takes_it_to_the_form():
    folder = sweep()
    at = open_page("studies", study=folder.id)
    assert "Best: **70.0 %** with kernel size 5, learning rate 0.001" in texts(at)
    assert "Finished" in texts(at)
    shown = at.dataframe[0].value
    assert shown["Validation accuracy"].tolist() == [70, 50, 40, 30]
    assert shown["Kernel size"].tolist() == [5, 3, 5, 3]
    click(at, "study_use_best")
    config = at.session_state["form"]
    expected = flatten(folder.study.base) | {"kernel_size": 5, "learning_rate": 0.001}
    assert flatten(config) == expected, "with the base's threads, not a member's"
    assert at.session_state["run"] == ""
    assert "kernel_size" in at.query_params


@pytest.mark.parametrize(("kind", "mean"), [("seeds", True), ("sweep", False)])
def test_only_repeats_have_a_mean_curve_and_the_figure_names_its_split(kind, mean):
    axes = (parse_axis("learning_rate=1e-3,1e-1"),) if kind == "sweep" else ()
    folder = lifecycle.start_study(Study(kind, tiny(), 2, axes=axes))
    for member in folder.members():
        finish(member.run, 0.5)
    chart = json.loads(open_page("studies", study=folder.id).get_by_key("study_curves").proto.json)
    names = [trace["name"] for trace in chart["figure"]["data"]]
    assert ("mean" in names) == ("and their mean" in chart["alt"]) == mean
    assert len(names) == 2 + mean
    assert chart["figure"]["layout"]["title"]["text"] == "Accuracy on the validation images"
    assert "What counts is accuracy on the validation images" in texts(open_page("studies", study=folder.id)) or mean


def test_a_running_sweep_says_how_far_it_is():
    folder = sweep((0.3,))
    at = open_page("studies", study=folder.id)
    assert at.get("progress")[0].proto.text == "1 of 4 runs, about 3.0 s left"
    assert at.get("progress")[0].proto.value == 25
    click(at, "study_stop")
    assert folder.marked("stopped")
    assert [member.run.status().state for member in folder.members()][1:] == ["stopped"] * 3
    assert "Stopped" in texts(at)
    click(at, "study_resume")
    assert [member.run.status().state for member in folder.members()][1:] == ["queued"] * 3


def test_pruned_runs_are_called_so():
    folder = sweep((0.3, 0.5, 0.6))
    finish(folder.members()[3].run, 0.1, "stopped", "pruned: behind the median after epoch 1")
    at = open_page("studies", study=folder.id)
    assert at.dataframe[0].value["State"].tolist() == ["Finished"] * 3 + ["Pruned"]
    assert "Pruned runs stand at the accuracy at which they were stopped." in texts(at)


def test_a_cross_validation_shows_mean_deviation_and_the_matrix():
    folder = lifecycle.start_study(Study("folds", tiny(), 2, name="two folds"))
    for member in folder.members():
        run_worker(member.run, Slot("cpu", 1))
    at = open_page("studies", study=folder.id)
    assert [metric.label for metric in at.metric] == ["Accuracy on the fold held back", "Accuracy on the test images"]
    assert "±" in at.metric[0].value
    assert "Each image judged by the run that never saw it, 2 of 2 folds" in texts(at)
    (folder.members()[0].run.path / "predictions" / "epoch-0002.safetensors").unlink()
    findings._out_of_fold.clear()
    assert "has no predictions/epoch-0002.safetensors" in errors(run(at))[0]
    assert at.metric, "the rest stays"


def test_seeds_say_how_large_luck_is():
    folder = lifecycle.start_study(Study("seeds", tiny(), 3))
    for member, accuracy in zip(folder.members(), (0.5, 0.52, 0.54), strict=True):
        finish(member.run, accuracy)
    at = open_page("studies", study=folder.id)
    assert at.metric[0].value == "52.0 ± 2.0 %"
    assert "lie up to 5.5 points apart" in texts(at)  # 1.96 · √2 · 2


def test_a_range_test_takes_its_rate_to_the_form():
    config = tiny(epochs=10, learning_rate=10, images_per_class=20)
    folder = lifecycle.start_study(Study("range_test", config))
    at = open_page("studies", study=folder.id)
    assert "The curve appears with the first batches." in texts(at)
    run_worker(folder.members()[0].run, Slot("cpu", 1))
    at = open_page("studies", study=folder.id)
    assert "where the loss falls fastest" in texts(at)
    rate = float(at.button(key="study_use_rate").label.split()[1])
    click(at, "study_use_rate")
    taken = at.session_state["form"]
    assert taken.training.learning_rate == rate
    assert taken.training.schedule == RunConfig().training.schedule, "a range test is no schedule to train with"


def test_deleting_asks_whether_the_runs_go_too():
    kept, gone = sweep(), sweep()
    members = [[member.run for member in folder.members()] for folder in (kept, gone)]
    at = open_page("studies", study=gone.id)
    click(at, "study_delete_yes")
    assert not gone.path.exists() and not any(member.path.exists() for member in members[1])
    at = open_page("studies", study=kept.id)
    at.toggle(key=f"study_with_runs_{kept.id}").set_value(False)
    run(at)
    click(at, "study_delete_yes")
    assert not kept.path.exists() and all(member.path.exists() for member in members[0])
    assert at.segmented_control(key=f"{FIELD}kind"), "nothing is left but the form"


def test_studies_are_chosen_from_the_list_and_a_link():
    first, second = sweep(), sweep()
    at = open_page("studies")
    assert at.session_state["study"] in (first.id, second.id)
    at.selectbox(key="study_list").select(first.id)
    run(at)
    assert at.query_params["study"] in (first.id, [first.id])
    click(at, "study_new")
    assert at.segmented_control(key=f"{FIELD}kind").value == "sweep"
    assert "study" not in at.query_params


def test_a_link_to_no_study_is_one_line():
    at = open_page("studies", study="20260101-000000-abcdef")
    assert errors(at) == ["there is no study '20260101-000000-abcdef'; it may have been deleted"]
    assert at.segmented_control(key=f"{FIELD}kind")


def test_a_damaged_study_is_one_line_and_the_others_stay():
    good, bad = sweep(), sweep()
    (bad.path / "study.json").write_bytes(b"x")
    at = open_page("studies", study=bad.id)
    assert "study.json is damaged" in errors(at)[0]
    at.selectbox(key="study_list").select(good.id)
    run(at)
    assert not errors(at) and "Best:" in texts(at)


def test_a_deleted_run_leaves_the_others():
    folder = sweep()
    folder.members()[0].run.delete()
    at = open_page("studies", study=folder.id)
    assert not errors(at)
    assert "Deleted" in at.dataframe[0].value["State"].tolist()


def test_members_that_were_not_made_come_with_the_next_visit():
    folder = studies.create_study(Study("seeds", tiny(), 3))
    open_page("studies", study=folder.id)
    assert len(folder.members()) == len(queue.list_waiting()) == 3
