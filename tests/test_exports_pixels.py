"""The script of a run that labels pixels trains the same network again, in a process that knows nothing of this one."""

import ast
import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from exports_support import changed_on_the_way, check_style, few_pixels, made_up, run_scripts, same_weights
from jobs_support import tiny
from ui_support import open_page, texts
from ui_support import run as draw

from playground.config import KNOBS, RunConfig, from_flat
from playground.data import shapes
from playground.exports import export_run
from playground.exports.codegen.notebook import write_notebook
from playground.exports.codegen.script import write_script
from playground.exports.context import load_context
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.metrics.scores import compute_iou
from playground.runs import RunFolder, create_run

TINY = {"dataset": "few-pixels", "images_per_class": 0, "channels": "4-6-8", "batch_size": 8, "validation_share": 0.2}
TINY |= {"flip": False, "norm": "none"}
RUNS = {
    "U-Net, all at once": {
        "norm": "batch",
        "dropout": 0.2,
        "optimizer": "muon",
        "l1": 1e-4,
        "class_weights": True,
        "boundary_weight": 3.0,
        "label_smoothing": 0.1,
        "flip": True,
        "shift": 3,
        "rotation": 20,
        "colour": 0.3,
        "cutout": 6,
    },
    "U-Net, transposed": {"upsampling": "transposed", "loss": "cross_entropy_dice", "optimizer": "muon", "shift": 2},
    "U-Net, no skips": {"skips": False, "stride": 2, "loss": "focal", "boundary_weight": 2.0, "convs_per_block": 2},
    "U-Net, no pooling": {"upsampling": "transposed", "pooling": "none", "loss": "dice", "colour": 0.2},
    "U-Net, no padding": {"padding": "0", "channels": "4-6", "precision": "bfloat16", "dropout": 0.1, "rotation": 40},
    "U-Net, one pixel": {"channels": "4-4-4-4-4", "norm": "batch", "validation_share": 0, "batch_size": 13},
    "FCN": {
        "architecture": "fcn",
        "loss": "focal_dice",
        "class_weights": True,
        "boundary_weight": 1.5,
        "norm": "batch",
        "dropout": 0.2,
        "images_per_class": 25,
        "flip": True,
    },
    "FCN, transposed": {"architecture": "fcn", "upsampling": "transposed", "loss": "mse", "label_smoothing": 0.1},
    "FCN, no skips": {"architecture": "fcn", "skips": False, "stride": 2, "pooling": "average", "folds": 3, "fold": 1},
    "full batch": {"optimizer": "gradient_descent", "loss": "dice", "images_per_class": 20, "validation_share": 0},
    "full batch, weighted": {
        "optimizer": "gradient_descent",
        "loss": "cross_entropy_dice",
        "class_weights": True,
        "boundary_weight": 2,
        "images_per_class": 20,
        "shift": 2,
    },
    "full batch, some pixels": {"optimizer": "gradient_descent", "loss": "focal", "images_per_class": 20},
    "groups": {"norm": "group", "convs_per_block": 2},
    "few folds": {"loss": "mse", "class_weights": True, "images_per_class": 20, "folds": 2, "cutout": 4},
}
"""Knobs that between them reach every branch; "one pixel" has a last batch of one image with maps of one pixel."""


def knobs(**more) -> RunConfig:
    return tiny(**{**TINY, **more})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RunFolder]:
    """Every one of `RUNS`, and one whose knobs were changed on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("trained")))
        few_pixels()
        patch.setattr("playground.training.trainer.FULL_BATCH_CHUNK", 6)  # several pieces a step
        made = {name: create_run(knobs(**more), name) for name, more in RUNS.items()}
        for run in made.values():
            assert run_worker(run, Slot("cpu", 1)).state == "finished"
        made["changed"] = changed_on_the_way(knobs(epochs=3))
    return made


# The notebook's cells, beside what was unpacked of it.
NOTEBOOK = """
os.chdir("FCN-epoch-2-notebook")
runpy.run_path("cells.py")
"""


@pytest.fixture(scope="module")
def again(runs, tmp_path_factory) -> tuple[Path, list[tuple[str, RunFolder, int, str]]]:
    """The folder in which all scripts have run, and (name, run, epoch, what its script printed) of each."""
    folder = tmp_path_factory.mktemp("scripts")
    cases = [(name, run, run.epochs()[-1]) for name, run in runs.items()]
    cases += [("not to the end", runs["FCN"], 1), ("not at all", runs["FCN"], 0)]
    home = runs["FCN"].path.parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))
        scripts = [write_script(load_context(run, epoch)) for _, run, epoch in cases]
        scripts = [text.replace("FULL_BATCH_CHUNK = 512", "FULL_BATCH_CHUNK = 6") for text in scripts]
        with zipfile.ZipFile(io.BytesIO(export_run(runs["FCN"], 2, "notebook").content)) as archive:
            archive.extractall(folder)
    cells = nbformat.read(folder / "FCN-epoch-2-notebook" / "train.ipynb", as_version=4)
    nbformat.validate(cells)
    code = "\n\n".join(cell.source for cell in cells.cells if cell.cell_type == "code")
    (folder / "FCN-epoch-2-notebook" / "cells.py").write_text(code)
    outputs = run_scripts(scripts, home / "data" / "few-pixels", folder, NOTEBOOK)
    return folder, [(*case, output) for case, output in zip(cases, outputs, strict=True)]


def test_every_script_makes_the_same_weights(again):
    folder, cases = again
    assert len(cases) == len(RUNS) + 3
    for number, (name, run, epoch, _) in enumerate(cases):
        assert same_weights(run, epoch, folder / str(number) / "weights.npz"), name
    assert same_weights(cases[6][1], 2, folder / "FCN-epoch-2-notebook" / "weights" / "weights.npz"), cases[6][0]


def test_every_script_prints_the_figures_of_its_run(again):
    for name, run, epoch, output in again[1]:
        row = next(row for row in run.rows() if row.type == "epoch" and row.epoch == epoch)
        wanted = f"test loss {row.test.loss:.4f}, mean IoU {row.test.iou:.4f}, "
        wanted += f"pixel accuracy {row.test.accuracy:.2%}\n"
        if row.val:
            val = f"validation loss {row.val.loss:.4f}, mean IoU {row.val.iou:.4f}, "
            wanted = f"{val}pixel accuracy {row.val.accuracy:.2%}; {wanted}" if epoch else wanted
        confusion = np.array(row.confusion)
        each = zip(shapes.CLASSES, compute_iou(confusion), strict=True)
        wanted += "".join(f"IoU of {label}: {value:.4f}\n" for label, value in each)
        assert output.endswith(f"epoch {epoch}: {wanted}" if epoch else wanted), name
        assert output.count("\n") == epoch + (epoch == 0) + len(shapes.CLASSES), name


def test_every_kind_of_change_was_made(runs):
    changed = {row.knob for row in runs["changed"].rows() if row.type == "change"}
    assert changed == {"learning_rate", "dropout", "weight_decay"}


CHANGES = {"learning_rate": {3: 0.001}, "dropout": {3: 0.1}, "weight_decay": {4: 0.1}}


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """A script for each value of each choice that matters to pixels."""
    base = {"dataset": "shapes", "channels": "4-6-8"}
    variants: dict[str, dict] = {name: {**TINY, **more, **base} for name, more in RUNS.items()}
    variants |= {
        f"{name} {weights} {edges} {smoothing}": {
            "loss": name,
            "class_weights": weights,
            "boundary_weight": edges,
            "label_smoothing": smoothing,
        }
        for name in KNOBS["loss"].choices
        for weights, edges, smoothing in ((True, 2.0, 0.1), (True, 0, 0), (False, 2.0, 0), (False, 0, 0.1))
    }
    variants |= {name: {"activation": name, "architecture": "fcn"} for name in KNOBS["activation"].choices}
    variants |= {f"dataset {name}": {"dataset": name} for name in ("oxford-pet", "voc2012")}
    plain = {"validation_share": 0, "flip": False, "norm": "none"}
    variants |= {"all": plain, "some": {"validation_share": 0, "images_per_class": 9}}
    variants |= {
        "one block": {"channels": "4", "flip": False},
        "one block, FCN": {"channels": "4", "architecture": "fcn"},
    }
    made = {name: write_script(made_up(from_flat({**base, **more}))) for name, more in variants.items()}
    made["changes"] = write_script(made_up(from_flat(base), CHANGES))
    made["cuda"] = write_script(made_up(from_flat(base), device="cuda:0"))
    return made


def test_scripts_are_formatted_and_without_fault(scripts, tmp_path):
    check_style(scripts.values(), tmp_path)


def test_a_script_holds_only_what_its_knobs_need(scripts):
    plain = scripts["all"]
    for word in (
        *("augment", "boundary", "CLASS_WEIGHTS", "contiguous()", "known = targets", "classes =", "dropout"),
        *("held_back", "val_rows", "IMAGES_PER_CLASS", "F.pad", "Norm("),
    ):
        assert word not in plain, word
    assert "self.up1_narrow = nn.Conv2d(6, 4, kernel_size=1)" in plain
    assert "        block1 = self.activation(self.block1_conv1(images))  # (N, 4, 64, 64)\n" in plain
    assert "        x = torch.cat([x, block1], 1)  # (N, 8, 64, 64)\n" in plain
    assert "torch.cat" not in scripts["U-Net, no skips"]
    fcn = scripts["FCN"]
    assert 'up1 = F.interpolate(x, block1.shape[2:], mode="bilinear")  # (N, 6, 64, 64)\n' in fcn
    assert "return self.output(block1) + up1  # (N, 6, 64, 64)\n" in fcn
    assert "class Norm" not in fcn
    for loss in ("dice", "focal_dice"):
        assert ("BOUNDARY_WEIGHT" in scripts[f"{loss} True 2.0 0.1"]) == (loss != "dice")
        assert "LABEL_SMOOTHING" not in scripts[f"{loss} True 2.0 0.1"]
    assert "to the last bit" in plain and "to the last bit" not in scripts["cuda"]
    for text in scripts.values():
        assert "playground" not in text
        assert "sklearn" not in text and "scikit-learn" not in text


def test_the_shelf_offers_the_script(runs, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_HOME", str(runs["FCN"].path.parent.parent))
    monkeypatch.setattr(client, "ensure_service", lambda: None)
    at = open_page("runs")
    at.session_state["shelf_run"] = runs["FCN"].id
    at.session_state[f"export_{runs['FCN'].id}"] = True  # its popover is open
    page = draw(at)
    assert not page.error
    assert "With its images and masks (0 MB)." in texts(page)
    assert [b for b in page.get("download_button") if b.proto.label.startswith("Download ")]


def test_a_large_set_is_named_not_packed(runs, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_HOME", str(runs["FCN"].path.parent.parent))
    monkeypatch.setattr("playground.exports.MAX_IMAGES", 1000)
    file = export_run(runs["FCN"], 2, "script")
    assert file.name == "FCN-epoch-2.py"
    assert "copy them from the folder of the data set few-pixels, and name yours by --data" in file.note
    assert file.content.startswith(b'"""Train a fully convolutional network on Few pixels, with PyTorch alone.\n')


def test_the_names_of_classes_cannot_break_out():
    found = made_up(from_flat({"dataset": "shapes"}))
    classes = ('"); import os; os.abort() #', "it's", "\\", "a\nb", "é", "six")
    found = replace(found, dataset=replace(found.dataset, classes=classes))
    for text in (write_script(found), write_notebook(found).decode()):
        assert "os.abort" in text
    tree = ast.parse(write_script(found))
    given = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert ast.literal_eval(given["CLASSES"]) == list(classes)
    assert not re.search(r"^import os", write_script(found), re.MULTILINE)
