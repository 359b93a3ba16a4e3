"""The server predicts what training stored, and refuses with one line what it cannot."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from playground import runs
from playground.config import DataConfig, ModelConfig, RunConfig, TrainingConfig, from_flat
from playground.data.catalog import CATALOG
from playground.data.store import open_arrays
from playground.inference import load
from playground.inference.classify import predict
from playground.inference.errors import InferenceError
from playground.inference.load import load_model
from playground.interpret.trace import trace_image
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder

SMALL = RunConfig(
    data=DataConfig(images_per_class=20),
    model=ModelConfig(channels=(4, 4), fc_width=8, norm="batch", dropout=0.5),
    training=TrainingConfig(epochs=1, batch_size=32, device="cpu", precision="float32", threads=1),
)


def train(config: RunConfig) -> RunFolder:
    run = runs.create_run(config, "small")
    assert run_worker(run, Slot("cpu", 1)).state == "finished"
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        yield train(SMALL)


@pytest.fixture(autouse=True)
def empty_cache():
    load._cache.clear()


@pytest.mark.parametrize("epoch", [0, 1])
def test_it_predicts_what_training_stored(trained, epoch):
    images = open_arrays("cifar10-mini").test_images
    probs = predict(trained, epoch, images)
    assert probs.shape == (2000, 10)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)
    # What is stored is rounded to 11 bits.
    np.testing.assert_allclose(probs, trained.predictions(epoch), atol=5e-4)
    one = predict(trained, epoch, images[7:8])
    np.testing.assert_allclose(one[0], probs[7], atol=1e-5)


def test_predict_and_inside_compute_in_one_precision(trained):
    """Whatever the run was trained in, and whatever this machine is fast at."""
    run = train(from_flat({"precision": "bfloat16"}, base=SMALL))
    images = open_arrays("cifar10-mini").test_images[:300]
    told = predict(run, 1, images)
    net, (_, mean, std) = load_model(run, 1), load.find_dataset(run)
    inside = np.stack([trace_image(net, image, mean, std).probs for image in images])
    np.testing.assert_allclose(told, inside, atol=1e-5)
    second, first = np.sort(told, axis=1)[:, -2:].T
    clear = first - second > 1e-5
    np.testing.assert_array_equal(told.argmax(1)[clear], inside.argmax(1)[clear])
    stored = run.predictions(1)[:300]
    assert 1e-4 < np.abs(told - stored).max() < 2e-2  # training's are another matter


def test_the_class_with_the_highest_probability_is_the_stored_one(trained):
    images = open_arrays("cifar10-mini").test_images
    stored = trained.predictions(1)
    second, first = np.sort(stored, axis=1)[:, -2:].T
    clear = first - second > 1e-3  # closer than that, the rounding may swap them
    assert clear.sum() > 1000
    np.testing.assert_array_equal(predict(trained, 1, images).argmax(1)[clear], stored.argmax(1)[clear])


def test_no_images_give_no_rows(trained):
    assert predict(trained, 1, np.empty((0, 3, 32, 32), np.uint8)).shape == (0, 10)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 3, 28, 28), np.uint8),
        np.zeros((1, 1, 32, 32), np.uint8),
        np.zeros((3, 32, 32), np.uint8),
        np.zeros((1, 3, 32, 32), np.float32),
    ],
)
def test_images_of_another_shape_are_refused(trained, images):
    with pytest.raises(InferenceError, match=r"takes uint8 \(N, 3 × 32 × 32\)"):
        predict(trained, 1, images)


def test_it_is_ready_to_predict_not_to_learn(trained):
    network = load_model(trained, 1)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


# What cannot predict


def copy_of(trained: RunFolder) -> RunFolder:
    """The run's config and name in a folder of its own, without weights."""
    run = runs.create_run(trained.config)
    (run.path / "checkpoints").mkdir()
    return run


def refuse(run: RunFolder, epoch: int = 1) -> str:
    with pytest.raises(InferenceError) as caught:
        predict(run, epoch, np.zeros((1, 3, 32, 32), np.uint8))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_epoch_that_is_not_kept(trained):
    assert "keeps epochs 0 to 1" in refuse(trained, 5)
    assert "none yet" in refuse(copy_of(trained))


@pytest.mark.parametrize("content", [b"", b"\x80\x04cos\nsystem\n(S'x'\ntR.", b"\xff" * 100, bytes(8) + b"{}"])
def test_a_damaged_checkpoint(trained, content):
    run = copy_of(trained)
    run.checkpoint(1).write_bytes(content)
    assert "damaged" in refuse(run) or "do not fit" in refuse(run)


def test_a_truncated_checkpoint(trained):
    run = copy_of(trained)
    run.checkpoint(1).write_bytes(trained.checkpoint(1).read_bytes()[:-10])
    assert "damaged" in refuse(run)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_the_config(trained, change):
    weights, run = trained.weights(1), copy_of(trained)
    if change == "missing":
        del weights["output.bias"]
    elif change == "extra":
        weights["surprise"] = np.zeros(3, np.float32)
    else:
        weights["output.weight"] = weights["output.weight"][:9].copy()
    save_file(weights, run.checkpoint(1))
    assert "do not fit this run's knobs" in refuse(run)


def test_a_config_that_claims_a_giant_network_costs_nothing(trained, monkeypatch):
    run = runs.create_run(
        RunConfig(model=ModelConfig(channels=(512,), pooling="none", fc_width=2048))
    )  # 4 GB of weights
    (run.path / "checkpoints").mkdir()
    run.checkpoint(1).write_bytes(trained.checkpoint(1).read_bytes())
    assert "the limit is" in refuse(run)
    monkeypatch.setattr("playground.geometry.MAX_PARAMETERS", 10**12)  # and were it let through
    assert "do not fit" in refuse(run)


def test_weights_that_are_not_finite(trained):
    weights, run = trained.weights(1), copy_of(trained)
    weights["output.bias"][:] = np.nan
    save_file(weights, run.checkpoint(1))
    assert "no finite numbers" in refuse(run)


def test_a_run_on_a_data_set_that_is_not_here(trained):
    run = runs.create_run(RunConfig(data=DataConfig(dataset="someone-elses")))
    assert "no data set someone-elses" in refuse(run)
    run = runs.create_run(RunConfig(data=DataConfig(dataset="cifar10")))
    assert "download it first" in refuse(run)


def test_where_the_data_set_is_not_here_the_part_that_is_gives_the_mean(trained):
    """As with the bundled demo, which learned from all of CIFAR-10 and is judged on the bundled part."""
    assert not CATALOG["cifar10"].mean
    run = runs.create_run(from_flat({"dataset": "cifar10"}, base=SMALL))
    run.describe(predictions_dataset="cifar10-mini")
    (run.path / "checkpoints").mkdir()
    run.checkpoint(1).write_bytes(trained.checkpoint(1).read_bytes())
    images = open_arrays("cifar10-mini").test_images[:50]
    np.testing.assert_array_equal(predict(run, 1, images), predict(trained, 1, images))


# The cache


def test_a_network_is_loaded_once_until_its_file_changes(trained):
    first = load_model(trained, 1)
    assert load_model(trained, 1) is first
    assert load_model(trained, 0) is not first
    run = copy_of(trained)
    for moment in (1_000, 2_000):
        run.checkpoint(1).write_bytes(trained.checkpoint(1).read_bytes())
        os.utime(run.checkpoint(1), (moment, moment))
        assert load_model(run, 1) is load_model(run, 1)
    assert len(load._cache) == 4


def test_the_cache_stays_within_its_bytes_and_drops_the_oldest(trained, monkeypatch):
    size = sum(t.nbytes for t in load_model(trained, 0).state_dict().values())
    monkeypatch.setattr(load, "CACHE_BYTES", size)
    newest = load_model(trained, 1)
    assert load.count_cached_bytes() == size
    assert load_model(trained, 1) is newest
    monkeypatch.setattr(load, "CACHE_BYTES", size - 1)  # too large to keep: still served
    load._cache.clear()
    assert load_model(trained, 1) is not load_model(trained, 1)
    assert load.count_cached_bytes() == 0


def test_many_threads_get_the_same_answer(trained):
    images = open_arrays("cifar10-mini").test_images[:20]
    expected = predict(trained, 1, images)
    load._cache.clear()
    start = threading.Barrier(8)

    def ask(epoch: int) -> np.ndarray:
        start.wait(timeout=30)
        return predict(trained, epoch, images)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [1, 0] * 4))
    for answer in answers[::2]:
        np.testing.assert_allclose(answer, expected, atol=1e-6)
    assert len(load._cache) == 2


def test_torch_is_left_few_threads(trained):
    assert torch.get_num_threads() <= 2
