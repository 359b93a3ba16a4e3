"""Runs of older formats go on being readable: `tests/golden/` holds some of each, as they were written."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from playground.config import FORMAT, ConfigError, DataConfig, RunConfig, from_flat, from_json, to_json
from playground.config.migrations import STEPS, migrate
from playground.data import store
from playground.data.splits import split
from playground.inference.classify import predict
from playground.runs import RunError, RunFolder, export_zip, import_zip, open_run, runs_folder, status
from playground.studies import Axis, open_study, parse_axis
from playground.studies import create_study as create_study
from playground.studies.study import studies_folder

GOLDEN = Path(__file__).parent / "golden"
DEMOS = Path(store.__file__).parent.parent


def stored(name: str, format: int = 0) -> RunFolder:
    """Put a golden run on the shelf, with the weights of the bundled run where it is one of these."""
    path = runs_folder() / f"golden-{name}"  # "demo" alone is the bundled one
    shutil.copytree(GOLDEN / f"format-{format}" / name, path)
    if name.startswith("demo"):
        for part in ("checkpoints", "predictions"):
            shutil.copytree(DEMOS / name / part, path / part)
    (path / "lock").touch()
    return open_run(path.name)


def test_a_demo_of_format_0():
    run = stored("demo")
    assert (run.name, run.predictions_dataset, run.dataset.name) == ("Demo: CIFAR-10", "cifar10-mini", "cifar10")
    assert run.dataset.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-4)
    status = run.status()
    assert (status.state, status.best_label, status.best_epoch) == ("finished", "validation accuracy", 24)
    assert (status.best_score, status.test_score, status.parameters) == (0.905, 0.8953, 177_730)
    assert run.config.model.norm == "batch"
    data = store.open_arrays("cifar10-mini")
    kept, again = run.predictions(24), predict(run, 24, np.asarray(data.test_images[:200]))
    assert (kept[:200].argmax(1) == again.argmax(1)).mean() > 0.99


def test_a_demo_that_labels_pixels_of_format_0():
    run = stored("demo-segmentation")
    status = run.status()
    assert (status.metric, status.best_split, status.best_epoch) == ("iou", "val", 8)
    # Format 0 called it an accuracy; the row of the epoch says what it is.
    row = run.rows()[-1]
    assert (status.best_score, status.test_score) == (row["val"].iou, row["test"].iou)
    assert run.dataset.task == "segmentation" and run.masks(8).ndim == 3


def test_a_run_of_format_0_whose_data_set_is_not_here():
    run = stored("own-data-set")
    assert run.name == "tiny-own" and not run.damage
    # Epoch 0, before the first step, had the same validation accuracy and was called the best.
    assert (run.status().best_epoch, run.status().test_score) == (1, 0.5)
    with pytest.raises(RunError, match="tiny-own does not carry what its data set is like, and there is no data set"):
        _ = run.dataset


def test_the_rows_of_a_run_of_format_0_are_read_once_for_as_long_as_they_are_the_same(monkeypatch):
    run = stored("demo")
    metrics, read = run.path / "metrics.jsonl", []
    real = status._read_best
    monkeypatch.setattr(status, "_read_best", lambda path: read.append(path) or real(path))
    assert [run.status().best_epoch for _ in range(2)] == [24, 24]
    assert len(read) == 2  # they may be written once more within the same tick of the disk's clock
    monkeypatch.setattr(status, "SETTLED_SECONDS", 0.0)
    time.sleep(0.01)
    assert [RunFolder(run.path).status().best_epoch for _ in range(3)] == [24] * 3
    assert len(read) == 3

    before = metrics.stat()
    rows = [row for row in metrics.read_bytes().splitlines(keepends=True) if b'"epoch":24,' not in row]
    padded = b"".join(rows).ljust(before.st_size - 1) + b"\n"
    for content in (b"".join(rows), padded):  # as long as it was and with the same time, too
        metrics.write_bytes(content)
        os.utime(metrics, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert run.status().best_epoch == 22
    metrics.unlink()
    assert (run.status().state, run.status().best_epoch) == ("finished", None)


@pytest.mark.parametrize("name", ["demo", "demo-segmentation", "own-data-set"])
def test_a_change_writes_the_new_format(name):
    run = stored(name)
    before = run.about, run.status()
    run.rename("another")
    run.set_status(message="hello")
    for file in ("about.json", "status.json"):
        assert json.loads((run.path / file).read_text())["format"] == 1
    assert run.name == "another" and run.about.dataset == before[0].dataset
    assert run.status().best_score == before[1].best_score


@pytest.mark.parametrize("name", ["demo", "demo-segmentation", "own-data-set"])
def test_an_import_writes_the_new_format(name):
    again = import_zip(_pack(stored(name)))
    for file, format in (("config.json", FORMAT), ("about.json", 1), ("status.json", 1)):
        assert json.loads((again.path / file).read_text())["format"] == format


def _pack(run: RunFolder) -> Path:
    path = run.path.parent.parent / "run.zip"
    path.write_bytes(export_zip(run))
    return path


@pytest.mark.parametrize(("name", "norm"), [("without-norm", "none"), ("with-norm", "batch")])
def test_a_run_of_format_1_that_had_batch_normalisation_or_not(name, norm):
    run = stored(name, 1)
    assert "batch_norm" in (run.path / "config.json").read_text()
    assert run.config.model.norm == norm and not run.damage
    if norm == "batch":
        assert {len(probs) for probs in predict(run, 1, np.zeros((2, 3, 32, 32), np.uint8))} == {10}


def test_a_sweep_of_format_1_over_batch_normalisation():
    for member, name in (("20261125-174357-554407", "without-norm"), ("20261125-174403-036420", "with-norm")):
        stored(name, 1).path.rename(runs_folder() / member)
    shutil.copytree(GOLDEN / "format-1" / "study", studies_folder() / "old")
    study = open_study("old")
    assert study.study.base.model.norm == "batch"
    assert study.study.axes == (Axis("norm", ("none", "batch")),) == (parse_axis("batch_norm=false,true"),)
    assert [config.model.norm for _, config in study.plan.members] == ["none", "batch"]
    assert [member.values for member in study.members()] == [{"norm": "none"}, {"norm": "batch"}]
    again = create_study(study.study).path / "study.json"
    assert json.loads(again.read_bytes())["base"]["format"] == FORMAT
    assert open_study(again.parent.name).study.base == study.study.base


# Configs


def test_a_config_says_its_format():
    assert json.loads(to_json(RunConfig()))["format"] == FORMAT
    assert from_json(to_json(RunConfig())) == RunConfig()


def test_a_config_of_format_0_means_the_defaults_of_its_day():
    old = from_json('{"training": {"epochs": 3}}')
    assert (old.data.flip, old.model.norm, old.training.epochs) == (False, "none", 3)


@pytest.mark.parametrize(("said", "norm"), [("true", "batch"), ("0", "none"), (False, "none"), ("on", "batch")])
def test_what_a_knob_was_called_goes_on_working(said, norm):
    assert from_flat({"batch_norm": said}).model.norm == norm
    assert from_flat({"batch_norm": said}, from_flat({"norm": "none"})).model.norm == norm
    assert from_flat({"norm": "none", "batch_norm": said}).model.norm == "none"
    assert from_flat({"batch_norm": said, "norm": "none"}).model.norm == "none"


def test_an_old_name_with_no_value_of_its_own_is_refused_by_today_s():
    with pytest.raises(ConfigError, match=r"^Normalisation \(norm\) cannot be maybe; it takes one of none, batch"):
        from_flat({"batch_norm": "maybe"})
    with pytest.raises(ConfigError, match=r"^Normalisation \(norm\) cannot be null; it takes one of none, batch"):
        from_json('{"format": 1, "model": {"batch_norm": null}}')


def test_a_step_for_each_format_to_come():
    """What a renamed, a removed and an added setting would take: a step each, and every stored run stays readable."""

    def rename(stored):
        stored["training"]["schedule"] = stored["training"].pop("plan")
        return stored

    def remove(stored):
        del stored["model"]["bias"]
        return stored

    today = json.loads(to_json(from_flat({"schedule": "cosine"})))
    plan = today["training"].pop("schedule")
    old = {**today, "format": 0, "training": today["training"] | {"plan": plan}}
    old["model"] = today["model"] | {"bias": True}
    assert RunConfig.model_validate(migrate(old, (rename, remove))).training.schedule == "cosine"
    newer: dict = {**json.loads(to_json(from_flat({"schedule": "cosine"}))), "format": 1}
    newer["model"]["bias"] = False
    assert RunConfig.model_validate(migrate(newer, (rename, remove))).training.schedule == "cosine"


@pytest.mark.parametrize("number", [-1, 1.5, "1", True, None, [], len(STEPS) + 1, 2**70])
def test_formats_that_are_none_or_to_come_are_refused(number):
    with pytest.raises(ConfigError, match=r"^the config: (its format has|it is of format)") as error:
        from_json(json.dumps({"format": number}))
    assert str(error.value).isprintable()


# What else a stored run depends on


def test_the_split_of_a_data_set_is_part_of_the_format():
    """Runs of one data set are judged on the same images, so the random numbers of the split may never change."""
    targets = np.arange(60) % 3
    train, val = split(targets, DataConfig(validation_share=0.2, flip=False))
    assert val.tolist() == [2, 4, 8, 16, 20, 27, 34, 42, 44, 51, 52, 57]
    assert sorted([*train, *val]) == list(range(60))
    assert split(targets, DataConfig(folds=5, fold=1))[1].tolist() == [
        11,
        18,
        23,
        24,
        30,
        32,
        34,
        39,
        49,
        53,
        55,
        58,
    ]
