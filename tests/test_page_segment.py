"""The Segment page without a browser, against real small networks."""

import json

import numpy as np
import pytest
from factories import encode
from PIL import Image
from ui_support import errors, open_page, place, run, texts

from playground import runs
from playground.config import from_flat
from playground.data.scenes import compose_scene
from playground.data.store import open_arrays
from playground.inference.load import find_dataset, load_model
from playground.inference.sliding_window import Classifier, fuse_probs, make_label_map, slide_window
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.metrics import scores
from playground.runs import RunFolder
from playground.ui.common.pickers import format_percent
from playground.ui.pages.segment import regions as view

TINY = {"channels": "4-4", "fc_width": 8, "batch_size": 16, "device": "cpu", "precision": "float32", "threads": 1}


def train(name: str, **knobs: object) -> RunFolder:
    made = runs.create_run(from_flat(TINY | {"images_per_class": 60, "epochs": 2} | knobs), name)
    assert run_worker(made, Slot("cpu", 1)).state == "finished"
    return made


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two trained runs in a home of their own: (padded, without padding)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(client, "ensure_service", lambda: None)
        yield train("padded"), train("plain", padding="0")


@pytest.fixture(autouse=True)
def no_demo(monkeypatch):
    """The tests say which runs there are."""
    monkeypatch.setattr("playground.runs.registry.DEMO", runs.runs_folder() / "no-demo")


def page(folder: RunFolder, **query: str):
    return open_page("segment", run=folder.id, **query)


def pictures(at) -> list[dict]:
    return json.loads(at.get_by_key("segment_pictures").proto.json)["items"]


def chart(at, key: str) -> dict:
    return json.loads(at.get_by_key(key).proto.json)


def computed(folder: RunFolder, image: np.ndarray, epoch: int, *, regions: list[int], stride: int, sigma: float):
    """The label map by the core alone."""
    info, mean, std = find_dataset(folder)
    who = Classifier(load_model(folder, epoch), info.size, mean, std)
    sweeps = [slide_window(who, image, region, stride, "windows") for region in regions]
    probs = fuse_probs(sweeps, *image.shape[:2], "mean", sigma)
    return probs, make_label_map(probs, *image.shape[:2])


def upload(folder: RunFolder, content: bytes, name: str = "photo.png"):
    at = page(folder)
    at.get_by_key("segment_source").set_value("upload")
    run(at)
    at.file_uploader[0].upload(name, content)
    return run(at)


def png(width: int, height: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (max(1, height // 20), max(1, width // 20), 3), np.uint8)
    return encode(Image.fromarray(noise).resize((width, height)))


def test_a_scene_is_labelled_and_judged(both):
    padded, _ = both
    at = page(padded)
    data = open_arrays("cifar10-mini")
    scene = compose_scene(data.test_images, data.test_targets, seed=0, regions=6)
    probs, labels = computed(padded, scene.image, 2, regions=[48, 72], stride=8, sigma=31 / 4)
    assert len(np.unique(labels)) > 2
    confusion = scores.count_confusion(scene.labels, labels, 10)
    present = (confusion.sum(0) + confusion.sum(1)) > 0
    said = texts(at)
    assert f"**{100 * scores.compute_accuracy(confusion):.1f} %** of the pixels are right" in said
    assert f"mean IoU **{100 * scores.compute_iou(confusion)[present].mean():.1f} %**" in said
    assert [item["name"] for item in pictures(at)] == ["labels", "truth", "probability"]
    assert all(item["alt"].startswith("Scene 0. ") for item in pictures(at))
    assert "where there is: " + data.info.classes[scene.labels[128, 128]] in said
    bars = chart(at, "segment_point_chart")["figure"]["data"][0]
    assert bars["x"] == pytest.approx(100 * np.sort(probs[128, 128])[::-1][:5], abs=0.01)
    areas = chart(at, "segment_areas_chart")["figure"]["data"][0]
    shares = np.sort(np.bincount(labels.ravel(), minlength=10) / labels.size)[::-1]
    assert areas["x"] == pytest.approx(100 * shares[shares > 0], abs=0.01)
    assert not errors(at)


def test_alt_texts_name_the_likeliest_classes_and_the_largest_areas(both):
    padded, _ = both
    at = page(padded)
    data = open_arrays("cifar10-mini")
    classes, scene = data.info.classes, compose_scene(data.test_images, data.test_targets, seed=0, regions=6)
    probs, labels = computed(padded, scene.image, 2, regions=[48, 72], stride=8, sigma=31 / 4)
    here, shares = probs[128, 128], np.bincount(labels.ravel(), minlength=10) / labels.size
    likeliest = [f"{classes[k]} {format_percent(float(here[k]))}" for k in np.argsort(-here)[:5]]
    said = chart(at, "segment_point_chart")["alt"]
    assert said == "The likeliest classes at row 128, column 128: " + ", ".join(likeliest)
    largest = [f"{classes[k]} {format_percent(float(shares[k]))}" for k in np.argsort(-shares) if shares[k]]
    said = chart(at, "segment_areas_chart")["alt"]
    assert said == "Share of the area of each class that occurs: " + ", ".join(largest)
    labelled, true, probability = (picture["note"] for picture in pictures(at))
    for note, mask in ((labelled, labels), (true, scene.labels)):
        share = np.bincount(mask.ravel(), minlength=10) / mask.size
        order = [k for k in np.argsort(-share, kind="stable")[:3] if share[k]]
        assert note == ", ".join(f"{classes[k]} {format_percent(float(share[k]), 0)}" for k in order)
    frequent = probs[:, :, int(shares.argmax())]
    assert pictures(at)[2]["title"] == f"Probability of {classes[int(shares.argmax())]}"
    low, high = format_percent(float(frequent.min()), 0), format_percent(float(frequent.max()), 0)
    assert probability == f"from {low} (dark) to {high} (bright)"


def test_nothing_is_computed_while_nothing_changes(both, monkeypatch):
    at = page(both[0])
    asked = []
    real = slide_window
    monkeypatch.setattr(
        "playground.inference.sliding_window.slide_window", lambda *given: asked.append(given) or real(*given)
    )
    at.slider(key="segment_opacity").set_value(0.2)
    run(at)
    at.session_state[view.POINT] = (3, 4)
    assert "At row 3, column 4" in texts(run(at))
    at.get_by_key("segment_smoothing").set_value("majority")
    run(at)
    assert not asked
    at.number_input(key="segment_seed").set_value(9)
    run(at)
    assert len(asked) == 2


def test_a_network_without_padding_takes_one_pass(both):
    at = page(both[1])
    assert "in one pass a scale." in texts(at)
    assert "Not exact" not in texts(at)
    assert not [c for c in at.get("button_group") if c.proto.label == "Computation"]


def test_a_padded_network_is_exact_unless_a_person_wants_it_fast(both):
    at = page(both[0])
    assert "each by itself." in texts(at)
    before = pictures(at)[2]["url"]
    at.get_by_key("segment_how").set_value("one pass")
    said = texts(run(at))
    assert "Not exact, because the network pads its maps" in said
    assert "have the same label; probabilities differ by" in said
    assert pictures(at)[2]["url"] != before
    assert not errors(at)


def test_one_scale_without_smoothing_at_another_epoch(both):
    padded, _ = both
    at = page(padded, epoch="1")
    at.get_by_key("segment_scales").set_value("1")
    at.get_by_key("segment_smoothing").set_value("none")
    at.select_slider(key="segment_stride").set_value(32)
    at.slider(key="segment_region_32").set_value(32)
    run(at)
    data = open_arrays("cifar10-mini")
    scene = compose_scene(data.test_images, data.test_targets, seed=0, regions=6)
    _, labels = computed(padded, scene.image, 1, regions=[32], stride=32, sigma=0)
    confusion = scores.count_confusion(scene.labels, labels, 10)
    assert f"**{100 * scores.compute_accuracy(confusion):.1f} %** of the pixels are right" in texts(at)
    assert "**64 regions in " in texts(at)
    assert place(at) == {"run": padded.id, "epoch": "1"}


def test_three_scales_and_max(both):
    at = page(both[0])
    at.get_by_key("segment_scales").set_value("3")
    run(at)
    before = pictures(at)[2]["url"]
    assert "Regions of 32 and 48 and 72 pixels" in texts(at)
    at.get_by_key("segment_fusion").set_value("max")
    assert pictures(run(at))[2]["url"] != before
    assert not errors(at)


def test_the_stride_that_is_taken_is_said(both):
    at = page(both[0])
    assert "The stride is 7.5 and 9 px: whole pixels of the resized image." in texts(at)


def test_a_class_is_chosen_for_the_probability_map(both):
    at = page(both[0])
    before = pictures(at)[2]["url"]
    at.selectbox(key="segment_class").select("ship")
    run(at)
    assert pictures(at)[2]["title"] == "Probability of ship"
    assert pictures(at)[2]["url"] != before


def test_a_click_chooses_a_point(both, monkeypatch):
    state: dict[str, object] = {"segment_class": "", "segment_opacity": 0.5}
    at = page(both[0])
    at.session_state[view.POINT] = (250, 10)
    run(at)
    item = pictures(at)[0]
    assert item["at"] == [0, 250 // 8, 10 // 8]
    assert item["zoom"] == 8
    assert item["box"] == [0, 208, 48, 256]  # moved into the picture
    handed = []
    monkeypatch.setattr(view, "sheets", lambda *_, on_pick, **__: handed.append(on_pick))
    run(at)
    monkeypatch.setattr(view.st, "session_state", state)
    handed[0]("labels", 0, 3, 5)
    assert state[view.POINT] == (3 * 8 + 4, 5 * 8 + 4)


def test_an_uploaded_photo_has_no_truth_and_large_ones_are_shrunk(both):
    at = upload(both[0], png(1200, 700))
    assert "Shrunk from 1,200 × 700 to 512 × 299 pixels." in texts(at)
    assert [item["name"] for item in pictures(at)] == ["labels", "probability"]
    assert pictures(at)[0]["size"] == [512, 299]
    assert "of the pixels are right" not in texts(at)
    assert not errors(at)


def test_an_image_smaller_than_the_region_is_one_line_and_the_page_stays(both):
    at = upload(both[0], png(70, 60))
    line = "The image is 70 × 60 pixels, smaller than a region of 72; take a smaller region or a larger image"
    assert errors(at) == [line]
    at.slider(key="segment_region_32").set_value(32)
    assert not errors(run(at))
    assert pictures(at)


def test_a_file_that_is_no_photo_is_one_line(both):
    at = upload(both[0], b"a cat, in words")
    assert len(errors(at)) == 1
    assert "This is a text file" in errors(at)[0]
    assert at.slider(key="segment_region_32").value == 48


def test_too_fine_a_stride_is_one_line(both):
    at = page(both[0])
    at.select_slider(key="segment_stride").set_value(1)
    at.slider(key="segment_region_32").set_value(16)
    run(at)
    assert len(errors(at)) == 1
    assert "regions, and 20,000 are the most; take a larger stride" in errors(at)[0]


def test_a_network_that_is_no_chain_is_computed_by_windows_and_says_so(both, monkeypatch):
    from torch import nn

    class Other(nn.Module):
        def forward(self, images):
            return nn.functional.pad(images.mean((2, 3)), (0, 7))

    monkeypatch.setattr("playground.inference.load.load_model", lambda run, epoch: Other())
    at = page(both[0], epoch="0")
    line = "A Other is no chain of layers that can be turned into convolutions: each region is computed by itself."
    assert [info.value for info in at.info] == [line]
    assert "each by itself." in texts(at)
    assert not errors(at)


def test_very_many_classes_share_places(both, monkeypatch):
    monkeypatch.setattr(
        "playground.inference.sliding_window.FLOATS", 256 * 256
    )  # ten classes: 3.2 pixels, so 4, share a place
    at = page(both[1], epoch="1")
    at.session_state[view.POINT] = (255, 255)
    assert "At row 255, column 255" in texts(run(at))
    assert pictures(at)[2]["size"] == [256, 256]
    assert not errors(at)


def test_a_damaged_checkpoint_is_one_line(both):
    broken = train("broken")
    broken.checkpoint(2).write_bytes(b"\x80\x04junk")
    at = page(broken)
    assert len(errors(at)) == 1
    assert "damaged" in errors(at)[0]
    broken.delete()


def test_a_run_without_weights_says_so(both):
    waiting = runs.create_run(both[0].config, "waiting")
    at = page(waiting)
    assert at.info[0].value == "waiting is queued; it can be used as soon as it has weights."
    waiting.delete()


def test_without_any_run_it_says_so_and_links_to_train(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    at = open_page("segment")
    assert "There is no trained network yet" in at.info[0].value
    assert at.page_link[0].value == "Train a network"
    assert not errors(at)
