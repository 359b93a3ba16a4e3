"""The Runs page without a browser: every control, on runs of every state."""

import io
import time
import zipfile

import pytest
from rows_support import make_row
from ui_support import app_home, click, commands, errors, make_run, open_page, run, texts, unpacked, worked_on

from playground import runs
from playground.config import ModelConfig, RunConfig, from_flat
from playground.exports import ExportError, File, export_run
from playground.jobs import queue
from playground.runs import RunFolder, demo_run, export_zip
from playground.runs.folder import DEMO
from playground.ui.pages.runs import page
from playground.ui.pages.runs import table as shelf

pytestmark = pytest.mark.usefixtures("app_home")
__all__ = ["app_home", "unpacked"]


@pytest.fixture(autouse=True)
def no_demo(monkeypatch, tmp_path):
    """The tests say which runs there are."""
    monkeypatch.setattr("playground.runs.registry.DEMO", tmp_path / "no-demo")


def named(name: str, state: str = "finished", **knobs) -> RunFolder:
    made = make_run(state, **knobs)
    made.rename(name)
    return made


def table(at):
    return at.dataframe[0].value


def names(at) -> list[str]:
    return list(table(at)["Name"]) if at.dataframe else []


def choose(at, folder: RunFolder):
    """Select a run, as a click on its row does."""
    at.session_state["shelf_run"] = folder.id
    return run(at)


def notices(at) -> str:
    return " ".join(toast.value for toast in at.toast)


# The table


def test_the_shelf_says_what_each_run_is(monkeypatch):
    named("older")
    newer = named("newer", optimizer="sgd", batch_size=128, epochs=4)
    at = open_page("runs")
    assert sorted(names(at)) == ["newer", "older"]
    row = table(at).set_index("Name").loc["newer"]
    assert row["State"] == ["Finished"]
    assert (row["Metric"], row["Validation"]) == ("accuracy", pytest.approx(90))
    assert row["Test"] == pytest.approx(90)
    assert row["Epochs"] == "4 / 4"
    assert row["Time"].total_seconds() == 8
    assert row["Parameters"] == 156_074
    assert set(row["Knobs"]) >= {"optimizer sgd", "batch size 128", "epochs 4"}
    assert abs(row["Made"].timestamp() - newer.about.created) < 1
    assert "2 runs" in texts(at)
    assert at.dataframe[0].proto.alt == "2 runs with their state, accuracy, time and knobs"


def test_knobs_in_words():
    config = from_flat({"channels": "8-16", "flip": False, "learning_rate": 0.01, "activation": "leaky_relu"})
    assert shelf.knob_words(config) == (
        "no flip",
        "channels 8-16",
        "activation leaky_relu",
        "learning rate 0.01",
    )
    assert shelf.knob_words(RunConfig()) == ()


def test_an_empty_shelf_says_so_and_links_to_train():
    at = open_page("runs")
    assert "There is no run yet" in at.info[0].value
    assert at.page_link[0].value == "Train a network"
    assert all(at.button(key=f"act_{name}").disabled for name in ("open", "predict", "duplicate", "resume"))


@pytest.mark.parametrize("state", ["preparing", "running", "paused", "finished", "interrupted", "diverged", "failed"])
def test_each_state(state):
    made = make_run(state, message="a line about it")
    with worked_on(made):
        at = choose(open_page("runs"), made)
        assert table(at)["State"][0] == [state.capitalize()]
        assert "a line about it" in texts(at)


def test_a_dead_worker_is_seen():
    make_run("running")
    assert table(open_page("runs"))["State"][0] == ["Died"]


def test_a_run_with_a_damaged_config_is_a_row_like_others():
    broken, _ = named("broken"), named("sound")
    at = open_page("runs")
    (broken.path / "config.json").write_text('{"model": {"kernel_size": 2000}}')
    shelf._known().clear()
    run(at)
    assert sorted(names(at)) == ["broken", "sound"]
    assert list(table(at).set_index("Name").loc["broken"]["State"]) == ["Damaged"]
    choose(at, broken)
    assert any("kernel_size" in caption.value for caption in at.caption)
    assert "kernel_size" in errors(click(at, "act_duplicate"))[0]


# Search, filter, sort, pages


def test_search_looks_at_names_notes_and_knobs():
    first = named("alpha", optimizer="sgd")
    named("beta")
    first.annotate("The one for the talk")
    at = open_page("runs")
    for text, found in (("alp", ["alpha"]), ("TALK", ["alpha"]), ("optimizer sgd", ["alpha"]), ("zzz", [])):
        at.text_input(key="shelf_text").set_value(text)
        assert names(run(at)) == found
    assert at.info[0].value == "No run passes these filters."
    at.text_input(key="shelf_text").set_value("bet")
    assert "1 of 2 runs" in texts(run(at))


def test_filter_by_state():
    named("done")
    named("broke", "failed")
    named("waits", "queued")
    at = open_page("runs")
    for group, found in (("Finished", ["done"]), ("Ended early", ["broke"]), ("At work", ["waits"])):
        at.get_by_key("shelf_group").set_value(group)
        assert names(run(at)) == found


def test_sort():
    short = named("zoe", epochs=1)
    named("Ada", epochs=4)
    at = open_page("runs")
    for sort, found in (
        ("Best validation", ["Ada", "zoe"]),
        ("Name", ["Ada", "zoe"]),
        ("Longest", ["Ada", "zoe"]),
    ):
        at.selectbox(key="shelf_sort").select(sort)
        assert names(run(at)) == found
    short.set_status(parameters=10**9)
    at.selectbox(key="shelf_sort").select("Most parameters")
    assert names(run(at)) == ["zoe", "Ada"]


def test_pages():
    for i in range(23):
        runs.create_run(RunConfig(), f"run {i}")
    at = open_page("runs")
    assert len(names(at)) == 20
    at.get_by_key("shelf_page").set_value(2)
    assert len(names(run(at))) == 3


def test_the_demo_is_last_and_stays(monkeypatch, tmp_path):
    demo = make_run()
    target = tmp_path / "demo"
    demo.path.rename(target)
    for where in ("playground.runs.registry.DEMO", "playground.runs.folder.DEMO"):
        monkeypatch.setattr(where, target)
    named("mine")
    at = choose(open_page("runs"), RunFolder(target))
    assert names(at)[0] == "mine"
    assert not at.button(key="act_duplicate").disabled
    assert at.button(key="act_resume").disabled
    assert not [button for button in at.button if button.key in ("act_delete", "save_demo") and not button.disabled]


# What is done to a run


def test_a_click_selects_and_the_choice_follows_its_row():
    first = named("first")
    at = open_page("runs")
    at.session_state["shelf"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    at.session_state["shelf_run"] = first.id
    run(at)
    assert at.session_state["shelf"]["selection"]["rows"] == [0]
    time.sleep(1.1)  # ids tell the second
    named("second")
    run(at)
    assert names(at) == ["second", "first"]
    assert at.session_state["shelf"]["selection"]["rows"] == [1]
    assert "**first**" in texts(at)


def test_the_list_for_phones_ticks_the_same_runs_as_the_table():
    first, second = named("**first**"), named("second")
    at = open_page("runs")
    pills = at.button_group(key="shelf_short")
    score = "finished · test accuracy 70.0 %"
    assert set(pills.options) == {f"second · {score}", rf"\*\*first\*\* · {score}"}
    pills.set_value([second.id])
    run(at)
    assert f"**{second.name}**" in texts(at)
    assert [names(at)[row] for row in at.session_state["shelf"]["selection"]["rows"]] == ["second"]
    at.button_group(key="shelf_short").set_value([second.id, first.id])
    run(at)
    assert "2 runs ticked" in texts(at)


@pytest.mark.parametrize("way", ["table", "list"])
def test_actions_act_on_the_run_that_was_ticked_last(way, monkeypatch):
    made = {name: named(name) for name in ("a", "b", "c")}
    at = open_page("runs")
    at.selectbox(key="shelf_sort").select("Name")
    assert names(run(at)) == ["a", "b", "c"]

    def tick_only(ticked: str, last: str) -> None:
        ids = [made[name].id for name in ticked]
        if way == "list":
            at.button_group(key="shelf_short").set_value(ids)
            run(at)
        else:
            with monkeypatch.context() as patch:
                at.session_state["shelf"] = {"selection": {"rows": ["abc".index(name) for name in ticked]}}
                patch.setattr(page.st, "session_state", at.session_state)
                page.select_rows()
            run(at)
        many = f"{len(ticked)} runs ticked, the last: " if len(ticked) > 1 else ""
        assert f"{many}**{last}**" in texts(at)

    tick_only("b", "b")
    tick_only("bc", "c")
    tick_only("abc", "a")  # whichever stands first
    tick_only("ab", "a")  # stays while another is taken away
    tick_only("b", "b")
    tick_only("bac", "c")
    click(at, "act_open")
    assert at.query_params["run"] == made["c"].id


def test_rename_and_note():
    made = named("before")
    at = choose(open_page("runs"), made)
    at.text_input(key=f"name_{made.id}").set_value("  after  all ")
    at.text_area(key=f"note_{made.id}").set_value("why it was made")
    click(at, f"save_{made.id}")
    assert made.name == "after all"
    assert made.about.note == "why it was made"
    assert names(at) == ["after all"]
    assert notices(at) == "Saved"


def tick(at, *folders: RunFolder):
    """Tick these runs, the last of them last."""
    at.session_state["shelf_ticked"], at.session_state["shelf_run"] = [each.id for each in folders], folders[-1].id
    return run(at)


def has_button(at, key: str) -> bool:
    return any(button.key == key for button in at.button)


def files_of(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}


def test_delete_and_undo():
    made, kept = named("doomed"), named("kept")
    before = files_of(made)
    at = click(choose(open_page("runs"), made), "act_delete")
    assert not made.path.exists()
    assert names(at) == ["kept"]
    assert "Deleted **doomed**; the trash keeps it for 7 days." in texts(at)
    assert at.session_state["shelf_run"] is None
    assert kept.path.exists()
    click(at, "shelf_undo")
    assert sorted(names(at)) == ["doomed", "kept"]
    assert files_of(made) == before
    assert at.session_state["shelf_run"] == made.id
    assert not has_button(at, "shelf_undo") and not has_button(at, "shelf_empty")


def test_all_ticked_runs_are_deleted_and_come_back():
    many, kept = [named(f"run {i}") for i in range(3)], named("kept")
    at = click(tick(open_page("runs"), *many), "act_delete")
    assert names(at) == ["kept"]
    assert "Deleted 3 runs; the trash keeps them for 7 days." in texts(at)
    click(at, "shelf_undo")
    assert sorted(names(at)) == ["kept", "run 0", "run 1", "run 2"]
    assert set(at.session_state["shelf_ticked"]) == {each.id for each in many} and kept.path.exists()


def test_what_cannot_be_deleted_stays_and_is_named():
    busy, idle = named("busy", "running"), named("idle")
    with busy.hold():
        at = click(tick(open_page("runs"), busy, idle), "act_delete")
        assert names(at) == ["busy"]
        assert errors(at) == ["busy is running; stop it first"]
        click(at, "shelf_undo")
        assert sorted(names(at)) == ["busy", "idle"] and not errors(at)


def test_the_trash_gives_back_and_is_emptied():
    first, second = named("first"), named("second")
    first.delete()
    second.delete()
    at = open_page("runs")
    click(at, f"restore_{first.id}")
    assert names(at) == ["first"]
    click(at, "shelf_empty")
    assert notices(at) == "Deleted 1 run for good"
    assert not has_button(at, "shelf_empty")
    assert [path.name for path in runs.runs_folder().iterdir()] == [first.id]


def test_a_run_at_work_has_to_be_stopped_before_it_is_deleted():
    made = named("busy", "running")
    with made.hold():
        at = choose(open_page("runs"), made)
        assert at.button(key="act_delete").disabled
        click(at, "act_stop")
        assert '"do": "stop"' in commands(made)[0]
        assert notices(at) == "Stopping busy"
    assert made.path.exists()


def test_a_worker_that_begins_between_look_and_click_is_safe():
    made = named("quick", "interrupted")
    at = choose(open_page("runs"), made)
    with made.hold():
        click(at, "act_delete")
    assert "stop it first" in errors(at)[0]
    assert made.path.exists()


def test_resume_what_can_be_resumed():
    made = named("half way", "interrupted")
    at = click(choose(open_page("runs"), made), "act_resume")
    assert made.status().state == "queued"
    assert queue.read_number(made.id) is not None
    assert notices(at) == "half way goes on"
    finished = named("over")
    assert choose(at, finished).button(key="act_resume").disabled


def test_open_goes_to_train_with_the_run():
    made = named("to open")
    at = click(choose(open_page("runs"), made), "act_open")
    assert at.query_params["run"] == made.id
    assert at.session_state["run"] == made.id


def test_predict_goes_to_predict_with_the_run():
    made = named("to ask")
    at = click(choose(open_page("runs"), made), "act_predict")
    assert at.query_params["run"] == made.id
    assert at.selectbox(key="predict_run_widget").value == made.id


def test_duplicate_fills_the_form_with_its_knobs():
    made = runs.create_run(RunConfig(model=ModelConfig(channels=(8, 24), kernel_size=5)))
    at = click(choose(open_page("runs"), made), "act_duplicate")
    assert {key: at.query_params[key] for key in ("channels", "kernel_size")} == {
        "channels": "8-24",
        "kernel_size": "5",
    }
    assert at.session_state["form"] == made.config
    assert "run" not in at.query_params


def test_duplicate_of_a_run_with_default_knobs_resets_the_form():
    made = runs.create_run(RunConfig())
    at = open_page("train", kernel_size="7")
    at.switch_page("runs.py")
    run(at)
    click(choose(at, made), "act_duplicate")
    assert at.session_state["form"] == RunConfig()


def test_download_and_import():
    made = named("to go")
    at = choose(open_page("runs"), made)
    assert not at.get("download_button")[0].proto.disabled
    content = export_zip(made)
    at.file_uploader(key="shelf_upload_0").upload("to-go.zip", content)
    run(at)
    assert len(runs.list_runs()) == 2
    assert notices(at) == "Imported to-go.zip"
    imported = runs.open_run(at.session_state["shelf_run"])
    assert imported != made
    assert imported.config == made.config
    assert not at.file_uploader(key="shelf_upload_1").value  # the field is empty again


def test_weights_go_out_and_come_in(monkeypatch):
    monkeypatch.setattr("playground.runs.registry.DEMO", DEMO)
    file = export_run(demo_run(), 24, "safetensors")
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        parts = [(name, archive.read(name)) for name in ("model.safetensors", "config.json")]
    at = open_page("runs")
    field = at.file_uploader(key="shelf_upload_0")
    for part in parts:
        field.upload(*part)
    run(at)
    assert not errors(at)
    assert notices(at) == "Imported model.safetensors and config.json"
    imported = runs.open_run(at.session_state["shelf_run"])
    assert imported.name == "imported Demo: CIFAR-10"
    assert "its weights alone were imported" in texts(at)
    at.file_uploader(key="shelf_upload_1").upload(parts[0][0], parts[0][1])
    assert "weights alone; choose their config.json together" in errors(run(at))[0]
    at.file_uploader(key="shelf_upload_2").upload("model.pt", b"\x80\x02}q\x00.")
    assert "model.pt is a pickle, which can run any program" in errors(run(at))[0]


def open_export(at, made: RunFolder):
    """Open the popover, as a click on it does."""
    choose(at, made)
    at.session_state[f"export_{made.id}"] = True
    return run(at)


def export_button(at):
    return next((b.proto for b in at.get("download_button") if b.proto.label.startswith("Download ")), None)


def test_all_ticked_runs_are_exported_into_one_zip(monkeypatch):
    one, two, waits = named("one"), named("one"), named("waits", "queued")
    made = lambda run, epoch, name: File(f"{run.name}.{name}", f"{run.id} {epoch}".encode(), "z")  # noqa: E731
    monkeypatch.setattr("playground.ui.pages.runs.export.export_run", made)
    at = tick(open_page("runs"), one, two, waits)
    at.session_state[f"export_{one.id}_{two.id}"] = True
    assert export_button(run(at))
    file = at.session_state["export_shown"][1]
    assert file.name == "2-runs-script.zip" and not file.note
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert {archive.read(name) for name in archive.namelist()} == {f"{run.id} 3".encode() for run in (one, two)}


def test_what_cannot_be_exported_is_left_out_and_named(monkeypatch):
    good, bad = named("good"), named("bad")

    def export(run, epoch, name):
        if run == bad:
            raise ExportError("its data set is not here")
        return File("good.py", b"1", "z")

    monkeypatch.setattr("playground.ui.pages.runs.export.export_run", export)
    at = tick(open_page("runs"), good, bad)
    at.session_state[f"export_{good.id}_{bad.id}"] = True
    assert "Left out: bad: its data set is not here" in texts(run(at))
    assert export_button(at)


def test_every_format_is_offered_and_made_only_when_it_is_asked_for(monkeypatch):
    made = named("to export")
    asked = []
    made_file = File("x.y", b"12", "z", "Note.")
    monkeypatch.setattr("playground.ui.pages.runs.export.export_run", lambda *what: asked.append(what) or made_file)
    at = choose(open_page("runs"), made)
    assert export_button(at) is None
    assert not asked
    open_export(at, made)
    assert asked == [(made, 3, "script")]
    assert export_button(at).label == "Download 1 kB"
    assert "To read, to run and to change" in texts(at)
    assert "Note." in texts(at)
    at.selectbox(key=f"export_epoch_{made.id}").select(1)
    at.selectbox(key="export_format").select("notebook")
    run(at)
    run(at)
    assert asked[1:] == [(made, 1, "notebook")]  # once, however often the page is drawn
    at.selectbox(key="export_format").select("csv")
    run(at)
    assert asked[2:] == [(made, 3, "csv")]
    made.append(make_row({"type": "progress", "step": 99}))  # while the run goes on, the file stays what it was
    run(at)
    assert len(asked) == 3
    at.session_state[f"export_{made.id}"] = False
    run(at)
    assert export_button(at) is None
    open_export(at, made)
    assert asked[3:] == [(made, 3, "csv")]  # opened again, it has the new rows
    assert not [box for box in at.selectbox if box.label == "Epoch"]  # the table is of the whole run


def test_what_cannot_be_exported_is_one_line():
    made = named("damaged")
    made.checkpoint(3).write_bytes(b"oh")
    at = open_page("runs")
    at.session_state["export_format"] = "safetensors"
    open_export(at, made)
    assert len(errors(at)) == 1
    assert "is damaged" in errors(at)[0]
    assert export_button(at) is None
    assert names(at) == ["damaged"]


def test_a_run_without_an_epoch_has_nothing_to_export():
    made = named("waits", "queued")
    at = open_export(open_page("runs"), made)
    assert export_button(at) is None
    assert not [box for box in at.selectbox if box.key == "export_format"]


@pytest.mark.parametrize(
    ("content", "line"), [(b"no zip", "no readable zip"), (b"", "no readable zip"), ("other", "no config.json")]
)
def test_what_is_no_run_is_refused_with_one_line(content, line):
    if content == "other":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme.txt", "hello")
        content = file.getvalue()
    at = open_page("runs")
    at.file_uploader(key="shelf_upload_0").upload("run.zip", content)
    run(at)
    assert len(errors(at)) == 1
    assert line in errors(at)[0]
    assert not runs.list_runs()
    assert not errors(run(at))


def test_a_run_deleted_elsewhere_is_no_longer_chosen():
    made = named("gone")
    at = choose(open_page("runs"), made)
    made.delete()
    assert "Select a run to open" in texts(run(at))
    assert at.button(key="act_open").disabled


# Many


def test_rows_are_read_once_until_they_change():
    made = named("one")
    first = shelf.row(made)
    assert shelf.row(RunFolder(made.path)) is first
    made.rename("two")
    assert shelf.row(made).name == "two"
    made.set_status(seconds=99.0)
    assert shelf.row(made).seconds == 99.0
    waiting = named("three", "queued")
    assert shelf.row(waiting) is not shelf.row(waiting)  # its worker may die without a word


def test_the_newest_page_of_many_runs_reads_only_its_rows(monkeypatch):
    for i in range(60):
        runs.create_run(RunConfig(), f"run {i}")
    read = []
    monkeypatch.setattr(shelf, "_read", lambda folder, real=shelf._read: read.append(folder.id) or real(folder))
    open_page("runs")
    assert 20 <= len(set(read)) <= 21
