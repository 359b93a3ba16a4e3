"""The script and the notebook train the same network again, in a process that knows nothing of this program."""

import ast
import io
import json
import os
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from exports_support import (
    changed_on_the_way,
    check_style,
    made_up,
    run_scripts,
    same_weights,
    trained,
    unpacked,
    with_images,
)
from jobs_support import TINY, tiny

from playground.config import KNOBS, RunConfig, from_flat
from playground.data.catalog import CATALOG
from playground.exports import export_run
from playground.exports.codegen.lift import Lifter
from playground.exports.codegen.notebook import write_notebook
from playground.exports.codegen.script import write_script
from playground.exports.context import ExportError, load_context
from playground.runs import RunFolder, create_run, demo_run

pytestmark = pytest.mark.usefixtures("with_images")
__all__ = ["unpacked", "with_images"]

RUNS = {
    "plain": {
        "flip": False,
        "norm": "none",
        "fc_width": 8,
        "schedule": "constant",
        "optimizer": "sgd",
        "weight_decay": 0,
        "batch_size": 7,
        "precision": "float32",
    },
    "all at once": {
        "optimizer": "muon",
        "channels": "4-4",
        "norm": "batch",
        "schedule": "one_cycle",
        "dropout": 0.2,
        "l1": 1e-4,
        "label_smoothing": 0.1,
        "flip": True,
        "shift": 3,
        "rotation": 20,
        "colour": 0.3,
        "cutout": 6,
    },
    "full batch": {
        "optimizer": "gradient_descent",
        "images_per_class": 60,
        "validation_share": 0,
        "schedule": "step",
        "epochs": 3,
    },
    "full batch, weighted": {"optimizer": "gradient_descent", "class_weights": True, "loss": "focal"},
    "Brier": {"loss": "mse", "label_smoothing": 0.1, "optimizer": "nesterov", "schedule": "cosine", "shift": 2},
    "focal and Dice": {"loss": "focal_dice", "label_smoothing": 0.1, "optimizer": "adam"},
    "both": {"loss": "cross_entropy_dice", "label_smoothing": 0.1, "class_weights": True, "images_per_class": 30},
    "groups": {"norm": "group", "channels": "4-6", "activation": "mish"},
    "focal": {"loss": "focal", "class_weights": True, "images_per_class": 30},
    "Brier, weighted": {"loss": "mse", "class_weights": True, "images_per_class": 30},
    "bfloat16": {"precision": "bfloat16", "optimizer": "rmsprop", "activation": "gelu", "pooling": "average"},
    "folds": {"folds": 3, "fold": 1, "schedule": "range_test", "optimizer": "adam", "momentum": 0},
    "one pixel": {
        "channels": "4-4-4-4-4",
        "norm": "batch",
        "stride": 2,
        "pooling": "none",
        "validation_share": 0,
        "batch_size": 79,
    },
}
"""Knobs that between them reach every branch; "one pixel" has a last batch of one image with maps of one pixel."""


@pytest.fixture(scope="module")
def trained_runs(unpacked: Path, tmp_path_factory) -> dict[str, RunFolder]:
    """Every one of `RUNS`, and one whose knobs were changed on the way."""
    home = tmp_path_factory.mktemp("trained")
    (home / "data").symlink_to(unpacked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))
        patch.setattr("playground.training.trainer.FULL_BATCH_CHUNK", 100)  # several pieces a step
        runs = {name: trained(name, **knobs) for name, knobs in RUNS.items()}
        runs["changed"] = changed_on_the_way(tiny(dataset="few", epochs=3))
    return runs


# At last the download, as a person unpacks it, and the notebook's cells beside it.
DOWNLOAD = """
os.chdir("plain-epoch-2-script")
sys.argv = ["train.py", "--output", "."]
runpy.run_path("train.py", run_name="__main__")
runpy.run_path("cells.py")
"""


@pytest.fixture(scope="module")
def trained_again(trained_runs, unpacked, tmp_path_factory) -> tuple[Path, list[tuple[str, RunFolder, int, str]]]:
    """The folder in which all scripts have run, and (name, run, epoch, what its script printed) of each."""
    folder = tmp_path_factory.mktemp("scripts")
    cases = [(name, run, run.epochs()[-1]) for name, run in trained_runs.items()]
    cases.append(("not to the end", trained_runs["all at once"], 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(cases[0][1].path.parent.parent))
        scripts = [write_script(load_context(run, epoch)) for _, run, epoch in cases]
        scripts = [text.replace("FULL_BATCH_CHUNK = 512", "FULL_BATCH_CHUNK = 100") for text in scripts]
        for name in ("script", "notebook"):
            file = export_run(trained_runs["plain"], 2, name)
            assert file.name == f"plain-epoch-2-{name}.zip"  # neither overwrites the other
            with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
                archive.extractall(folder)
    notebook = nbformat.read(folder / "plain-epoch-2-notebook" / "train.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    (folder / "plain-epoch-2-script" / "cells.py").write_text("\n\n".join(code))
    outputs = run_scripts(scripts, unpacked / "few", folder, DOWNLOAD)
    return folder, [(*case, output) for case, output in zip(cases, outputs, strict=True)]


def test_every_script_makes_the_same_weights_and_accuracy(trained_again):
    folder, cases = trained_again
    for number, (name, run, epoch, output) in enumerate(cases):
        assert same_weights(run, epoch, folder / str(number) / "weights.npz"), name
        accuracy = next(row["test"].accuracy for row in run.rows() if row.type == "epoch" and row.epoch == epoch)
        last = next(line for line in output.splitlines() if line.startswith(f"epoch {epoch}:"))
        assert last.endswith(f"accuracy {accuracy:.2%}"), name


def test_every_kind_of_change_was_made(trained_runs):
    changed = {row.knob for row in trained_runs["changed"].rows() if row.type == "change"}
    assert changed == {"learning_rate", "dropout", "weight_decay"}


def test_the_download_and_its_notebook_make_the_same_weights(trained_again, trained_runs):
    folder, _ = trained_again
    assert same_weights(trained_runs["plain"], 2, folder / "plain-epoch-2-script" / "weights.npz")
    assert same_weights(trained_runs["plain"], 2, folder / "plain-epoch-2-script" / "weights" / "weights.npz")


MANY_CHANGES = {
    "learning_rate": {step: 0.001 * step for step in range(1, 40)},
    "dropout": {3: 0.1},
    "weight_decay": {4: 0.1, 5: 0.0},
}


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """A script for each value of each choice, and for what the choices do not reach."""
    variants: dict[str, dict] = {name: {**TINY, **knobs} for name, knobs in RUNS.items()}
    variants |= {f"dataset {name}": {"dataset": name} for name in CATALOG}
    variants |= {
        f"loss {name} {weights} {smoothing}": {"loss": name, "class_weights": weights, "label_smoothing": smoothing}
        for weights, smoothing in ((True, 0.1), (True, 0), (False, 0.1))
        for name in KNOBS["loss"].choices
    }
    variants |= {
        f"optimizer {name}": {"optimizer": name, "weight_decay": decay}
        for decay in (0, 0.1)
        for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "muon")
    }
    variants |= {"few": {"images_per_class": 5, "validation_share": 0}, "all": {"validation_share": 0}}
    variants |= {"few folds": {"images_per_class": 50, "folds": 2}, "no bend": {"pooling": "none", "fc_width": 0}}
    variants |= {name: {"optimizer": name, "schedule": "constant"} for name in ("muon", "gradient_descent")}
    made = {name: write_script(made_up(from_flat(knobs))) for name, knobs in variants.items()}
    for optimizer in ("sgd", "muon", "gradient_descent"):
        config = from_flat({"optimizer": optimizer, "schedule": "constant"})
        made[f"changes {optimizer}"] = write_script(made_up(config, MANY_CHANGES))
    for device in ("cuda:1", "mps"):
        made[device] = write_script(made_up(RunConfig(), device=device))
    made["hostile"] = write_script(made_up(RunConfig(), name='"""\\ import os; os.system("x") """' + "y" * 60))
    return made


def test_scripts_are_formatted_and_without_fault(scripts, tmp_path):
    check_style(scripts.values(), tmp_path)


def test_a_script_holds_only_what_its_knobs_need(scripts):
    plain = scripts["plain"]
    for word in ("augment", "factor", "Muon", "autocast", "dropout", "manual_seed(d", "matrices", "WEIGHT_DECAY"):
        assert word not in plain
    assert "lr=LEARNING_RATE" in plain
    assert "conv1=nn.Conv2d(3, 4, kernel_size=3, padding=1),  # (N, 4, 32, 32)" in plain
    full = scripts["all at once"]
    for word in ("def flip", "def shift", "def rotate", "def recolour", "def cut_out", "class Muon", "L1", "factor"):
        assert word in full
    assert "class Norm" not in full
    assert "class Norm" in scripts["one pixel"]
    assert "playground" not in "".join(scripts.values())
    assert 'datasets.SVHN("downloads", split="train" if train else "test", download=True)' in scripts["dataset svhn"]
    assert "data.data.numpy()[:, None]" in scripts["dataset mnist"]
    assert "torchvision" not in scripts["dataset cifar10-mini"]
    for text in scripts.values():
        imported = {
            node.names[0].name.split(".")[0] if isinstance(node, ast.Import) else node.module.split(".")[0]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert imported <= {
            "argparse",
            "collections",
            "functools",
            "math",
            "pathlib",
            "numpy",
            "torch",
            "torchvision",
            "sklearn",
        }


def test_a_name_cannot_break_out_of_the_docstring(scripts):
    tree = ast.parse(scripts["hostile"])
    assert "os.system('x')" in ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "system"]
    cells = json.loads(write_notebook(made_up(RunConfig(), name="<script>alert(1)</script> [x](y)")))["cells"]
    assert "<script>" not in "".join(cells[0]["source"]).replace("\\<script\\>", "")


def test_a_name_is_no_formula_in_the_notebook():
    cells = json.loads(write_notebook(made_up(RunConfig(), name="$x$, $$y$$ and ~~R&D;~~")))["cells"]
    words = " ".join("".join(cells[0]["source"]).split())
    dollar = "<span>&#36;</span>"
    assert rf"{dollar}x{dollar}, {dollar * 2}y{dollar * 2} and \~\~R\&D;\~\~" in words


def test_the_demo_has_a_script_though_its_data_set_is_not_here():
    text = write_script(load_context(demo_run(), 24))
    assert "datasets.CIFAR10" in text
    assert "MEAN = (0.4913" in text


def test_what_cannot_be_exported_says_so(with_images):
    run = create_run(from_flat({"dataset": "cifar100"}), "no weights")
    with pytest.raises(ExportError, match="no weights does not keep epoch 3; it keeps none yet"):
        export_run(run, 3, "script")
    run.save_epoch(1, {"output.bias": np.zeros(100)}, np.zeros((1, 100)))
    with pytest.raises(ExportError, match="mean and deviation of CIFAR-100 are not known here"):
        export_run(run, 1, "script")
    os.remove(run.path / "config.json")
    with pytest.raises(ExportError, match=r"has no config.json"):
        export_run(RunFolder(run.path), 1, "csv")


def test_sources_are_read_by_name():
    assert Lifter().define("playground.data.augment:_GREY").startswith("_GREY = (0.2989")
    assert Lifter().define("playground.data.augment:_bands").startswith("@lru_cache(maxsize=8)\ndef _bands(")
    assert "ty:" not in Lifter().define("playground.training.optim:Muon")
    with pytest.raises(KeyError):
        Lifter().define("playground.training.optim:nobody")
