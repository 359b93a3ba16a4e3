"""The views of the Segment page for a run that labels pixels, without a browser, against a real small network."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from ui_support import click, errors, open_page, run, texts

from playground import runs
from playground.comparison.remedies import REMEDIES
from playground.config import from_flat
from playground.data import shapes, store
from playground.data.catalog import DatasetInfo
from playground.inference.preprocess import restore_size
from playground.inference.segment import blur_images, evaluate_at_scales, predict_pixels
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.metrics import IGNORE
from playground.metrics.mask_scores import MASK_METRICS, class_fractions, compute_mask_metrics
from playground.plots.masks import PALETTE, find_clear_class, indexed_png, overlay_mask
from playground.plots.masks import mark_errors as error_map
from playground.runs import RunFolder
from playground.ui.common import pickers
from playground.ui.pages.segment import fixed_images as mask_view
from playground.ui.pages.segment.legend import entries

TINY = {
    "dataset": "few-shapes",
    "channels": "4-6",
    "norm": "batch",
    "batch_size": 8,
    "epochs": 2,
    "learning_rate": 0.02,
    "validation_share": 0.2,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that labels pixels, epochs 0 to 2, in a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(client, "ensure_service", lambda: None)
        store.write_shapes(
            DatasetInfo("few-shapes", "Few", shapes.CLASSES, 3, 32, 40, 30, "MIT", "here", "", task="segmentation")
        )
        made = runs.create_run(from_flat(TINY), "pixels")
        assert run_worker(made, Slot("cpu", 1)).state == "finished"
        yield made


@pytest.fixture(autouse=True)
def no_demo(monkeypatch):
    monkeypatch.setattr("playground.runs.registry.DEMO", runs.runs_folder() / "no-demo")


def view(folder: RunFolder, name: str, **query: str):
    at = open_page("segment", run=folder.id, **query)
    at.get_by_key("segment_view").set_value(name)
    return run(at)


def component(at, key: str) -> dict:
    """What a component was handed, as the browser gets it."""
    return json.loads(at.get_by_key(key).proto.json)


def metric(at, label: str) -> str:
    return next(m.value for m in at.metric if label in m.label)


def test_the_test_images_show_what_the_run_kept(trained):
    at = open_page("segment", run=trained.id)
    assert not errors(at)
    items = component(at, "segment_strip")["items"]
    assert len(items) == 24 and items[0]["box"] and not items[1]["box"]
    row = [row for row in trained.rows() if row.type == "epoch"][-1]
    assert metric(at, "Mean IoU") == pickers.format_percent(row["test"].iou)
    assert metric(at, "Pixel accuracy") == pickers.format_percent(row["test"].accuracy)
    assert metric(at, "Boundary F1") == pickers.format_percent(row["test"].boundary_f1)
    table = at.dataframe[0].value
    assert list(table["Class"]) == list(shapes.CLASSES)
    counts = np.array(row.confusion)
    iou = 100 * np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts)).clip(1)
    np.testing.assert_allclose(table["IoU"], iou)
    curve = component(at, "segment_curve")["figure"]["data"][0]
    assert curve["x"] == [0, 1, 2] and curve["y"][-1] == pytest.approx(100 * row["test"].iou, rel=1e-4)
    assert [item["title"] for item in component(at, "segment_large")["items"]] == [
        "The image",
        "The truth",
        "What the network says",
        "Errors",
        "Errors at boundaries",
    ]


def test_another_epoch_shows_other_masks(trained):
    last = component(open_page("segment", run=trained.id), "segment_strip")["items"]
    at = open_page("segment", run=trained.id, epoch="0")
    first = component(at, "segment_strip")["items"]
    assert [item["url"] for item in first] != [item["url"] for item in last]
    assert "after epoch 0" in texts(at)


def upload(at, pixels: np.ndarray):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    at.file_uploader[0].upload("photo.png", file.getvalue(), "image/png")
    return run(at)


def test_a_photo_gets_a_mask_at_its_own_resolution(trained):
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    at = upload(view(trained, "photo"), photo)
    assert not errors(at)
    assert "120 × 90 pixels" in component(at, "segment_photo_pictures")["items"][0]["note"]
    words = component(at, "segment_photo_pictures")["items"][1]["note"]
    shown = np.asarray(Image.fromarray(photo).resize((32, 24), Image.Resampling.BILINEAR, reducing_gap=3))
    mask = predict_pixels(trained, 2, shown.transpose(2, 0, 1)).argmax(0).astype(np.uint8)
    found = class_fractions(np.asarray(Image.fromarray(mask).resize((120, 90), Image.Resampling.NEAREST)), 6)
    largest = int(found.argmax())
    assert words == f"{shapes.CLASSES[largest]} covers {pickers.format_percent(float(found[largest]))}"
    side = next(slider for slider in at.select_slider if slider.label == "Seen at")
    side.set_value(120)
    at = run(at)
    assert not errors(at)
    own = class_fractions(predict_pixels(trained, 2, photo.transpose(2, 0, 1)).argmax(0).astype(np.uint8), 6)
    largest = int(own.argmax())
    words = component(at, "segment_photo_pictures")["items"][1]["note"]
    assert words == f"{shapes.CLASSES[largest]} covers {pickers.format_percent(float(own[largest]))}"
    at.get_by_key("segment_scales").set_value("three")
    assert not errors(run(at))


def test_a_file_that_is_no_photo_is_one_line(trained):
    at = view(trained, "photo")
    at.file_uploader[0].upload("notes.txt", b"words", "text/plain")
    run(at)
    assert len(errors(at)) == 1 and "not a photo" in errors(at)[0]


def test_a_remedy_trains_two_runs_that_differ_in_it_alone(trained, monkeypatch):
    monkeypatch.setattr(client, "submit_run", lambda folder: None)
    before = {folder.id for folder in runs.list_runs()}
    at = click(view(trained, "remedies"), "segment_train_boundary")
    assert not errors(at)
    made = sorted((f for f in runs.list_runs() if f.id not in before), key=lambda f: f.about.created)
    assert [f.config.training.boundary_weight for f in made] == [0.0, 4.0]
    assert all(f.about.parent == trained.id and f.config.data == trained.config.data for f in made)
    assert "appears when both have an epoch" in at.info[0].value
    for folder in made:
        assert run_worker(folder, Slot("cpu", 1)).state == "finished"
    at = run(at)
    rows = [[row for row in f.rows() if row.type == "epoch"][-1] for f in made]
    change = 100 * (rows[1].test.boundary_f1 - rows[0].test.boundary_f1)
    first = at.metric[0]
    assert "Boundary F1" in first.label and "should rise" in first.label
    assert first.delta.startswith(f"{change:+.1f} points")
    direction = first.proto.MetricDirection
    assert first.proto.direction == (direction.DOWN if change < 0 else direction.UP)
    assert len(component(at, "segment_errors_before")["items"]) == 6
    for folder in made:
        folder.delete()


def test_blur_is_answered_at_one_size_and_at_several(trained):
    at = view(trained, "remedies")
    at.get_by_key("segment_remedy").set_value("blur")
    at = run(at)
    assert not errors(at)
    data = store.open_arrays("few-shapes")

    def overlap(sigma: float, *scales: float) -> str:
        images, targets = blur_images(np.asarray(data.test_images), sigma), np.asarray(data.test_targets)
        return pickers.format_percent(evaluate_at_scales(trained, 2, images, targets, scales)[0]["iou"])

    assert metric(at, "Mean IoU") == overlap(3.0, 1.0, 0.75, 0.5)
    assert at.metric[0].delta.endswith(f"from {overlap(3.0, 1.0)}")
    fallen = [one.delta.startswith("-") for one in at.metric]
    assert [one.proto.direction == one.proto.MetricDirection.DOWN for one in at.metric] == fallen
    at.get_by_key("segment_sizes").set_value("around")
    at.get_by_key("segment_blur").set_value(0.0)
    assert metric(run(at), "Mean IoU") == overlap(0.0, 1.0, 0.75, 1.25) != overlap(0.0, 1.0, 0.75, 0.5)


def test_damaged_predictions_are_one_line_and_the_page_stays(trained):
    file = trained.prediction_file(1)
    content = file.read_bytes()
    try:
        file.write_bytes(content[:50])
        at = open_page("segment", run=trained.id, epoch="1")
        assert len(errors(at)) == 1 and "damaged" in errors(at)[0]
        at.get_by_key("segment_view").set_value("photo")
        assert not errors(run(at))
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("page", ["predict", "inside", "evaluate"])
def test_other_pages_say_where_the_run_is_shown(trained, page):
    at = open_page(page, run=trained.id)
    assert not at.exception
    assert any("labels pixels; it is shown on the page Segment" in info.value for info in at.info)
    assert any("There is no run that labels whole images yet" in info.value for info in at.info)
    assert not errors(at)


def test_the_home_of_a_run_that_labels_pixels(trained):
    at = open_page("train", run=trained.id)
    assert not errors(at)
    strip = component(at, "strip")["items"]
    assert len(strip) == 20 and "of the pixels are right" in strip[0]["alt"]


@pytest.fixture
def copied(trained):
    """A copy of the run, to be damaged."""
    copy = RunFolder(trained.path.with_name("a-copy"))
    shutil.copytree(trained.path, copy.path)
    yield copy
    shutil.rmtree(copy.path)


@pytest.mark.parametrize("shape", [(31, 32, 32), (3, 16, 16), (0, 32, 32)], ids=["too many", "other size", "none"])
def test_masks_that_are_not_of_the_test_images_are_damaged(copied, shape):
    copied.save_epoch(2, copied.weights(2), np.zeros(shape, np.uint8))
    with pytest.raises(runs.RunError, match="the masks of epoch 2 do not fit the test images of its data set"):
        copied.masks(2)
    assert not errors(open_page("train", run=copied.id))
    assert ["do not fit" in error for error in errors(open_page("segment", run=copied.id))] == [True]


def test_another_data_set_under_the_name_of_the_runs(copied):
    store.write_shapes(DatasetInfo("fewer", "Fewer", shapes.CLASSES, 3, 32, 10, 10, "MIT", "", "", task="segmentation"))
    copied.describe(predictions_dataset="fewer")
    at = open_page("train", run=copied.id)
    assert [item["guess"] for item in component(at, "strip")["items"]] == [""] * 10
    at = open_page("segment", run=copied.id)
    assert errors(at) == ["Fewer on this machine is not the data set that the run was judged on"]


def test_figures_by_hand():
    counts = [[8, 2, 0], [1, 3, 0], [0, 0, 0]]
    found = compute_mask_metrics(counts, 0.25)
    assert found["accuracy"] == pytest.approx(11 / 14)
    assert found["iou"] == pytest.approx((8 / 11 + 3 / 6) / 2) and found["worst_iou"] == pytest.approx(0.5)
    assert found["dice"] == pytest.approx((16 / 19 + 6 / 9) / 2) and found["boundary_f1"] == 0.25
    assert set(found) == set(MASK_METRICS) and all(remedy.metric in MASK_METRICS for remedy in REMEDIES.values())


def test_masks_as_pictures():
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    image = np.full((2, 2, 3), 100, np.uint8)
    assert (overlay_mask(image, mask, 0) == 100).all()
    np.testing.assert_array_equal(overlay_mask(image, mask, 1), PALETTE[mask])
    assert (overlay_mask(image, mask, 1, clear=0)[0, 0] == 100).all()
    assert find_clear_class(("Background", "cat")) == 0 and find_clear_class(("cat", "background")) is None
    file = Image.open(io.BytesIO(indexed_png(mask)))
    assert file.mode == "P" and np.array_equal(np.asarray(file), mask)
    np.testing.assert_array_equal(np.asarray(file.convert("RGB")), PALETTE[mask])
    wrong = np.array([[True, False], [False, False]])
    shown = error_map(image, wrong, mask != 255)
    assert shown[0, 0, 0] > 180 > shown[0, 0, 1] and (shown[1, 1] == 128).all()
    assert shown[0, 1, 1] >= shown[0, 1, 0]


def test_the_first_visit_shows_the_bundled_run_without_drawing_the_whole_set(home, monkeypatch):
    monkeypatch.undo()  # the bundled runs are there
    monkeypatch.setenv("PLAYGROUND_HOME", str(home))
    at = open_page("segment")
    assert not errors(at) and at.query_params["run"] == "demo-segmentation"
    assert len(component(at, "segment_strip")["items"]) == 24
    assert not (home / "data" / "shapes").exists()
    assert float(metric(at, "Mean IoU").split()[0]) > 80


def test_the_legend_shows_the_colours_that_are_in_the_pictures():
    classes = ("background", "disc", "star")
    mask = np.array([[0, 1], [1, 1]], np.uint8)
    truth = np.array([[0, 1], [2, IGNORE]], np.uint8)
    image = np.full((2, 2, 3), 200, np.uint8)
    told = "".join(entries(mask, classes, truth, find_clear_class(classes)))
    colours = {tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in re.findall(r"background:(#\w{6})", told)}
    colours |= {tuple(map(int, c)) for c in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", told)}
    drawn = [overlay_mask(image, some, 1, find_clear_class(classes)).reshape(-1, 3) for some in (mask, truth)]
    assert colours == {tuple(c) for c in np.concatenate(drawn).tolist()} - {(200, 200, 200)}
    assert '<i class="clear"></i>background <small>25.0 %, truly 33.3 %, left as it is' in told
    assert "no class <small>25.0 % of the truth" in told
    assert "clear" not in "".join(entries(mask, classes, None, None))  # where masks stand alone it has its colour


def test_every_percentage_beside_a_picture_has_its_name():
    rgb, truth = np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    mask = truth.copy()
    mask[:2] = 1
    notes = {picture.title: picture.note for picture in mask_view._large(rgb, mask, truth, 0.5, None)}
    assert notes["What the network says"] == "mean IoU 75 %"
    assert notes["Errors"] == "25.0 % of the pixels are wrong"
    assert notes["Errors at boundaries"] == "100 % of the errors lie here"
    assert mask_view._picture("k", 3, None, rgb, mask, truth).note == "IoU 75 %"


def pixels_of(url: str) -> np.ndarray:
    """The pixels of a picture as the browser shows them."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def test_a_larger_mask_has_no_class_that_the_mask_has_not():
    mask = np.random.default_rng(0).choice(np.array([0, 2, 5, 255], np.uint8), (7, 9))
    np.testing.assert_array_equal(restore_size(mask, (21, 36)), mask.repeat(3, 0).repeat(4, 1))
    assert set(np.unique(restore_size(mask, (50, 40)))) == {0, 2, 5, 255}  # no whole factor
    assert set(np.unique(restore_size(mask, (4, 5)))) <= {0, 2, 5, 255}
    drawn = overlay_mask(np.zeros((7, 9, 3), np.uint8), mask, 1.0)
    (picture,) = mask_view.enlarged([("The truth", drawn, "4 classes")])
    factor = mask_view.LARGE // 9
    np.testing.assert_array_equal(pixels_of(picture.url), PALETTE[mask].repeat(factor, 0).repeat(factor, 1))


def test_the_mask_over_a_photo_has_the_colours_of_its_classes_alone(trained):
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    at = upload(view(trained, "photo"), photo)
    at.slider(key="segment_photo_opacity").set_value(1.0)
    run(at)
    shown = pixels_of(component(at, "segment_photo_pictures")["items"][1]["url"]).reshape(-1, 3)
    clear = find_clear_class(shapes.CLASSES)
    colours = {tuple(PALETTE[k].tolist()) for k in range(len(shapes.CLASSES)) if k != clear}
    left = (shown == photo.reshape(-1, 3)).all(1)
    assert {tuple(colour) for colour in np.unique(shown[~left], axis=0).tolist()} <= colours


def test_the_share_of_the_errors_that_lie_at_boundaries():
    truth = np.zeros((40, 40), np.uint8)
    truth[2:11, 2:11] = 1  # is missed: 81 wrong pixels, of which the inner 5 × 5 are further than two from an edge
    mask = np.zeros((40, 40), np.uint8)
    mask[20:32, 20:32] = 2  # is made up: 144, of which the inner 8 × 8 are
    pictures = {p.title: p for p in mask_view._large(np.zeros((3, 40, 40), np.uint8), mask, truth, 0.5, None)}
    assert pictures["Errors"].note == "14.1 % of the pixels are wrong"
    assert pictures["Errors at boundaries"].note == "60 % of the errors lie here"  # 136 of 225
    factor = mask_view.LARGE // 40
    for title, count in (("Errors", 225), ("Errors at boundaries", 136)):
        red, green = pixels_of(pictures[title].url)[::factor, ::factor, :2].astype(int).transpose(2, 0, 1)
        assert (red > green + 50).sum() == count
