"""The Predict page without a browser, against real small networks."""

import io
import json
import time

import numpy as np
import pytest
from factories import encode
from PIL import Image
from ui_support import errors, make_run, open_page, place, run, texts

from playground import runs
from playground.config import RunConfig, from_flat
from playground.data.store import open_arrays
from playground.inference.classify import predict
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder
from playground.ui.common.pickers import format_percent

TINY = {"channels": "4-4", "fc_width": 8, "batch_size": 32, "device": "cpu", "precision": "float32", "threads": 1}


def train(name: str, epochs: int = 2, **knobs: object) -> RunFolder:
    made = runs.create_run(from_flat(TINY | {"images_per_class": 20, "epochs": epochs} | knobs), name)
    assert run_worker(made, Slot("cpu", 1)).state == "finished"
    return made


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two trained runs in a home of their own: (older, newer)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(client, "ensure_service", lambda: None)
        first = train("first")
        time.sleep(1.1)  # ids tell the second, and by them which is newer
        yield first, train("second", epochs=1, seed=1)


@pytest.fixture(autouse=True)
def no_demo(monkeypatch):
    """The tests say which runs there are."""
    monkeypatch.setattr("playground.runs.registry.DEMO", runs.runs_folder() / "no-demo")


def photo(size=(60, 40), colour=(200, 100, 50)) -> bytes:
    return encode(Image.new("RGB", size, colour))


def page_with_photo(content: bytes, name: str = "cat.png", **query: str):
    at = open_page("predict", **query)
    at.get_by_key("predict_source").set_value("Upload")
    run(at)
    at.file_uploader[0].upload(name, content)
    return run(at)


def guesses(at) -> list[str]:
    return [metric.value for metric in at.metric]


def badges(at) -> str:
    return " ".join(element.value for element in at.markdown if "-badge[" in element.value)


def expected(folder: RunFolder, epoch: int, row: int) -> tuple[str, float, str]:
    """The class that training stored for a test image, its probability and the true class."""
    data, probs = open_arrays("cifar10-mini"), folder.predictions(epoch)[row]
    classes = data.info.classes
    return classes[int(probs.argmax())], float(probs.max()), classes[int(data.test_targets[row])]


def test_a_test_image_is_judged_as_training_judged_it(two):
    first, _ = two
    for epoch, row in ((2, 0), (0, 5)):
        at = open_page("predict", run=first.id, epoch=str(epoch))
        at.session_state["predict_row"] = row
        run(at)
        guess, share, truth = expected(first, epoch, row)
        assert guesses(at) == [guess]
        word = "Right" if guess == truth else "Wrong"
        assert f"{word}: {100 * share:.1f} %" in badges(at)
        assert not errors(at)


def test_right_and_wrong_are_said_with_a_symbol(two):
    first, _ = two
    data = open_arrays("cifar10-mini")
    right = first.predictions(2).argmax(1) == data.test_targets
    for value, icon in ((True, ":material/check:"), (False, ":material/close:")):
        at = open_page("predict", run=first.id)
        at.session_state["predict_row"] = int(np.flatnonzero(right == value)[0])
        assert icon in badges(run(at))


def test_the_newest_run_with_weights_is_shown_unasked(two):
    waiting = runs.create_run(RunConfig(), "still waiting")
    at = open_page("predict")
    assert at.query_params["run"] == two[1].id
    assert "epoch" not in at.query_params  # it follows the end
    waiting.delete()


def test_the_first_visit_shows_the_demo(two, monkeypatch):
    demo = RunFolder(two[0].path)
    for where in ("playground.runs.demo_run", "playground.runs.registry.demo_run"):
        monkeypatch.setattr(where, lambda task="classification": demo if task == "classification" else None)
    assert open_page("predict").query_params["run"] == two[0].id


def test_another_run_and_another_epoch(two):
    at = open_page("predict", run=two[0].id)
    at.select_slider[0].set_value(1)
    run(at)
    assert place(at) == {"run": two[0].id, "epoch": "1"}
    assert guesses(at) == [expected(two[0], 1, 0)[0]]
    at.selectbox(key="predict_run_widget").select(two[1].id)
    run(at)
    assert at.query_params["run"] == two[1].id
    assert guesses(at) == [expected(two[1], 1, 0)[0]]
    at.select_slider[0].set_value(0)
    assert guesses(run(at)) == [expected(two[1], 0, 0)[0]]


def test_an_epoch_that_is_not_kept_becomes_the_nearest(two):
    at = open_page("predict", run=two[0].id, epoch="77")
    assert at.select_slider[0].value == 2
    assert open_page("predict", run=two[0].id, epoch="-3").select_slider[0].value == 2
    assert open_page("predict", run=two[0].id, epoch="x").select_slider[0].value == 2


def test_two_runs_side_by_side(two):
    first, second = two
    at = open_page("predict", run=first.id, run2=second.id, epoch2="0")
    assert at.toggle(key="predict_two").value
    assert guesses(at) == [expected(first, 2, 0)[0], expected(second, 0, 0)[0]]
    at.toggle(key="predict_two").set_value(False)
    run(at)
    assert guesses(at) == [expected(first, 2, 0)[0]]
    assert "run2" not in at.query_params
    at.toggle(key="predict_two").set_value(True)
    assert len(guesses(run(at))) == 2


def test_the_second_run_is_another_one_unasked(two):
    at = open_page("predict", run=two[1].id)
    at.toggle(key="predict_two").set_value(True)
    assert run(at).query_params["run2"] == two[0].id


@pytest.mark.parametrize("run_id", ["no-such-run", "../../etc"])
def test_a_link_to_no_run_is_one_line(two, run_id):
    at = open_page("predict", run=run_id)
    assert len(errors(at)) == 1
    assert run_id in errors(at)[0]
    assert len(guesses(at)) == 1  # the rest of the page stays
    assert not errors(run(at))


def test_filters_of_the_gallery(two):
    at = open_page("predict", run=two[0].id)
    at.selectbox(key="predict_class").select("ship")
    run(at)
    data = open_arrays("cifar10-mini")
    ship = data.info.classes.index("ship")
    guessed = two[0].predictions(2).argmax(1)
    for verdict, wanted in (("Right", guessed == ship), ("Wrong", guessed != ship)):
        at.get_by_key("predict_verdict").set_value(verdict)
        run(at)
        rows = np.flatnonzero((data.test_targets == ship) & wanted)
        if len(rows):  # the first that passes is shown until one is picked
            assert guesses(at) == [expected(two[0], 2, int(rows[0]))[0]]
        else:
            assert "No test image passes these filters." in texts(at)


def test_pages_of_the_gallery(two):
    at = open_page("predict", run=two[0].id)
    assert at.get_by_key("predict_page").proto.num_pages == 34  # 2,000 images, 60 a page
    at.get_by_key("predict_page").set_value(34)
    assert not errors(run(at))


def test_a_photo_is_cropped_shown_and_judged(two):
    from playground.images import fit_to, read_image
    from playground.inference.classify import predict

    at = page_with_photo(photo(), run=two[0].id)
    probs = predict(two[0], 2, fit_to(read_image(photo()), 32, 3)[None])[0]
    assert guesses(at) == [open_arrays("cifar10-mini").info.classes[int(probs.argmax())]]
    assert f"with {100 * probs.max():.1f} %" in badges(at)
    assert "Right" not in badges(at)
    shown = [image.proto.imgs[0] for image in at.get("image")]
    assert "cat.png, 60 × 40 pixels; the network sees the square" in [image.caption for image in shown]
    assert "The network sees 32 × 32 pixels" in [image.caption for image in shown]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"hello", "This is a text file"),
        (b"", "empty"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "HEIC file is cut off or damaged"),
        (photo()[:50], "cut off or damaged"),
    ],
)
def test_a_file_that_is_no_photo_is_one_line_and_the_page_stays(two, content, line):
    at = page_with_photo(content, "photo.jpg", run=two[0].id)
    assert len(errors(at)) == 1
    assert line in errors(at)[0]
    assert at.selectbox(key="predict_run_widget").value == two[0].id
    at.get_by_key("predict_source").set_value("Test images")
    assert not errors(run(at))


def test_the_camera(two):
    at = open_page("predict", run=two[0].id)
    at.get_by_key("predict_source").set_value("Camera")
    run(at)
    file = io.BytesIO()
    Image.new("RGB", (640, 480), (9, 99, 199)).save(file, "JPEG")
    at.camera_input[0].upload("shot.jpg", file.getvalue())
    assert len(guesses(run(at))) == 1


def test_every_image_and_chart_has_an_alt_text(two):
    at = page_with_photo(photo(), run=two[0].id)
    pictures = [image.proto.imgs[0] for image in at.get("image")]
    assert len(pictures) == 2
    assert all(picture.alt for picture in pictures)
    chart = at.get_by_key("predict_bars")
    assert "The likeliest classes after epoch 2: " in str(chart.proto)


def test_the_alt_text_names_the_likeliest_classes_in_their_order(two):
    at = open_page("predict", run=two[0].id)
    at.session_state["predict_row"] = 7
    run(at)
    data = open_arrays("cifar10-mini")
    probs = predict(two[0], 2, data.test_images[7:8])[0]
    first = [f"{data.info.classes[k]} {format_percent(float(probs[k]))}" for k in np.argsort(-probs)[:5]]
    alt = json.loads(at.get_by_key("predict_bars").proto.json)["alt"]
    assert alt == "The likeliest classes after epoch 2: " + ", ".join(first)


def test_a_damaged_checkpoint_is_one_line(two):
    broken = make_run()
    at = open_page("predict", run=broken.id)
    assert len(errors(at)) == 1
    assert "do not fit this run's knobs" in errors(at)[0]
    broken.checkpoint(3).write_bytes(b"\x80\x04junk")
    assert "damaged" in errors(run(at))[0]
    broken.delete()


def test_a_run_without_weights_says_so_and_follows_when_they_come(two):
    waiting = runs.create_run(two[0].config, "waiting")
    at = open_page("predict", run=waiting.id)
    assert at.info[0].value == "waiting is queued; it can be asked as soon as it has weights."
    assert not guesses(at)
    run_worker(waiting, Slot("cpu", 1))
    assert len(guesses(run(at))) == 1
    stopped = runs.create_run(two[0].config, "stopped early")
    stopped.set_status(state="stopped")
    assert "kept no weights" in open_page("predict", run=stopped.id).info[0].value
    waiting.delete()
    stopped.delete()


def test_two_runs_of_one_name_are_told_apart(two):
    twins = [runs.create_run(two[0].config, "twin") for _ in range(2)]
    at = open_page("predict", run=two[0].id)
    options = at.selectbox(key="predict_run_widget").options
    assert len(set(options)) == len(options)
    for twin in twins:
        at.selectbox(key="predict_run_widget").select(twin.id)
        assert run(at).query_params["run"] == twin.id
        twin.delete()
        at = open_page("predict", run=two[0].id)


def test_without_any_run_it_says_so_and_links_to_train(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    at = open_page("predict")
    assert "There is no trained network yet" in at.info[0].value
    assert at.page_link[0].value == "Train a network"
    assert not errors(at)
