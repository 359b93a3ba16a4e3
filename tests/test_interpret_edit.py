"""Edited kernels change the copy alone; saving makes a run of its own and writes nothing else."""

import dataclasses
from io import BytesIO

import numpy as np
import pytest
import torch

from playground import runs
from playground.config import DataConfig, ModelConfig, RunConfig, TrainingConfig, from_flat
from playground.data.store import open_arrays
from playground.events import Epoch, to_row
from playground.inference.classify import predict
from playground.inference.load import load_model
from playground.interpret import InterpretError
from playground.interpret.edit import Edit, choose_preset, edit_kernel, edit_network, save_edit
from playground.interpret.trace import trace_image
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.models import build
from playground.runs import RunError, export_zip, list_runs
from playground.training import fit

torch.set_num_threads(1)
PRESETS = ("blur", "sharpen", "edge", "emboss")
SMALL = RunConfig(
    data=DataConfig(images_per_class=8),
    model=ModelConfig(channels=(4, 4), fc_width=8),
    training=TrainingConfig(epochs=2, batch_size=16, device="cpu", precision="float32", threads=1),
)
SQUARE = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run in a home of the module's own, trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        made = runs.create_run(SMALL, "parent")
        assert run_worker(made, Slot("cpu", 1)).state == "finished"
        yield made


@pytest.fixture
def run(trained):
    """The trained run; other runs that a test makes are deleted after it."""
    about = (trained.path / "about.json").read_bytes()
    yield trained
    (trained.path / "about.json").write_bytes(about)
    for other in list_runs():
        if other != trained and not other.read_only:
            other.delete()


def first_of(data, count):
    """A data set with only the first test images."""
    return dataclasses.replace(data, test_images=data.test_images[:count], test_targets=data.test_targets[:count])


@pytest.mark.parametrize("size", range(1, 12))
def test_presets_of_any_size(size):
    made = {name: choose_preset(name, size) for name in PRESETS}
    for name, total in {"blur": 1, "sharpen": 1, "edge": 0, "emboss": 1}.items():
        assert made[name].shape == (size, size) and made[name].dtype == np.float32
        assert made[name].sum() == pytest.approx(total, abs=1e-5)  # what even ground becomes
    np.testing.assert_allclose(made["blur"], 1 / size**2)
    for name in ("blur", "sharpen", "edge"):
        for turned in (made[name].T, made[name][::-1], made[name][:, ::-1]):
            np.testing.assert_allclose(turned, made[name], atol=1e-6)
    if size > 1:
        assert made["emboss"][0, 0] < 0 < made["emboss"][-1, -1]
    like = np.full((size, size), 0.1)
    assert np.linalg.norm(choose_preset("blur", size, like)) == pytest.approx(np.linalg.norm(like), rel=1e-5)


def test_the_usual_kernels_of_three():
    np.testing.assert_allclose(choose_preset("edge", 3) * 9, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], atol=1e-6)
    np.testing.assert_allclose(choose_preset("sharpen", 3) * 9, [[-1, -1, -1], [-1, 17, -1], [-1, -1, -1]], atol=1e-6)
    np.testing.assert_allclose(choose_preset("emboss", 3) * 4, [[-2, -1, 0], [-1, 4, 1], [0, 1, 2]], atol=1e-6)
    with pytest.raises(InterpretError, match="there are blur, sharpen, edge, emboss"):
        choose_preset("swirl", 3)


def test_only_the_named_kernel_changes_and_only_in_the_copy(run):
    before = run.weights(2)
    after = edit_kernel(before, "block1.conv1", 2, 1, SQUARE)
    assert after.keys() == before.keys()
    np.testing.assert_array_equal(after["block1_conv1.weight"][2, 1], SQUARE)
    after["block1_conv1.weight"][2, 1] = before["block1_conv1.weight"][2, 1]
    for name, array in run.weights(2).items():
        np.testing.assert_array_equal(before[name], array)
        np.testing.assert_array_equal(after[name], array)
    every = edit_kernel(before, "block2.conv1", 0, None, SQUARE)["block2_conv1.weight"]
    assert (every[0] == np.array(SQUARE)).all() and (every[1:] == before["block2_conv1.weight"][1:]).all()


def test_maps_and_prediction_follow_an_edit_at_once_and_a_reset_brings_them_back(run):
    net, data = load_model(run, 2), open_arrays("cifar10-mini")
    image, mean, std = data.test_images[0], data.info.mean, data.info.std
    wanted = trace_image(net, image, mean, std)
    edits = [Edit.of("block1.conv1", 1, None, choose_preset("edge", 3)), Edit.of("block1.conv1", 1, 0, SQUARE)]
    changed = trace_image(edit_network(net, edits), image, mean, std)
    kernel = edit_network(net, edits).get_parameter("block1_conv1.weight")[1]
    np.testing.assert_array_equal(kernel[0], SQUARE)
    np.testing.assert_array_equal(kernel[1], choose_preset("edge", 3))
    same = [c for c in range(4) if np.array_equal(changed["block1.conv1"].values[c], wanted["block1.conv1"].values[c])]
    assert same == [0, 2, 3]
    assert not np.allclose(changed.probs, wanted.probs)
    np.testing.assert_array_equal(trace_image(edit_network(net, []), image, mean, std).probs, wanted.probs)
    np.testing.assert_array_equal(trace_image(net, image, mean, std).probs, wanted.probs)
    assert len({*edits, Edit.of("block1.conv1", 1, 0, np.array(SQUARE))}) == 2


def test_saving_makes_a_finished_run_that_names_its_parent_and_writes_nothing_else(run):
    data = open_arrays("cifar10-mini")
    files = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    edits = [Edit.of("block1.conv1", 1, None, SQUARE)]
    child = save_edit(run, 1, edits, data, data.info.mean, data.info.std, "mine")
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == files
    assert {found.id for found in list_runs() if not found.read_only} == {run.id, child.id}
    assert child.about.parent == run.id and child.name == "mine"
    assert child.about.note == "Edited after epoch 1 of parent:\nblock1.conv1, map 1, from all maps"
    assert child.config == run.config
    status = child.status()
    assert (status.state, status.epoch, status.step) == ("finished", 1, run.rows()[-1].step // 2)
    assert child.epochs() == child.predicted_epochs() == [1]
    assert child.load_resume() is None and not child.is_locked()
    (row,) = child.rows()
    assert row.type == "epoch" and row["test"].accuracy == status.test_score
    assert np.sum(row.confusion) == 2000
    probs = predict(child, 1, data.test_images)
    np.testing.assert_allclose(child.predictions(1), probs, atol=5e-4)
    assert (probs.argmax(1) == data.test_targets).mean() == pytest.approx(status.test_score, abs=2e-3)
    np.testing.assert_array_equal(child.weights(1)["block1_conv1.weight"][1, 2], SQUARE)
    assert runs.import_zip(BytesIO(export_zip(child))).epochs() == [1]


def test_a_kernel_saved_unchanged_has_the_loss_it_had(run):
    """Also where classes have weights, which are those of the images that the run learned from."""
    config = from_flat({"class_weights": True, "norm": "none"}, base=SMALL)
    data = open_arrays("cifar10-mini")
    rare = data.train_targets != 3
    rare[np.flatnonzero(~rare)[:3]] = True  # three images of one class are left
    data = dataclasses.replace(data, train_images=data.train_images[rare], train_targets=data.train_targets[rare])
    events = [event for event in fit(config, data) if isinstance(event, Epoch)]
    parent = runs.create_run(config, "weighted")
    with parent.hold():
        for event in events:
            parent.append(to_row(event))
            tensors = event.snapshot.tensors.items()
            weights = {name.removeprefix("model."): t for name, t in tensors if name.startswith("model.")}
            parent.save_epoch(event.epoch, weights, event.test_probs)
        parent.set_status(state="finished", epoch=2, epochs=2)
    kernel = parent.weights(2)["block1_conv1.weight"][0, 0]
    child = save_edit(parent, 2, [Edit.of("block1.conv1", 0, 0, kernel)], data, data.info.mean, data.info.std)
    assert child.rows()[0].test.loss == pytest.approx(events[-1].test.loss, rel=1e-5)
    parent.describe(predictions_dataset="shapes")
    other = dataclasses.replace(data, info=dataclasses.replace(data.info, name="other"))
    with pytest.raises(InterpretError, match="weighs classes by the images of cifar10-mini, which are not here"):
        save_edit(parent, 2, [Edit.of("block1.conv1", 0, 0, kernel)], other, data.info.mean, data.info.std)


def test_the_new_run_is_held_until_it_is_finished(run, monkeypatch):
    """Until then it says it is queued, and a job service would train it."""
    data, seen, real = open_arrays("cifar10-mini"), [], runs.RunFolder.save_epoch

    def spy(child, *args):
        seen.append((child.is_locked(), child.status().state))
        real(child, *args)

    monkeypatch.setattr(runs.RunFolder, "save_epoch", spy)
    rest = first_of(data, 8), data.info.mean, data.info.std
    child = save_edit(run, 1, [Edit.of("block1.conv1", 0, 0, SQUARE)], *rest)
    assert seen == [(True, "queued")] and child.status().state == "finished"


def test_a_child_is_judged_on_the_images_its_parent_was(run):
    other = dataclasses.replace(run.dataset, mean=(0.4,) * 3, std=(0.3,) * 3)
    run.describe(predictions_dataset="cifar10-mini", dataset=other)
    data = open_arrays("cifar10-mini")
    child = save_edit(run, 2, [Edit.of("block2.conv1", 0, 0, SQUARE)], first_of(data, 50), (0.4,) * 3, (0.3,) * 3)
    assert child.dataset == other and child.predictions_dataset == "cifar10-mini"
    assert child.name == "parent, edited"


def test_nothing_is_left_of_a_run_that_could_not_be_saved(run, monkeypatch):
    data = open_arrays("cifar10-mini")
    rest = first_of(data, 8), data.info.mean, data.info.std
    edit = Edit.of("block1.conv1", 0, 0, SQUARE)
    with pytest.raises(InterpretError, match="Nothing was edited"):
        save_edit(run, 1, [], *rest)
    with pytest.raises(RunError, match="keeps epochs 0 to 2"):
        save_edit(run, 9, [edit], *rest)
    monkeypatch.setattr(runs.RunFolder, "save_epoch", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_edit(run, 1, [edit], *rest)
    assert [found.id for found in list_runs() if not found.read_only] == [run.id]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("block1.conv1", 4, 0, SQUARE), "has no map 4; it has 0 to 3"),
        (("block1.conv1", 0, 3, SQUARE), "looks at no map 3; it looks at 0 to 2"),
        (("block1.conv1", 0, 0, [[1, 2], [3, 4]]), "has kernels of 3 × 3, not 2 × 2"),
        (("block1.conv1", 0, 0, [[1, 2, 3]]), "a square of numbers; these are 1 × 3"),
        (("block1.conv1", 0, 0, [["a"] * 3] * 3), "made of numbers"),
        (("block1.conv1", 0, 0, [[1, 2], [3]]), "made of numbers"),
        (("block1.conv1", 0, 0, np.full((3, 3), np.nan)), "lie between"),
        (("block1.conv1", 0, 0, np.full((3, 3), 1e30)), "lie between"),
        (("block9.conv1", 0, 0, SQUARE), "no conv(olution)? '?block9.conv1"),
        (("fc1", 0, 0, SQUARE), "no conv(olution)? '?fc1"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_in_one_line(change, says):
    net = build(SMALL.model, (3, 32, 32), 10).eval()
    weights = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    for attempt in (lambda: edit_kernel(weights, *change), lambda: edit_network(net, [Edit.of(*change)])):
        with pytest.raises(InterpretError, match=says) as caught:
            attempt()
        assert "\n" not in str(caught.value)
