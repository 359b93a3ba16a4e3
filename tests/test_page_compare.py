"""The Compare page without a browser: what is chosen, what is said, and what is left out."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows_support import make_row
from ui_support import app_home, click, errors, make_run, open_page, run, texts, unpacked, worked_on

from playground import runs
from playground.comparison.mistakes import run_mcnemar_test
from playground.comparison.significance import correct_by_holm, run_welch_test
from playground.config import from_flat
from playground.data import shapes, store
from playground.data.catalog import DatasetInfo
from playground.data.store import open_arrays
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder
from playground.ui.common.pickers import format_percent
from playground.ui.pages.compare.class_overlap import better

pytestmark = pytest.mark.usefixtures("app_home")
__all__ = ["app_home", "unpacked"]

NUMBERS = iter(range(10**6))


def made(name: str, state: str = "finished", message: str = "", accuracy: float = 0.0, **knobs) -> RunFolder:
    """Make a run whose predictions are right for a share of the test images, after its last epoch."""
    folder = make_run(state, message=message, **knobs)
    folder.rename(name)
    if accuracy:
        targets = np.asarray(open_arrays("cifar10-mini").test_targets)
        random = np.random.default_rng(next(NUMBERS))
        guesses = np.where(random.random(len(targets)) < accuracy, targets, (targets + 1) % 10)
        probs = np.full((len(targets), 10), 0.01, np.float16)
        probs[np.arange(len(targets)), guesses] = 0.91
        folder.save_epoch(folder.epochs()[-1], {"output.bias": np.zeros(10, np.float16)}, probs)
    return folder


def open_compare(*folders: RunFolder, **query: str):
    return open_page("compare", runs=",".join(folder.id for folder in folders), **query)


def chosen(at) -> list[str]:
    return at.multiselect(key="compare_picker").value


def table(at) -> dict[str, dict[str, str]]:
    """The table as {row: {run: cell}}."""
    frame = at.dataframe[0].value
    return {row.iloc[0]: dict(row.iloc[1:]) for _, row in frame.iterrows()}


# What is chosen


def test_the_first_visit_shows_the_demo_and_how_to_go_on():
    at = open_page("compare")
    assert chosen(at) == ["demo"]
    assert at.query_params == {"runs": "demo"}
    assert "Choose another run to compare with" in texts(at)
    assert "Train another" in [link.value for link in at.page_link]
    assert not errors(at)


def test_the_newest_finished_run_comes_beside_the_demo():
    mine = made("mine")
    assert chosen(open_page("compare")) == [mine.id, "demo"]


def test_a_link_holds_the_selection_and_how_it_is_seen():
    a, b, c = made("a"), made("b"), made("c")
    at = open_compare(b, a, c, axis="seconds", measure="val_loss", view="luck", pair=f"{c.id},{a.id}")
    assert chosen(at) == [b.id, a.id, c.id]
    assert at.selectbox(key="compare_measure").value == "val_loss"
    assert at.get_by_key("compare_axis").value == "seconds"
    assert at.get_by_key("compare_view").value == "luck"
    query = {"runs": f"{b.id},{a.id},{c.id}", "axis": "seconds", "measure": "val_loss", "view": "luck"}
    assert at.query_params == query | {"pair": f"{c.id},{a.id}"}
    at.get_by_key("compare_view").set_value("pair")
    run(at)
    assert (at.selectbox(key="compare_a").value, at.selectbox(key="compare_b").value) == (c.id, a.id)


def test_a_choice_goes_to_the_link():
    a, b = made("a"), made("b")
    at = open_compare(a)
    at.multiselect(key="compare_picker").set_value([a.id, b.id])
    run(at)
    assert at.query_params["runs"] == f"{a.id},{b.id}"
    at.get_by_key("compare_axis").set_value("step")
    at.selectbox(key="compare_measure").select("train_loss")
    run(at)
    assert at.query_params["axis"] == "step"
    assert at.query_params["measure"] == "train_loss"
    at.multiselect(key="compare_picker").set_value([])
    assert run(at).info[0].value == "Choose the runs to compare."
    assert chosen(at) == []  # and it does not jump back to what is shown unasked


@pytest.mark.parametrize("wrong", ["gone", "../../etc", "x" * 300])
def test_a_deleted_run_in_a_link_is_one_line_and_the_rest_stays(wrong):
    a = made("a")
    at = open_page("compare", runs=f"{wrong},{a.id}", axis="parsecs", view="x-ray", measure="luck")
    assert len(errors(at)) == 1
    assert wrong[:60] in errors(at)[0]
    assert chosen(at) == [a.id]
    assert not errors(run(at))


def test_a_run_that_is_deleted_meanwhile_is_one_line():
    a, b = made("a"), made("b")
    at = open_compare(a, b)
    b.delete()
    at.run()
    assert chosen(run(at)) == [a.id]
    assert not at.exception


def test_a_damaged_config_is_one_line():
    a, b = made("a"), made("b")
    (b.path / "config.json").write_text('{"model": {"kernel_size": 2000}}')
    at = open_page("compare", runs=f"{a.id},{b.id}")
    assert chosen(at) == [a.id]
    assert not at.exception


def test_twenty_runs_are_the_most():
    many = [made(f"run {i}", epochs=1) for i in range(21)]
    at = open_compare(*many)
    assert "names 21 runs; the first 20 are shown" in errors(at)[0]
    assert len(chosen(at)) == 20
    assert len(table(at)["State"]) == 20


def test_runs_of_one_name_are_told_apart():
    at = open_compare(made("twin"), made("twin"))
    options = at.multiselect(key="compare_picker").options
    assert len(set(options)) == len(options)
    assert len(table(at)["State"]) == 2


def test_a_run_without_a_name_is_called_by_its_knobs():
    a, b = make_run(batch_size=32), make_run(batch_size=128)
    assert list(table(open_compare(a, b))["State"]) == ["batch size 32", "batch size 128"]


def test_a_run_at_work_and_its_end_are_seen(monkeypatch):
    monkeypatch.setattr("playground.ui.common.run_views.FRESH", -1.0)
    busy, over = made("busy", "running"), made("over")
    with worked_on(busy):
        at = open_compare(busy, over)
        assert table(at)["State"] == {"busy": "Running", "over": "Finished"}
    assert table(run(at))["State"]["busy"] == "Died"


# Curves and figures


def test_curves_have_an_alt_text_and_say_who_has_none():
    a, b = made("a"), make_run("queued")
    b.rename("b")
    at = open_compare(a, b)
    assert "Test accuracy of 1 runs by epoch: a, b" in str(at.get_by_key("compare_curves").proto)
    assert "Without this curve, because they have no point of it yet: b." in texts(at)


def test_only_the_knobs_that_differ_are_in_the_table():
    a, b = made("a", batch_size=32), made("b", batch_size=128, epochs=2)
    cells = table(open_compare(a, b))
    assert cells["Batch size (images)"] == {"a": "32", "b": "128"}
    assert cells["Epochs"] == {"a": "3", "b": "2"}
    assert cells["Epochs done"] == {"a": "3", "b": "2"}
    assert "Learning rate" not in cells
    assert cells["Final test accuracy"] == {"a": "70.0 %", "b": "50.0 %"}
    assert cells["Best epoch's test accuracy"]["a"] == "70.0 % (epoch 3)"
    assert "highest accuracy or mean IoU on the validation images" in texts(open_compare(a, b))
    assert cells["Parameters"]["a"] == "156,298"
    assert cells["Training time"] == {"a": "6.0 s", "b": "4.0 s"}
    assert cells["Seconds a point"]["a"] == "0.1 s"  # 6 s for 60 points
    assert cells["Images seen"]["a"] == "24 k"  # 3 epochs of 10,000 less a fifth


def test_a_knob_that_was_changed_on_the_way_is_shown():
    a, b = made("a"), made("b")
    b.append(make_row({"type": "change", "step": 10, "knob": "learning_rate", "old": 0.004, "new": 0.001}))
    cells = table(open_compare(a, b))
    assert cells["Learning rate"] == {"a": "0.004", "b": "0.004 → 0.001"}
    assert "All knobs of these runs are the same" in texts(open_compare(a, made("c")))


# Luck


def finish(accuracy: float, **knobs) -> RunFolder:
    """Make a finished run with a last test accuracy."""
    folder = made(f"{knobs} {accuracy}", epochs=1, **knobs)
    scores = {"loss": 1.0, "accuracy": accuracy}
    row = {"type": "epoch", "epoch": 2, "step": 20, "seconds": 4.0, "train": scores, "val": scores, "test": scores}
    folder.append(make_row(row))
    return folder


def test_a_difference_is_held_against_the_spread_of_seeds():
    small = [finish(accuracy, seed=i) for i, accuracy in enumerate((0.60, 0.61, 0.62))]
    large = [finish(accuracy, seed=i, batch_size=8) for i, accuracy in enumerate((0.70, 0.71, 0.72))]
    at = open_compare(*small, *large, view="luck")
    frame = at.dataframe[1].value
    assert list(frame["Knobs"]) == ["batch size 8", "batch size 64"]
    assert list(frame["Average test accuracy"]) == ["71.00 %", "61.00 %"]
    assert list(frame["Standard deviation"]) == ["1.00 points"] * 2
    assert "**batch size 8** against **batch size 64**: +10.00 points, **more than luck**" in texts(at)
    assert "t = 12.25 with 4.0 degrees of freedom" in texts(at)


def test_an_overlap_could_be_luck_and_one_seed_cannot_tell():
    small = [finish(accuracy, seed=i) for i, accuracy in enumerate((0.60, 0.64, 0.62))]
    large = [finish(accuracy, seed=i, batch_size=8) for i, accuracy in enumerate((0.61, 0.65, 0.63))]
    assert "+1.00 points, **could be luck**" in texts(open_compare(*small, *large, view="luck"))
    assert "One seed cannot tell" in texts(open_compare(*small, large[0], view="luck"))
    assert "One seed cannot tell" in open_compare(small[0], large[0], view="luck").info[0].value


def test_folds_are_no_seeds_and_the_plain_p_stands_beside_the_corrected_one():
    found = {size: (0.60 + 0.01 * size, 0.62 + 0.01 * size, 0.61 + 0.01 * size) for size in (8, 9, 16)}
    runs_ = [
        finish(value, batch_size=size, folds=3, fold=i)
        for size, values in found.items()
        for i, value in enumerate(values)
    ]
    at = open_compare(*runs_, view="luck")
    assert list(at.dataframe[1].value["They differ in"]) == ["folds"] * 3
    tests = [run_welch_test(found[16], found[size]) for size in (9, 8)]
    lines = [line for line in texts(at).splitlines() if "** against **" in line]
    for line, test, corrected in zip(lines, tests, correct_by_holm([test.p for test in tests]), strict=True):
        assert f"other folds alone would make so large a difference in {100 * test.p:.2g} % of cases" in line
        assert f"(p = {test.p:.2g}; p = {corrected:.2g} after Holm's correction for 2 comparisons" in line
        assert "seed" not in line
    assert "Folds share most of their training images" in texts(at)


def test_groups_that_do_not_spread_say_so():
    same = [finish(0.6, seed=i) for i in range(2)] + [finish(0.7, seed=i, batch_size=8) for i in range(2)]
    text = texts(open_compare(*same, view="luck"))
    assert "Neither group spreads at all" in text
    assert "p = 0" not in text


def test_runs_that_are_not_finished_do_not_count():
    at = open_compare(finish(0.6), made("half way", "stopped"), view="luck")
    assert "1 of 2 runs are not finished" in texts(at)


# Two runs


def test_two_runs_are_compared_image_by_image():
    a, b = made("a", accuracy=0.5), made("b", accuracy=0.7)
    at = open_compare(a, b)
    targets = np.asarray(open_arrays("cifar10-mini").test_targets)
    right = [folder.predictions(3).argmax(1) == targets for folder in (a, b)]
    only_a, only_b = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert f"{only_a:,} images are right with A alone, {only_b:,} with B alone: **more than chance**" in texts(at)
    assert f"p = {run_mcnemar_test(only_a, only_b):.2g}" in texts(at)
    for key in ("A", "B", "change"):
        assert "Confusion matrix" in str(at.get_by_key(f"compare_matrix_{key}").proto)
    at.get_by_key("compare_kind").set_value("only_b")
    run(at)
    assert f"Only B is right: {only_b:,}" in str(at.get_by_key("compare_kind").proto)
    shown = int(texts(at).split("Test image ")[1].split(":")[0])
    assert right[1][shown] and not right[0][shown]
    at.session_state["predict_source"] = "Upload"
    at.session_state["predict_row"] = -1
    click(at, "compare_open")
    assert at.session_state["predict_row"] == shown
    assert at.get_by_key("predict_source").value == "Test images"
    assert at.query_params["run"] == a.id
    assert at.query_params["run2"] == b.id


def test_a_and_b_are_never_the_same_run():
    a, b, c = (made(name, accuracy=0.5) for name in "abc")
    at = open_compare(a, b, c)
    assert (at.selectbox(key="compare_a").value, at.selectbox(key="compare_b").value) == (a.id, b.id)
    at.selectbox(key="compare_a").select(b.id)
    run(at)
    assert at.selectbox(key="compare_b").value != b.id
    assert not errors(at)


def test_the_best_epoch_or_the_last():
    a, b = made("a"), made("b")
    a.set_status(best_epoch=1)
    at = open_compare(a, b)
    assert "A, after epoch 1" in str(at.get_by_key("compare_matrix_A").proto)
    at.get_by_key("compare_which").set_value("Last epoch")
    run(at)
    assert "A, after epoch 3" in str(at.get_by_key("compare_matrix_A").proto)


def test_the_demo_and_a_run_on_its_part_are_judged_on_the_same_images():
    at = open_compare(made("mine", accuracy=0.5), runs.open_run("demo"))
    assert "On the same 2,000 test images **A** gets" in texts(at)
    assert "**B** 89.5 %" in texts(at)


def test_other_classes_and_other_data_sets_are_one_line():
    a, b, c = made("a"), made("b"), made("c")
    for folder, name in ((b, "mnist"), (c, "cifar10")):
        text = (folder.path / "config.json").read_text()
        (folder.path / "config.json").write_text(text.replace('"cifar10-mini"', f'"{name}"'))
    assert "tell other classes apart" in open_compare(a, b).info[0].value
    at = open_compare(a, c)
    assert "test images of different data sets" in texts(at)
    assert not errors(at)


def test_damaged_predictions_are_one_line_and_the_matrices_stay():
    a, b = made("a"), made("b")
    (b.path / "predictions" / "epoch-0003.safetensors").write_bytes(b"\x80\x04junk")
    at = open_compare(a, b)
    assert "damaged" in texts(at)
    assert "Confusion matrix" in str(at.get_by_key("compare_matrix_B").proto)
    assert not errors(at)


def test_a_run_before_its_first_epoch_says_so():
    at = open_compare(made("a"), make_run("queued"))
    assert "B has not been judged yet" in at.info[0].value


# Diagnosis


def test_each_run_is_diagnosed():
    sick, sound = made("sick", "diverged", "step 7: the loss is no longer a finite number"), made("sound")
    at = open_compare(sick, sound, view="diagnosis")
    assert "It has diverged" in texts(at)
    assert "Step 7: the loss is no longer a finite number. The learning rate was set to 0.004." in texts(at)
    assert "**Learning rate**" in texts(at)
    assert "Nothing looks wrong" in texts(at)


# From the shelf


def test_the_runs_ticked_on_the_shelf_are_compared():
    folders = [made(name) for name in "abc"]
    at = open_page("runs")
    assert at.button(key="act_compare").disabled
    ids = at.session_state["shelf_ids"]
    at.session_state["shelf_ticked"] = [folders[0].id, folders[2].id]
    at.session_state["shelf_run"] = folders[2].id
    run(at)
    assert at.session_state["shelf"]["selection"]["rows"] == sorted(ids.index(folders[i].id) for i in (0, 2))
    assert "2 runs ticked, the last: **c**" in texts(at)
    click(at, "act_compare")
    assert at.query_params["runs"] == f"{folders[0].id},{folders[2].id}"
    assert chosen(at) == [folders[0].id, folders[2].id]


def test_a_run_chosen_by_the_page_replaces_the_ticks():
    a, b = made("a"), made("b")
    at = open_page("runs")
    at.session_state["shelf_ticked"] = [a.id]
    at.session_state["shelf_run"] = b.id  # as after an import
    click(run(at), "act_compare")
    assert chosen(at) == [b.id]


# Runs that label pixels

TINY = {"dataset": "few-shapes", "channels": "4-6", "norm": "batch", "batch_size": 8, "epochs": 2}
TINY |= {
    "learning_rate": 0.02,
    "flip": False,
    "validation_share": 0.2,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}
TRAINED = {"p": {}, "q": {"seed": 1}, "other": {"dataset": "other-shapes", "validation_share": 0.0}}


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory) -> Path:
    """A home with three small runs that label pixels, two of them of one data set."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("pixels")
        patch.setenv("PLAYGROUND_HOME", str(home))
        for seed, name in enumerate(("few-shapes", "other-shapes")):
            entry = DatasetInfo(name, name, shapes.CLASSES, 3, 32, 40, 30, "MIT", "here", "", task="segmentation")
            store.write_shapes(entry, seed)
        for name, knobs in TRAINED.items():
            folder = runs.create_run(from_flat(TINY | knobs), name)
            assert run_worker(folder, Slot("cpu", 1)).state == "finished"
    return home


@pytest.fixture
def pixels(app_home: Path, trained_home: Path) -> dict[str, RunFolder]:
    """These runs in the test's own home, by their names."""
    bundled = (app_home / "data").resolve()
    (app_home / "data").unlink()
    (app_home / "data").mkdir()
    for folder in (*bundled.glob("[a-z]*"), *(trained_home / "data").glob("*-shapes")):
        (app_home / "data" / folder.name).symlink_to(folder)
    shutil.copytree(trained_home / "runs", app_home / "runs", dirs_exist_ok=True)
    return {folder.name: folder for folder in runs.list_runs() if folder.name in TRAINED}


def component(at, key: str) -> dict:
    """What a component was handed, as the browser gets it."""
    return json.loads(at.get_by_key(key).proto.json)


def last_row(folder: RunFolder) -> Any:
    return [row for row in folder.rows() if row.type == "epoch"][-1]


def last_epochs(*folders: RunFolder):
    at = open_compare(*folders)
    at.get_by_key("compare_which").set_value("Last epoch")
    return run(at)


def measures(at) -> list[str]:
    return at.selectbox(key="compare_measure").options


def test_runs_that_label_pixels_are_drawn_by_their_mean_iou(pixels):
    at = open_compare(pixels["p"], pixels["q"])
    assert at.selectbox(key="compare_measure").value == "test_iou"
    assert "measure" not in at.query_params
    curve = component(at, "compare_curves")["figure"]
    assert curve["layout"]["title"]["text"] == "Test mean IoU"
    assert curve["data"][0]["y"][-1] == pytest.approx(100 * last_row(pixels["p"]).test.iou, rel=1e-4)
    for name in ("test_boundary_f1", "val_iou"):
        at.selectbox(key="compare_measure").select(name)
        run(at)
        assert at.query_params["measure"] == name
        assert len(component(at, "compare_curves")["figure"]["data"]) == 2


def test_only_measures_that_a_run_has_are_offered(pixels):
    a = made("a")
    at = open_compare(a, measure="test_iou")
    assert at.selectbox(key="compare_measure").value == "test_accuracy"
    assert "measure" not in at.query_params
    assert not [name for name in measures(at) if "IoU" in name or "F1" in name]
    assert "Test mean IoU" in measures(open_compare(a, pixels["p"]))
    at = open_compare(pixels["other"], measure="val_loss")
    assert at.selectbox(key="compare_measure").value == "test_iou"
    assert not [name for name in measures(at) if "Validation" in name]


def test_the_curve_drawn_unasked_follows_the_runs_and_a_chosen_one_stays(pixels):
    a, p = made("a"), pixels["p"]
    at = open_compare(a)
    for ids, usual in (([p.id], "test_iou"), ([a.id, p.id], "test_accuracy"), ([p.id], "test_iou")):
        at.multiselect(key="compare_picker").set_value(ids)
        assert run(at).selectbox(key="compare_measure").value == usual
        assert "measure" not in at.query_params
    at.selectbox(key="compare_measure").select("test_loss")
    run(at).multiselect(key="compare_picker").set_value([a.id])
    assert run(at).selectbox(key="compare_measure").value == "test_loss"
    # A link may ask for what would be drawn unasked of other runs.
    for folders, measure in (([a], "test_accuracy"), ([p], "test_accuracy"), ([a, p], "test_iou")):
        at.query_params.clear()
        at.query_params["runs"] = ",".join(folder.id for folder in folders)
        at.query_params["measure"] = measure
        assert run(at).selectbox(key="compare_measure").value == measure
        assert run(at).selectbox(key="compare_measure").value == measure
        assert ("Of runs that label pixels, accuracy is" in texts(at)) == (p in folders and measure == "test_accuracy")


def test_the_caption_says_why_a_run_has_no_such_curve(pixels):
    at = open_compare(made("a"), pixels["p"], pixels["other"], measure="val_iou")
    assert "Without this curve, because they label whole images: a." in texts(at)
    assert "Without this curve, because they hold back no images: other." in texts(at)
    assert "Validation mean IoU of 1 runs" in component(at, "compare_curves")["alt"]


def test_the_table_speaks_of_mean_iou_and_of_accuracy_with_dashes(pixels):
    cells = table(open_compare(made("a"), pixels["p"]))
    row = last_row(pixels["p"])
    assert cells["Final test mean IoU"] == {"a": "–", "p": format_percent(row["test"].iou)}
    assert cells["Final validation mean IoU"] == {"a": "–", "p": format_percent(row["val"].iou)}
    assert cells["Final training pixel accuracy"] == {"a": "–", "p": format_percent(row["train"].accuracy)}
    assert cells["Final test accuracy"] == {"a": "70.0 %", "p": "–"}
    assert cells["Best epoch's test accuracy"] == {"a": "70.0 % (epoch 3)", "p": "–"}
    # The validation images choose the epoch; the test images may not.
    best = max((r for r in pixels["p"].rows() if r.type == "epoch" and r.epoch), key=lambda r: r.val.iou)
    assert cells["Best epoch's test mean IoU"]["p"] == f"{format_percent(best.test.iou)} (epoch {best.epoch})"
    alone = table(open_compare(pixels["p"]))
    assert "Final test mean IoU" in alone
    assert "Final test accuracy" not in alone


def test_luck_keeps_pixels_and_images_apart(pixels):
    at = open_compare(pixels["p"], finish(0.6), pixels["q"], finish(0.7, batch_size=8), view="luck")
    images, of_pixels = (frame.value for frame in at.dataframe[1:3])
    assert list(images["Average test accuracy"]) == ["70.00 %", "60.00 %"]
    values = [last_row(pixels[name]).test.iou for name in "pq"]
    assert list(of_pixels["Average test mean IoU"]) == [format_percent(float(np.mean(values)), 2)]
    assert list(of_pixels["Standard deviation"]) == [f"{100 * np.std(values, ddof=1):.2f} points"]
    assert "What counts is the test mean IoU after the last epoch." in texts(at)
    assert "** against **" not in texts(at)  # no sentence holds an IoU against an accuracy


def test_two_runs_that_label_pixels_are_compared_class_by_class(pixels):
    a, b = pixels["p"], pixels["q"]
    at = last_epochs(a, b)
    assert not errors(at)
    assert "McNemar" not in texts(at)
    rows = [last_row(folder) for folder in (a, b)]
    frame = at.dataframe[1].value
    assert list(frame["Class"]) == [*shapes.CLASSES, "Mean"]
    for letter, row in zip("AB", rows, strict=True):
        counts = np.array(row.confusion)
        iou = 100 * np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts)).clip(1)
        np.testing.assert_allclose(frame[letter], [*iou, 100 * row["test"].iou])
    np.testing.assert_allclose(frame["B − A"], frame["B"] - frame["A"], atol=1e-9)
    figures = [format_percent(row["test"].iou) for row in rows]
    assert f"**A** reaches a mean IoU of {figures[0]} and **B** of {figures[1]}" in texts(at)
    change = component(at, "compare_matrix_change")["figure"]["data"][0]
    assert "% of the true class" in change["hovertemplate"]
    with pytest.raises(KeyError):  # of pixels, counts would say nothing
        at.get_by_key("compare_cells")


def test_the_images_of_which_one_gets_more_pixels_right(pixels):
    a, b = pixels["p"], pixels["q"]
    at = last_epochs(a, b)
    truth = np.asarray(open_arrays("few-shapes").test_targets)[:24]
    right = [(folder.masks(2) == truth).mean((1, 2)) for folder in (a, b)]
    items = component(at, "compare_masks")["items"]
    assert len(items) == 24
    order = [int(item["name"]) for item in items]
    apart = np.abs(right[1] - right[0])[order].tolist()
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > apart[-1]
    first = order[0]
    assert items[0]["note"] == better(right[0][first], right[1][first])
    assert items[0]["box"]
    assert not items[1]["box"]
    large = component(at, "compare_masks_large")["items"]
    assert [item["title"] for item in large] == ["The image", "The truth", "A", "B"]
    words = [f"{format_percent(float(shares[first]))} of the pixels are right" for shares in right]
    assert [item["note"] for item in large[2:]] == words
    assert large[1]["note"] == f"{len(np.unique(truth[first]))} class{'es' if truth[first].any() else ''}"
    assert len({item["url"] for item in large}) == 4
    at.session_state["compare_mask"] = order[5]
    run(at)
    assert component(at, "compare_masks_large")["items"][0]["note"] == f"Test image {order[5]}"
    assert component(at, "compare_masks")["items"][5]["box"]


def test_who_gets_more_right_in_a_word():
    assert [better(*two) for two in ((0.5, 0.531), (0.9, 0.4), (0.5, 0.5001))] == ["B +3.1", "A +50.0", "±0.0"]


def test_what_cannot_be_compared_one_by_one_is_one_line(pixels):
    a = made("a")
    (info,) = open_compare(a, pixels["p"]).info
    assert info.value == "A labels whole images and B pixels, so the two cannot be compared one by one."
    assert "A labels pixels and B whole images" in open_compare(pixels["p"], a).info[0].value
    at = open_compare(pixels["p"], pixels["other"])
    assert "images of different data sets cannot be compared one by one" in texts(at)
    assert "whose masks are kept" not in texts(at)
    assert len(at.dataframe) == 2
    assert not errors(at)


def test_damaged_masks_are_one_line_and_the_classes_stay(pixels):
    pixels["q"].prediction_file(2).write_bytes(b"\x80\x04junk")
    at = last_epochs(pixels["p"], pixels["q"])
    assert "damaged" in texts(at)
    assert len(at.dataframe[1].value) == 7
    assert not errors(at)


def test_a_deleted_data_set_is_one_line_and_the_classes_keep_their_names(pixels, app_home):
    (app_home / "data" / "few-shapes").unlink()
    at = open_compare(pixels["p"], pixels["q"])
    assert "The images cannot be shown: there is no data set few-shapes" in texts(at)
    assert at.selectbox(key="compare_measure").value == "test_iou"
    assert list(at.dataframe[1].value["Class"])[-2:] == ["cross", "Mean"]


def test_the_diagnosis_of_a_run_that_labels_pixels(pixels):
    at = open_compare(pixels["p"], view="diagnosis")
    assert "of the 30,720 pixels of the test images is predicted as" in texts(at)
    # A network that labels pixels cannot be looked into: nobody is told so, and nobody is asked to.
    assert "Dead units" not in texts(at)
    assert not [button for button in at.button if str(button.key).endswith("_examine")]
