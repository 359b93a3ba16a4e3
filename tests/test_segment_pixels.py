"""Networks that label pixels, from training to a photo: against torchmetrics, and against the network asked by hand."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from playground.config import DataConfig, RunConfig, from_flat
from playground.data import shapes, store
from playground.data.augment import augment_pairs, normalise
from playground.data.catalog import DatasetInfo
from playground.data.store import Arrays
from playground.events import Epoch
from playground.inference import segment as pixel_module
from playground.inference.classify import predict
from playground.inference.errors import InferenceError
from playground.inference.load import load_model
from playground.inference.segment import predict_pixels
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.metrics import IGNORE
from playground.models import build
from playground.runs import RunError, RunFolder, create_run, demo_run, list_runs, open_run
from playground.training import fit
from playground.training.losses import loss_function, median_frequency

TINY = {
    "dataset": "few-shapes",
    "channels": "4-6",
    "norm": "batch",
    "batch_size": 8,
    "epochs": 2,
    "validation_share": 0.2,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}


def few_shapes(size: int = 32) -> DatasetInfo:
    return DatasetInfo(
        "few-shapes", "Few shapes", shapes.CLASSES, 3, size, 40, 30, "MIT", "here", "none", task="segmentation"
    )


@pytest.fixture
def data(home) -> Arrays:
    """Forty images to train on, thirty to test on; a part of each mask has no class."""
    store.write_shapes(few_shapes())
    made = store.open_arrays("few-shapes")
    made.train_targets[:, :3] = IGNORE  # maps are copied on write: the file stays
    made.test_targets[:, :, -2:] = IGNORE
    return made


def epochs(config: RunConfig, data: Arrays, **more) -> list[Epoch]:
    return [event for event in fit(config, data, **more) if isinstance(event, Epoch)]


def logits_of(config: RunConfig, data: Arrays, epoch: Epoch, images: np.ndarray) -> torch.Tensor:
    net = build(config.model, data.info.shape, data.info.num_classes, "segmentation").eval()
    weights = {k.removeprefix("model."): torch.as_tensor(v) for k, v in epoch.snapshot.tensors.items() if "model." in k}
    net.load_state_dict(weights)
    with torch.inference_mode():
        return net(normalise(torch.from_numpy(images), data.info.mean, data.info.std))


@pytest.mark.parametrize("knobs", [{}, {"architecture": "fcn", "loss": "focal_dice", "class_weights": True}])
def test_the_figures_are_those_of_torchmetrics(data, knobs):
    config = from_flat(TINY | knobs | {"learning_rate": 0.02})
    last = epochs(config, data)[-1]
    logits = logits_of(config, data, last, np.asarray(data.test_images))
    preds, targets = logits.argmax(1), torch.from_numpy(np.asarray(data.test_targets)).long()
    counts = np.zeros((6, 6), int)
    for pred, target in zip(preds.flatten().tolist(), targets.flatten().tolist(), strict=True):
        if target != IGNORE:
            counts[target, pred] += 1
    np.testing.assert_array_equal(last.confusion, counts)
    iou = MulticlassJaccardIndex(6, average="none", ignore_index=IGNORE)(preds, targets)
    occurs = torch.tensor(counts.sum(1) > 0)
    assert last.test.iou == pytest.approx(float(iou[occurs].mean()), abs=1e-6)
    right = MulticlassAccuracy(6, average="micro", ignore_index=IGNORE)(preds, targets)
    assert last.test.accuracy == pytest.approx(float(right), abs=1e-6)
    np.testing.assert_array_equal(last.test_probs, preds[:24].numpy())
    assert last.test_probs.dtype == np.uint8
    assert last.test.score == last.test.iou and last.val is not None and last.val.iou is not None


def test_the_loss_of_a_split_is_a_mean_over_its_images(data):
    config = from_flat(TINY | {"class_weights": True, "boundary_weight": 3.0, "validation_share": 0.0})
    first = epochs(config, data)[0]
    logits = logits_of(config, data, first, np.asarray(data.test_images))
    weights = torch.from_numpy(median_frequency(np.asarray(data.train_targets), 6))
    loss = loss_function(config.training, weights)
    wanted = float(loss(logits, torch.from_numpy(np.asarray(data.test_targets)).long()))
    assert first.test.loss == pytest.approx(wanted, rel=1e-5)


def test_it_learns(data):
    config = from_flat(TINY | {"epochs": 12, "learning_rate": 0.02, "channels": "8-16", "validation_share": 0.0})
    found = epochs(config, data)
    assert found[-1].train is not None and found[1].train is not None
    assert found[-1].train.loss < 0.6 * found[1].train.loss
    assert (found[-1].test.accuracy, found[-1].test.score) > (found[0].test.accuracy, found[0].test.score)


def test_a_resumed_run_is_the_same_run(data):
    config = from_flat(TINY | {"flip": True, "rotation": 20.0, "dropout": 0.2, "loss": "cross_entropy_dice"})
    whole = epochs(config, data)
    tensors, facts = whole[1].snapshot.tensors, whole[1].snapshot.facts
    resumed = epochs(config, data, resume=(tensors, facts))
    assert [e.epoch for e in resumed] == [2]
    for name, tensor in whole[2].snapshot.tensors.items():
        np.testing.assert_array_equal(resumed[0].snapshot.tensors[name], tensor, err_msg=name)


def test_augmentation_moves_image_and_mask_together():
    random = np.random.default_rng(0)
    coarse = random.integers(0, 2, (16, 5, 6))
    masks = torch.from_numpy(coarse.repeat(8, 1).repeat(8, 2).astype(np.uint8))
    images = (masks * 240)[:, None].repeat(1, 3, 1, 1)  # an image that shows its own mask
    for knobs in (
        {"flip": True},
        {"flip": False, "shift": 5},
        {"flip": False, "rotation": 40.0},
        {"flip": True, "shift": 3, "rotation": 10.0},
    ):
        moved, labels = augment_pairs(images, masks, DataConfig(**knobs), torch.Generator().manual_seed(1))
        assert labels is not None and labels.shape == masks.shape and labels.dtype == torch.uint8
        assert set(labels.unique().tolist()) <= {0, 1}
        assert not torch.equal(labels, masks)
        off = (moved[:, 0].float() / 240 - labels).abs() > 0.51  # an edge that falls between two pixels is blurred
        assert off.float().mean() < 0.01, knobs
    same, labels = augment_pairs(
        images, masks, DataConfig(flip=False, colour=0.5, cutout=8), torch.Generator().manual_seed(1)
    )
    assert labels is not None and torch.equal(labels, masks) and not torch.equal(same, images)


@pytest.fixture
def trained(home) -> RunFolder:
    store.write_shapes(few_shapes())
    run = create_run(from_flat(TINY | {"epochs": 1}), "pixels")
    assert run_worker(run, Slot("cpu", 1)).state == "finished"
    return run


def test_a_run_keeps_masks_and_is_judged_by_its_iou(trained):
    status, rows = trained.status(), trained.rows()
    last = [row for row in rows if row.type == "epoch"][-1]
    assert status.best_score == last["val"].iou and status.test_score == last["test"].iou
    assert trained.masks(1).shape == (24, 32, 32) and trained.masks(1).dtype == np.uint8
    with pytest.raises(RunError, match="labels pixels"):
        trained.predictions(1)
    with pytest.raises(RunError, match="keeps epochs 0 to 1"):
        trained.masks(7)


def test_the_kept_masks_are_what_the_network_says_of_the_test_images(trained):
    images = store.open_arrays("few-shapes").test_images
    for row in (0, 23):
        np.testing.assert_array_equal(predict_pixels(trained, 1, images[row]).argmax(0), trained.masks(1)[row])


def test_a_photo_of_any_size_and_its_tiles(trained, monkeypatch):
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (3, 150, 171), np.uint8)
    whole = predict_pixels(trained, 1, photo)
    assert whole.shape == (6, 150, 171) and whole.dtype == np.float32
    np.testing.assert_allclose(whole.sum(0), 1, atol=1e-5)
    net, info = load_model(trained, 1), store.open_arrays("few-shapes").info
    with torch.inference_mode():
        wanted = net(normalise(torch.from_numpy(photo)[None], info.mean, info.std)).softmax(1)[0].numpy()
    np.testing.assert_allclose(whole, wanted, atol=1e-5)
    # Two blocks see some 20 pixels around; a margin of 32 makes tiles that fit together without a seam.
    monkeypatch.setattr(pixel_module, "TILE", 64)
    monkeypatch.setattr(pixel_module, "MARGIN", 32)
    tiled = predict_pixels(trained, 1, photo)
    assert tiled.shape == whole.shape
    padded = np.pad(photo, ((0, 0), (0, 10), (0, 21)), "edge")  # to 160 × 192, which halve well
    monkeypatch.setattr(pixel_module, "TILE", 1000)
    np.testing.assert_allclose(predict_pixels(trained, 1, padded)[:, :150, :171], tiled, atol=1e-5)
    monkeypatch.setattr(pixel_module, "TILE", 64)
    monkeypatch.setattr(pixel_module, "MARGIN", 4)
    assert np.abs(predict_pixels(trained, 1, photo) - tiled).max() > 1e-3


def test_large_photos_have_no_seam_between_tiles(home, monkeypatch):
    demo = demo_run("segmentation")
    assert demo is not None
    store.open_arrays("shapes")
    photo = np.random.default_rng(0).integers(0, 256, (3, 64, 640), np.uint8)
    assert photo.shape[2] > pixel_module.TILE
    tiled = predict_pixels(demo, demo.epochs()[-1], photo)
    monkeypatch.setattr(pixel_module, "TILE", 1024)
    whole = predict_pixels(demo, demo.epochs()[-1], photo)
    np.testing.assert_allclose(tiled, whole, atol=1e-3)


def test_scales_are_averaged(trained):
    photo = np.random.default_rng(0).integers(0, 256, (3, 64, 48), np.uint8)
    one, two = predict_pixels(trained, 1, photo), predict_pixels(trained, 1, photo, (0.5,))
    assert two.shape == one.shape and np.abs(two - one).max() > 1e-3
    np.testing.assert_allclose(predict_pixels(trained, 1, photo, (1.0, 0.5)), (one + two) / 2, atol=1e-6)


def test_bad_input_is_one_line(trained, monkeypatch):
    photo = np.zeros((3, 40, 40), np.uint8)
    with pytest.raises(InferenceError, match=r"takes uint8 \(3, H, W\)"):
        predict_pixels(trained, 1, photo[:1])
    with pytest.raises(InferenceError, match="1 × 1 pixels are too few"):
        predict_pixels(trained, 1, photo[:, :1, :1])
    with pytest.raises(InferenceError, match="keeps epochs 0 to 1"):
        predict_pixels(trained, 5, photo)
    monkeypatch.setattr(pixel_module, "MAX_NUMBERS", 100)
    with pytest.raises(InferenceError, match="40 × 40 pixels are too many for 6 classes"):
        predict_pixels(trained, 1, photo)
    with pytest.raises(InferenceError, match="labels each pixel"):
        predict(trained, 1, photo[None, :, :32, :32])


def test_the_bundled_run_labels_the_pixels_of_shapes(home):
    demo = demo_run("segmentation")
    assert demo is not None and demo.read_only and open_run(demo.id) == demo and demo in list_runs()
    last = demo.epochs()[-1]
    assert len(demo.epochs()) >= 4 and demo.status().state == "finished"
    figures = [row["test"].iou for row in demo.rows() if row.type == "epoch"]
    assert figures[-1] > 0.8 > 0.3 > figures[0]
    data, masks, right = store.open_arrays("shapes"), demo.masks(last), []
    for row in range(8):  # its weights are kept as float16, and were computed with as bfloat16 where that is fast
        again = predict_pixels(demo, last, np.asarray(data.test_images[row])).argmax(0)
        assert (again == masks[row]).mean() > 0.99
        right.append((again == data.test_targets[row]).mean())
    assert np.mean(right) > 0.9
