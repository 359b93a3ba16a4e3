"""The Judge page without a browser, on runs whose answers are known."""

import json
import shutil
import time

import numpy as np
import pytest
from rows_support import make_row
from ui_support import app_home, errors, make_run, open_page, place, run, texts, unpacked, worked_on

from playground import runs
from playground.config import DataConfig, RunConfig, from_flat
from playground.data.store import open_arrays
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.metrics import scores as metrics
from playground.metrics.calibration import compute_reliability
from playground.metrics.confusion import find_images, find_largest_error
from playground.metrics.predictions import Predictions
from playground.metrics.scores import count_confusion
from playground.runs import RunFolder
from playground.ui.pages.evaluate import confusion as matrix

pytestmark = pytest.mark.usefixtures("app_home")
__all__ = ["app_home", "unpacked"]
VIEWS = ("matrix", "per_class", "curves", "calibration", "hardest")
CHARTS = {
    "matrix": ["evaluate_matrix", "evaluate_bars"],
    "per_class": ["evaluate_top_k"],
    "curves": ["evaluate_roc", "evaluate_pr"],
    "calibration": ["evaluate_reliability"],
    "hardest": ["evaluate_bars", "evaluate_over_time", "evaluate_strip"],
}


@pytest.fixture(autouse=True)
def no_demo(monkeypatch):
    """The tests say which runs there are."""
    monkeypatch.setattr("playground.runs.registry.DEMO", runs.runs_folder() / "no-demo")


def trained(epochs: int = 3, dataset: str = "cifar10-mini", noise: float = 0.0) -> RunFolder:
    """A run that gets better with each epoch, its rows and its predictions in accord."""
    folder = runs.create_run(RunConfig(data=DataConfig(dataset=dataset)), "a judged run")
    targets, rng = np.array(open_arrays("cifar10-mini").test_targets), np.random.default_rng(0)
    for epoch in range(epochs + 1):
        logits = rng.normal(size=(len(targets), 10)) * 2
        logits[np.arange(len(targets)), targets] += epoch + noise
        probs = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float16)
        counts = count_confusion(targets, probs.argmax(1), 10)
        scores = {"loss": 1.0, "accuracy": metrics.compute_accuracy(counts)}
        row = {"type": "epoch", "epoch": epoch, "step": epoch, "seconds": 1.0, "train": None, "val": scores}
        folder.append(make_row(row | {"test": scores, "confusion": counts.tolist()}))
        folder.save_epoch(epoch, {"output.bias": np.zeros(10, np.float16)}, probs)
    folder.set_status(state="finished", epoch=epochs, epochs=epochs, best_score=0.5)
    return folder


def answers(folder: RunFolder, epoch: int) -> Predictions:
    return Predictions(folder.predictions(epoch), np.array(open_arrays("cifar10-mini").test_targets))


def show(at, view: str):
    at.get_by_key("evaluate_view").set_value(view)
    return run(at)


def infos(at) -> str:
    return "\n".join(info.value for info in at.info)


def gallery_rows(at, key: str = "evaluate_cell") -> list[int]:
    return [item["row"] for item in json.loads(at.get_by_key(key).proto.json)["items"]]


def test_the_first_visit_fills_every_view_with_the_bundled_run(monkeypatch):
    monkeypatch.undo()
    at = open_page("evaluate")
    assert at.query_params["run"] == "demo"
    assert "1,790 of 2,000** test images of CIFAR-10 mini" in texts(at)
    for view in VIEWS:
        show(at, view)
        assert not errors(at) and not infos(at)
        for key in CHARTS[view]:
            assert at.get_by_key(key)


def test_the_numbers_are_those_of_the_epoch():
    folder = trained()
    at = open_page("evaluate", run=folder.id, epoch="1")
    for epoch in (1, 3):
        at.select_slider[0].set_value(epoch)
        run(at)
        known = answers(folder, epoch)
        assert f"After epoch {epoch}: **{known.right.sum():,} of 2,000**" in texts(at)
    assert place(at) == {"run": folder.id}  # at the end it follows
    at.select_slider[0].set_value(2)
    assert place(run(at)) == {"run": folder.id, "epoch": "2"}


def test_the_most_frequent_mistake_is_shown_unasked_with_its_images():
    folder = trained()
    at = open_page("evaluate", run=folder.id)
    known, classes = answers(folder, 3), open_arrays("cifar10-mini").info.classes
    true, guess = find_largest_error(known.confusion)
    assert at.selectbox(key="evaluate_true_widget").value == classes[true]
    assert at.selectbox(key="evaluate_guess_widget").value == classes[guess]
    count, row = known.confusion[true, guess], known.confusion[true].sum()
    assert f"{count}/{row} = {100 * count / row:.1f} % of the true class" in texts(at)
    assert gallery_rows(at) == find_images(known, true, guess).tolist()


def test_a_cell_is_chosen_by_its_classes_and_stays_at_another_epoch():
    folder = trained()
    at = open_page("evaluate", run=folder.id)
    at.selectbox(key="evaluate_true_widget").select("ship")
    run(at)
    at.selectbox(key="evaluate_guess_widget").select("frog")
    run(at)
    for epoch in (3, 0):
        at.select_slider[0].set_value(epoch)
        run(at)
        known = answers(folder, epoch)
        assert gallery_rows(at) == find_images(known, 8, 6).tolist()[:60]
        assert f"**{known.confusion[8, 6]} image" in texts(at)


@pytest.mark.parametrize(
    ("view", "widgets"), [("matrix", ("evaluate_true", "evaluate_guess")), ("per_class", ("evaluate_class",))]
)
def test_what_is_shown_unasked_stays_at_each_epoch_of_a_live_run_and_is_another_runs_own(view, widgets):
    folder, other = trained(1), trained(2, noise=2.0)
    targets, ships = np.array(open_arrays("cifar10-mini").test_targets), np.eye(10)[[8] * 2000]
    at = show(open_page("evaluate", run=folder.id), view)

    def chosen():
        return [at.selectbox(key=f"{widget}_widget").value for widget in widgets]

    before = chosen()
    folder.save_epoch(2, {"output.bias": np.zeros(10, np.float16)}, ships.astype(np.float16))  # all predicted as ships
    counts = count_confusion(targets, ships.argmax(1), 10)
    row = {"type": "epoch", "epoch": 2, "step": 2, "seconds": 2.0, "train": None, "val": None}
    folder.append(make_row(row | {"test": {"loss": 1.0, "accuracy": 0.1}, "confusion": counts.tolist()}))
    run(at)
    assert "After epoch 2: **200 of 2,000**" in texts(at)
    assert chosen() == before
    at.selectbox(key="evaluate_run_widget").select(other.id)
    run(at)
    last, classes = answers(other, 2).confusion, open_arrays("cifar10-mini").info.classes
    own = find_largest_error(last) if view == "matrix" else [int(metrics.compute_f1(last).argmin())]
    assert chosen() == [classes[k] for k in own]


def test_answers_are_those_of_training_and_those_of_today_that_differ_are_marked():
    tiny = {"channels": "4-4", "fc_width": 8, "device": "cpu", "precision": "float32", "threads": 1}
    tiny |= {"norm": "none", "flip": False}
    folder = runs.create_run(from_flat(tiny | {"images_per_class": 20, "epochs": 1, "batch_size": 32}), "asked again")
    assert run_worker(folder, Slot("cpu", 1)).state == "finished"
    kept, targets = folder.predictions(1), np.array(open_arrays("cifar10-mini").test_targets)
    guess = kept.argmax(1)
    true, said = find_largest_error(count_confusion(targets, guess, 10))
    at = open_page("evaluate", run=folder.id, epoch="1")
    assert "names the same class for each image shown" in texts(at)
    row = next(row for row in np.flatnonzero(targets == true) if guess[row] != said)  # as if training had rounded so
    kept[row] = np.eye(10)[said]
    folder.save_epoch(1, folder.weights(1), kept.astype(np.float16))
    at = run(at)
    assert row in gallery_rows(at)
    name = open_arrays("cifar10-mini").info.classes[guess[row]]
    assert f"the network names another class for test image {row} ({name}, " in texts(at)
    folder.checkpoint(1).write_bytes(b"damaged")
    at = open_page("evaluate", run=folder.id, epoch="1")
    assert "The answers are those that training kept. The network cannot be asked again" in texts(at)


def test_an_empty_cell_says_so():
    at = open_page("evaluate", run=trained(noise=99.0).id)
    at.selectbox(key="evaluate_guess_widget").select("ship")
    assert "No test image is in this cell." in texts(run(at))


def test_a_share_of_nothing_is_no_number():
    folder = trained(1)
    targets = np.array(open_arrays("cifar10-mini").test_targets)
    ships = np.eye(10)[np.full(len(targets), 8)]
    folder.save_epoch(1, {"output.bias": np.zeros(10, np.float16)}, ships.astype(np.float16))
    at = open_page("evaluate", run=folder.id)
    at.selectbox(key="evaluate_true_widget").select("cat")
    at.selectbox(key="evaluate_guess_widget").select("frog")
    text = texts(run(at))
    assert (
        "**0 images** of cat predicted as frog: 0/200 = 0.0 % of the true class, no test image is predicted as frog."
        in text
    )
    assert "0/0" not in text
    show(at, "per_class")
    table = at.dataframe[0].value
    assert table["Precision"].isna().tolist() == [k != 8 for k in range(10)]
    assert table["Recall"].tolist() == [100 * (k == 8) for k in range(10)]
    assert table["F1"].notna().all()


def test_the_classes_by_similarity_and_shares():
    at = open_page("evaluate", run=trained().id)
    for order in ("similar", "class"):
        for shown in ("rows", "columns", "counts"):
            at.get_by_key("evaluate_order").set_value(order)
            at.get_by_key("evaluate_show").set_value(shown)
            assert not errors(run(at))


@pytest.mark.parametrize("order", ["class", "similar"])
def test_a_click_opens_the_images_of_the_cell_that_was_clicked(order, monkeypatch):
    folder = trained()
    known, classes = answers(folder, 3), list(open_arrays("cifar10-mini").info.classes)
    at = open_page("evaluate", run=folder.id)
    at.get_by_key("evaluate_order").set_value(order)
    with monkeypatch.context() as patch:
        drawn = []
        patch.setattr(
            matrix, "live_chart", lambda figure, *, on_click, **_: drawn.append((figure["data"][0], on_click))
        )
        run(at)
        ((cells, clicked),) = drawn
        names = cells["y"]
        assert names == cells["x"] and sorted(names) == sorted(classes) and (names == classes) == (order == "class")
        rows = [k for k, name in enumerate(names) if classes[k] != name] or [1, 7]
        row, column = rows[0], rows[-1]
        assert cells["z"][row][column] == known.confusion[classes.index(names[row]), classes.index(names[column])] > 0
        patch.setattr(matrix.st, "session_state", at.session_state)
        clicked({"curve": 0, "point": [row, column]})
    run(at)
    true, guess = classes.index(names[row]), classes.index(names[column])
    assert at.selectbox(key="evaluate_true_widget").value == names[row]
    assert at.selectbox(key="evaluate_guess_widget").value == names[column]
    assert gallery_rows(at) == find_images(known, true, guess).tolist()
    shapes = json.loads(at.get_by_key("evaluate_matrix").proto.json)["figure"]["layout"]["shapes"]
    assert {(shape["y0"], shape["x0"]) for shape in shapes} == {(row - 0.5, column - 0.5)}


def test_an_image_opens_in_predict_and_inside():
    folder = trained()
    at = open_page("predict", run=folder.id)
    at.get_by_key("predict_source").set_value("Upload")
    run(at)
    at.session_state["inside_photo"] = "a photo"
    at.switch_page("evaluate.py")
    at.query_params["run"], at.query_params["epoch"] = folder.id, "2"
    run(at)
    row = gallery_rows(at)[0]
    at.button(key="evaluate_open_predict").click()
    run(at)
    assert place(at) == {"run": folder.id, "epoch": "2"}
    assert at.session_state["predict_row"] == row
    assert at.get_by_key("predict_source").value == "Test images"
    at = open_page("evaluate", run=folder.id, epoch="1")
    at.button(key="evaluate_open_inside").click()
    run(at)
    assert place(at) == {"run": folder.id, "epoch": "1"}
    assert at.session_state["inside_photo"] is None


def test_a_class_is_written_out_with_its_counts():
    folder = trained()
    at = show(open_page("evaluate", run=folder.id), "per_class")
    counts = answers(folder, 3).confusion
    worst = int(metrics.compute_f1(counts).argmin())
    assert at.selectbox(key="evaluate_class_widget").value == open_arrays("cifar10-mini").info.classes[worst]
    at.selectbox(key="evaluate_class_widget").select("horse")
    run(at)
    tp, fp, fn = counts[7, 7], counts[:, 7].sum() - counts[7, 7], counts[7].sum() - counts[7, 7]
    assert f"{{{tp}}}{{{tp}+{fp}}} = {100 * tp / (tp + fp):.1f}" in texts(at)
    assert f"{{{tp}}}{{{tp}+{fn}}} = {100 * tp / (tp + fn):.1f}" in texts(at)
    shown = at.dataframe[0].value
    np.testing.assert_allclose(shown["F1"], 100 * metrics.compute_f1(counts))
    assert shown["Support"].tolist() == [200] * 10


def test_top_k():
    folder = trained()
    at = show(open_page("evaluate", run=folder.id), "per_class")
    known = answers(folder, 3)
    hits = metrics.count_top_k(known.probs, known.targets)
    for k in (1, 3, 10):
        at.slider(key="evaluate_k").set_value(k)
        count = f"{hits[k - 1]:,}".replace(",", "{,}")
        assert rf"\frac{{{count}}}{{2{{,}}000}} = {hits[k - 1] / 20:.1f}" in texts(run(at))


def test_the_curves_of_one_class_with_the_counts_at_a_threshold():
    folder = trained()
    at = show(open_page("evaluate", run=folder.id), "curves")
    assert "macro-averaged AUC" in texts(at)
    at.selectbox(key="evaluate_ranked").select("cat")
    run(at)
    known = answers(folder, 3)
    for threshold in (0.5, 0.9, 1.0):
        at.slider(key="evaluate_threshold").set_value(threshold)
        called = known.probs[:, 3] >= threshold
        rightly = (called & (known.targets == 3)).sum()
        assert f"**{called.sum():,}** images are called cat: **{rightly:,}** rightly" in texts(run(at))


def test_the_calibration_error():
    folder = trained()
    at = show(open_page("evaluate", run=folder.id), "calibration")
    known = answers(folder, 3)
    for bins in (15, 5):
        at.slider(key="evaluate_bins").set_value(bins)
        run(at)
        found = compute_reliability(known.confidence, known.right, bins)
        assert at.metric[0].value == f"{100 * found.error:.2f} %"
        table = at.dataframe[0].value
        assert table["Predictions"].sum() == 2000
        assert table["Part of the error"].sum() == pytest.approx(100 * found.error)


def test_the_hardest_images_in_their_three_orders():
    folder = trained()
    at = show(open_page("evaluate", run=folder.id), "hardest")
    known = answers(folder, 3)
    assert gallery_rows(at, "evaluate_loss")[0] == known.true_probs.argmin()
    preds = np.stack([answers(folder, epoch).preds for epoch in range(4)])
    flips = (preds[1:] != preds[:-1]).sum(0)
    at.get_by_key("evaluate_hardest").set_value("flips")
    run(at)
    assert flips[gallery_rows(at, "evaluate_flips")].tolist() == sorted(flips.tolist(), reverse=True)[:60]
    assert f"{flips.sum():,} changes, at {(flips > 0).sum():,} of 2,000 images" in texts(at)
    row = gallery_rows(at, "evaluate_flips")[0]
    assert f"test image {row}, {flips[row]} flips, forgotten" in at.get_by_key("evaluate_flips").proto.json
    right = preds == known.targets
    forgotten = (right[:-1] & ~right[1:]).sum(0)
    at.get_by_key("evaluate_hardest").set_value("forgotten")
    run(at)
    assert forgotten[gallery_rows(at, "evaluate_forgotten")].tolist() == sorted(forgotten.tolist(), reverse=True)[:60]


def test_one_epoch_alone_has_no_flips():
    at = show(open_page("evaluate", run=trained(epochs=0).id), "hardest")
    at.get_by_key("evaluate_hardest").set_value("flips")
    assert "It takes two kept epochs" in texts(run(at))


# When something is missing or damaged


def test_without_the_data_set_the_numbers_stay():
    folder = trained(dataset="cifar10")
    at = open_page("evaluate", run=folder.id)
    assert "CIFAR-10 is not on this machine yet" in infos(at)
    assert f"**{answers(folder, 3).right.sum():,} of 2,000**" in texts(at)
    assert at.get_by_key("evaluate_matrix")
    show(at, "per_class")
    assert "It needs the probabilities" in texts(at)
    assert len(at.dataframe) == 1
    for view in ("curves", "calibration", "hardest"):
        assert "This view needs the probabilities" in texts(show(at, view))


def test_an_unknown_data_set_leaves_the_numbers_with_numbered_classes():
    folder = trained(dataset="somebody-elses")
    folder.set_status(state="stopped")  # Home shows the newest finished run
    at = open_page("evaluate", run=folder.id)
    assert "there is no data set somebody-elses" in infos(at)
    assert at.selectbox(key="evaluate_true_widget").options[2] == "class 2"


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda file: file.unlink(), "Epoch 3 was kept without its predictions"),
        (lambda file: file.write_bytes(b"junk"), "is damaged"),
        (
            lambda file: shutil.copy(file.parent / "epoch-0001.safetensors.other", file),
            "are of 7 images and 10 classes",
        ),
    ],
)
def test_predictions_that_cannot_be_used_are_one_line_and_the_counts_stay(damage, line):
    folder, other = trained(), make_run()
    other.save_epoch(1, {}, np.full((7, 10), 0.1, np.float16))
    files = folder.path / "predictions"
    shutil.copy(other.path / "predictions" / "epoch-0001.safetensors", files / "epoch-0001.safetensors.other")
    other.delete()
    wanted = answers(folder, 3).right.sum()
    damage(files / "epoch-0003.safetensors")
    at = open_page("evaluate", run=folder.id)
    assert line in infos(at)
    assert f"**{wanted:,} of 2,000**" in texts(at)
    at.select_slider[0].set_value(2)
    run(at)
    assert not infos(at)
    assert not errors(show(at, "hardest"))  # the damaged epoch is left out


def test_an_epoch_of_which_nothing_is_known_is_one_line():
    folder = trained()
    (folder.path / "metrics.jsonl").unlink()
    (folder.path / "predictions" / "epoch-0003.safetensors").unlink()
    at = open_page("evaluate", run=folder.id)
    assert len(errors(at)) == 1
    assert "Epoch 3 was kept without its predictions" in errors(at)[0]
    at.select_slider[0].set_value(1)
    assert not errors(run(at))


def test_a_replaced_file_is_read_again():
    folder = trained()
    at = open_page("evaluate", run=folder.id)
    targets = np.array(open_arrays("cifar10-mini").test_targets)
    time.sleep(0.02)  # file systems tell times apart by milliseconds
    folder.save_epoch(3, {"output.bias": np.zeros(10, np.float16)}, np.eye(10, dtype=np.float16)[targets])
    assert "**2,000 of 2,000**" in texts(run(at))
    for view in VIEWS:  # no mistake at all
        assert not errors(show(at, view))


@pytest.mark.parametrize("run_id", ["no-such-run", "../../etc"])
def test_a_link_to_no_run_is_one_line(run_id):
    trained()
    at = open_page("evaluate", run=run_id)
    assert len(errors(at)) == 1
    assert run_id in errors(at)[0]
    assert at.get_by_key("evaluate_matrix")


def test_a_run_without_an_epoch_says_so_and_no_run_at_all_too():
    waiting = make_run("queued")
    at = open_page("evaluate", run=waiting.id)
    assert "it can be judged after its first look at the test images" in infos(at)
    waiting.delete()
    assert "There is no trained network yet" in infos(open_page("evaluate"))


def test_it_draws_itself_again_while_the_run_trains():
    working = make_run("running")
    with worked_on(working):
        at = open_page("evaluate", run=working.id)
        assert "After epoch 2" in texts(at)
        probs = np.full((2000, 10), 0.1, np.float16)
        working.save_epoch(3, {"output.bias": np.zeros(10, np.float16)}, probs)
        assert "After epoch 3: **200 of 2,000**" in texts(run(at))


def test_every_chart_has_an_alt_text():
    at = open_page("evaluate", run=trained().id)
    for view in VIEWS:
        show(at, view)
        for key in CHARTS[view]:
            assert '"alt": "' in at.get_by_key(key).proto.json or '"alt":"' in at.get_by_key(key).proto.json
    assert all(image.proto.imgs[0].alt for image in at.get("image"))
