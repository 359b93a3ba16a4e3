"""The Inside page without a browser, against a real small network."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from ui_support import click, errors, open_page, place, run, texts

from playground import runs
from playground.config import from_flat
from playground.data.store import open_arrays
from playground.inference.classify import predict
from playground.inference.load import find_dataset, load_model
from playground.interpret.arithmetic import explain_number
from playground.interpret.trace import trace_image
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder
from playground.ui.common import pickers
from playground.ui.pages.inside import maps
from playground.ui.pages.inside.maps import LAYER, MAP

TINY = {
    "channels": "4-5",
    "norm": "batch",
    "fc_width": 8,
    "batch_size": 32,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained run, epochs 0 to 2, in a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(client, "ensure_service", lambda: None)
        made = runs.create_run(from_flat(TINY | {"images_per_class": 20, "epochs": 2}), "first")
        assert run_worker(made, Slot("cpu", 1)).state == "finished"
        yield made


@pytest.fixture(autouse=True)
def no_demo(monkeypatch):
    """The tests say which runs there are."""
    monkeypatch.setattr("playground.runs.registry.DEMO", runs.runs_folder() / "no-demo")


def view(folder: RunFolder, name: str, **query: str):
    at = open_page("inside", run=folder.id, **query)
    at.get_by_key("inside_view").set_value(name)
    return run(at)


def pictures(at, key: str) -> list[dict]:
    """What a group of pictures was handed, as the browser gets it."""
    return json.loads(at.get_by_key(key).proto.json)["items"]


def traced(folder: RunFolder, epoch: int, row: int = 0):
    _, mean, std = find_dataset(folder)
    return trace_image(load_model(folder, epoch), open_arrays("cifar10-mini").test_images[row], mean, std)


def code(at) -> str:
    return at.code[0].value


def test_the_network_is_drawn_layer_by_layer(trained):
    at = view(trained, "maps")
    assert at.query_params["run"] == trained.id
    expected = traced(trained, 2)
    items = pictures(at, "inside_network")
    assert [item["name"] for item in items] == list(expected.names)
    assert [item["count"] for item in items] == [output.shape[0] for output in expected.outputs]
    assert items[1]["note"].startswith("4 × 32 × 32\n")
    assert all(
        item["alt"] for key in ("inside_network", "inside_map_large", "inside_seen") for item in pictures(at, key)
    )
    assert not errors(at)


@pytest.mark.parametrize("name", ["input", "block1.conv1", "block1.norm1", "block1.act1", "block2.pool", "fc1"])
def test_the_arithmetic_is_that_of_the_chosen_number(trained, name):
    at = view(trained, "maps")
    at.selectbox(key=LAYER).select(name)
    run(at)
    at.number_input(key=MAP).set_value(2)
    run(at)
    place = (2,)
    expected = traced(trained, 2)
    if len(expected[name].shape) == 3:
        at.number_input(key="inside_row").set_value(3)
        at.number_input(key="inside_column").set_value(5)
        run(at)
        place = (2, 3, 5)
    assert code(at) == explain_number(load_model(trained, 2), expected, name, place).step.numbers
    assert not errors(at)


def test_the_maps_of_the_input_are_called_by_their_colours(trained):
    at = view(trained, "maps")
    titles = {item["name"]: item["title"] for item in pictures(at, "inside_network")}
    assert titles["input"] == "input: R, G, B"
    assert titles["block1.conv1"] == "block1.conv1"
    assert at.number_input(key="inside_channel").label == "Input map, 0 to 2 (R, G, B)"  # what the first layer adds up
    assert [name[:3] for name in at.table[-1].value["input map"]] == ["0 R", "1 G", "2 B"]
    at.selectbox(key=LAYER).select("input")
    at.number_input(key=MAP).set_value(2)
    run(at)
    assert at.number_input(key=MAP).label == "Map, 0 to 2 (R, G, B)"
    assert pictures(at, "inside_map_large")[0]["title"] == "input, map 2 (B)"


def test_the_softmax_names_the_classes(trained):
    at = view(trained, "maps")
    at.selectbox(key=LAYER).select("softmax")
    run(at)
    assert at.table[0].value["class"].tolist() == list(open_arrays("cifar10-mini").info.classes)


def test_a_click_chooses_a_map_and_a_pixel(monkeypatch):
    state: dict[str, object] = {}
    monkeypatch.setattr(maps.st, "session_state", state)
    maps._choose("block2.conv1", 3, 1, 1)
    maps._choose_place("", 0, 4, 6)
    assert state == {LAYER: "block2.conv1", MAP: 3, maps.ROW: 4, maps.COLUMN: 6}


def test_the_colour_scale_changes_the_sheets(trained):
    at = view(trained, "maps")
    urls = {}
    for scope in ("map", "layer", "global"):
        at.get_by_key("inside_scope").set_value(scope)
        urls[scope] = pictures(run(at), "inside_network")[1]["url"]
    assert len(set(urls.values())) == 3


def test_the_epoch_moves_everything_and_the_url(trained):
    at = view(trained, "maps")
    before = pictures(at, "inside_network")[1]["url"]
    at.select_slider[0].set_value(0)
    run(at)
    assert place(at) == {"run": trained.id, "epoch": "0"}
    assert pictures(at, "inside_network")[1]["url"] != before
    assert open_page("inside", run=trained.id, epoch="1").select_slider[0].value == 1


def test_play_steps_through_the_epochs_and_stops_at_the_end(trained, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("playground.ui.pages.inside.subject.time.monotonic", lambda: clock[0])
    at = view(trained, "maps")
    click(at, "inside_play")
    seen = [at.select_slider[0].value]
    for _ in range(3):
        clock[0] += 1.0
        seen.append(run(at).select_slider[0].value)
    assert seen == [0, 1, 2, 2]
    assert at.button(key="inside_play").label == "Play"
    click(at, "inside_play")
    assert at.button(key="inside_play").label == "Pause"
    assert click(at, "inside_play").select_slider[0].value == 0


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "I;16"])
def test_an_uploaded_photo_of_any_mode(trained, mode):
    at = open_page("inside", run=trained.id)
    at.session_state["inside_images"] = True
    run(at)
    at.get_by_key("predict_source").set_value("Upload")
    run(at)
    file = io.BytesIO()
    Image.new(mode, (70, 40)).save(file, "PNG")
    at.file_uploader[0].upload("photo.png", file.getvalue())
    run(at)
    assert pictures(at, "inside_seen")[0]["title"] == "photo.png"
    at.session_state["inside_images"] = False  # closed, it is kept
    assert pictures(run(at), "inside_seen")[0]["title"] == "photo.png"
    assert not errors(at)


def test_kernels_histograms_and_health(trained):
    at = view(trained, "kernels")
    assert pictures(at, "inside_kernels_colour")[0]["count"] == 4
    at.selectbox(key=LAYER).select("block2.conv1")
    run(at)
    assert [item["count"] for item in pictures(at, "inside_kernels")] == [4, 20]
    assert "Histogram of the gradients of block2.conv1" in str(at.get_by_key("inside_gradients").proto)
    at.toggle(key="inside_health").set_value(True)
    assert "block1.act1: " in texts(run(at))
    assert "A dead unit is zero" in texts(at)
    assert not errors(at)


def test_attributions_for_any_class_and_two_methods(trained):
    at = view(trained, "why")
    at.selectbox(key="inside_class").select(3)
    at.selectbox(key="inside_method_0").select("saliency")
    at.selectbox(key="inside_cam_1").select("block1.conv1")
    run(at)
    titles = [pictures(at, f"inside_why_{number}")[0]["title"] for number in (0, 1)]
    assert titles == ["Saliency: cat", "Grad-CAM: cat"]
    before = pictures(at, "inside_why_0")[0]["url"]
    at.slider(key="inside_opacity").set_value(0.0)
    assert pictures(run(at), "inside_why_0")[0]["url"] != before
    for method in ("input_x_gradient", "occlusion"):
        at.selectbox(key="inside_method_1").select(method)
        assert not errors(run(at))


def test_the_probabilities_over_time(trained):
    at = view(trained, "over_time")
    figure = json.loads(at.get_by_key("inside_over_time").proto.json)["figure"]
    image = open_arrays("cifar10-mini").test_images[:1]
    expected = [100 * predict(trained, epoch, image)[0, 0] for epoch in (0, 1, 2)]
    assert figure["data"][0]["x"] == [0, 1, 2]
    np.testing.assert_allclose(figure["data"][0]["y"], expected, rtol=1e-3)


def test_the_most_exciting_images(trained):
    at = view(trained, "exciting")
    at.selectbox(key=LAYER).select("block2.act1")
    at = run(at)
    found = pictures(at, "inside_exciting")
    assert len(found) == 9
    assert all("the patch is framed" in item["alt"] for item in found)
    assert not errors(at)


def test_an_edit_changes_the_map_and_reset_brings_it_back(trained):
    at = view(trained, "edit")
    before = [item["url"] for item in pictures(at, "inside_edited")]
    assert before[0] == before[1]
    assert at.button(key="inside_reset").disabled
    for preset in ("blur", "sharpen", "edge", "emboss"):
        click(at, f"inside_preset_{preset}")
        after = [item["url"] for item in pictures(at, "inside_edited")]
        assert after[0] == before[0] != after[1]
    click(at, "inside_reset")
    assert [item["url"] for item in pictures(at, "inside_edited")] == before
    assert not errors(at)


def test_the_bars_of_an_edit_name_the_likeliest_classes_in_their_order(trained):
    at = view(trained, "edit")
    probs = traced(trained, 2).probs
    classes = open_arrays("cifar10-mini").info.classes
    first = [f"{classes[k]} {pickers.format_percent(float(probs[k]))}" for k in np.argsort(-probs)[:5]]
    alt = json.loads(at.get_by_key("inside_bars_before").proto.json)["alt"]
    assert alt == "As trained, the likeliest classes: " + ", ".join(first)
    assert f"As trained: {first[0]}" in texts(at)


def test_numbers_are_typed_and_typed_back(trained, monkeypatch):
    at = view(trained, "edit")
    before = pictures(at, "inside_edited")[1]["url"]
    with monkeypatch.context() as patch:
        patch.setattr("streamlit.data_editor", lambda kernel, **_: kernel + 0.5)
        run(at)
        assert pictures(at, "inside_edited")[1]["url"] != before
        assert not at.button(key="inside_reset").disabled
        patch.setattr("streamlit.data_editor", lambda kernel, **_: kernel * np.inf)
        assert "A kernel's numbers lie between" in errors(run(at))[0]
    assert pictures(run(at), "inside_edited")[1]["url"] == before
    assert at.button(key="inside_reset").disabled


def test_an_edit_is_saved_as_a_run_that_names_its_parent(trained):
    count = len(runs.list_runs())
    at = view(trained, "edit")
    click(at, "inside_preset_edge")
    assert len(runs.list_runs()) == count
    at.text_input(key="inside_name").set_value("edged")
    run(at)
    click(at, "inside_save")
    child = next(folder for folder in runs.list_runs() if folder.name == "edged")
    assert child.about.parent == trained.id
    assert "Saved as edged" in at.success[0].value
    child.delete()


def test_the_embedding_stays_where_it_is(trained):
    def points(at) -> np.ndarray:
        figure = json.loads(at.get_by_key("inside_embedding").proto.json)["figure"]
        return np.concatenate([np.stack([t["x"], t["y"]], 1) for t in figure["data"]])

    at = view(trained, "embedding")
    last = points(at)
    at.select_slider[0].set_value(1)
    earlier = points(run(at))
    assert len(last) == 1000
    turned = earlier.T @ last  # aligned: no turn or mirroring brings them nearer
    np.testing.assert_allclose(turned, turned.T, atol=0.02 * np.abs(turned).max())
    assert not errors(at)


def test_the_embedding_shows_all_classes_and_fills_the_chart(trained):
    at = view(trained, "embedding")
    figure = json.loads(at.get_by_key("inside_embedding").proto.json)["figure"]
    assert [len(drawn["x"]) for drawn in figure["data"]] == [100] * 10
    targets = np.asarray(open_arrays("cifar10-mini").test_targets)
    for k, drawn in enumerate(figure["data"]):
        rows = [int(re.search(r"test image (\d+), ", text)[1]) for text in drawn["text"]]
        assert (targets[rows] == k).all()
    for axis in "xy":
        values = [value for drawn in figure["data"] for value in drawn[axis]]
        low, high = figure["layout"][f"{axis}axis"]["range"]
        assert low < min(values) and max(values) < high
        assert max(values) - min(values) > 0.9 * (high - low)
    assert "scaleanchor" not in figure["layout"]["yaxis"]


def test_the_embedding_by_neighbours_is_another_picture_of_the_same_images(trained):
    def chart(at) -> dict:
        return json.loads(at.get_by_key("inside_embedding").proto.json)

    at = view(trained, "embedding")
    straight = chart(at)
    assert straight["clicks"]
    rows = [row for trace in straight["figure"]["data"] for row in trace["customdata"]]
    assert sorted(rows) == list(range(1000))  # each point shows its own image
    at.get_by_key("inside_embedding_method").set_value("tsne")
    bent = chart(run(at))
    assert not errors(at)
    assert bent["figure"]["data"][0]["customdata"] == straight["figure"]["data"][0]["customdata"]
    assert bent["figure"]["data"][0]["x"] != straight["figure"]["data"][0]["x"]
    assert "variance" not in bent["figure"]["layout"]["xaxis"]["title"]["text"]


def test_a_layer_of_another_run_is_replaced_in_one_line(trained):
    at = view(trained, "over_time")
    at.session_state[LAYER] = "block9.conv1"
    at.get_by_key("inside_view").set_value("maps")
    run(at)
    assert "This network has no layer block9.conv1" in at.info[0].value
    assert at.selectbox(key=LAYER).value == "block1.conv1"


def test_a_damaged_epoch_is_one_line_and_the_page_stays(trained):
    path = trained.checkpoint(1)
    content = path.read_bytes()
    try:
        path.write_bytes(content[:100])
        at = open_page("inside", run=trained.id, epoch="1")
        assert len(errors(at)) == 1
        assert "damaged" in errors(at)[0]
        assert "\n" not in errors(at)[0]
        at.select_slider[0].set_value(0)
        run(at)
        at.get_by_key("inside_view").set_value("over_time")
        assert "Epoch 1 is left out" in run(at).warning[0].value
        assert not errors(at)
    finally:
        path.write_bytes(content)


def test_a_run_without_weights_and_a_link_to_no_run(trained):
    waiting = runs.create_run(trained.config, "waiting")
    at = open_page("inside", run=waiting.id)
    assert at.info[0].value == "waiting is queued; it can be looked into as soon as it has weights."
    assert not errors(at)
    waiting.delete()
    at = open_page("inside", run="no-such-run")
    assert len(errors(at)) == 1
    assert pictures(at, "inside_seen")


def test_the_slider_follows_a_run_that_goes_on(trained):
    growing = runs.create_run(trained.config, "growing")
    growing.save_epoch(0, trained.weights(0), trained.predictions(0))
    at = open_page("inside", run=growing.id)
    growing.save_epoch(1, trained.weights(1), trained.predictions(1))
    assert run(at).select_slider[0].value == 1
    assert "epoch" not in at.query_params
    growing.delete()


@pytest.mark.parametrize("hold", [100.0, 0.0])
def test_a_slider_that_a_person_moves_is_left_alone_for_a_while(trained, monkeypatch, hold):
    monkeypatch.setattr(pickers, "HOLD", hold)
    growing = runs.create_run(trained.config, "growing")
    for epoch in (0, 1):
        growing.save_epoch(epoch, trained.weights(epoch), trained.predictions(epoch))
    at = open_page("inside", run=growing.id)
    at.select_slider[0].set_value(0)
    run(at)
    before = at.select_slider[0]
    growing.save_epoch(2, trained.weights(2), trained.predictions(2))
    after = run(at).select_slider[0]
    assert after.value == 0
    assert (after.options == ["0", "1"]) == (after.proto.id == before.proto.id) == bool(hold)
    growing.set_status(state="finished")  # nothing draws the slider again, so it has all epochs at once
    assert run(at).select_slider[0].options == ["0", "1", "2"]
    assert at.select_slider[0].value == 0
    growing.delete()


def test_without_any_run_it_says_so(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    at = open_page("inside")
    assert "There is no trained network yet" in at.info[0].value
    assert at.page_link[0].value == "Train a network"
