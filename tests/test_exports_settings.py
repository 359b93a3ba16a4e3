"""Every setting is in the exported script: with any one that is not at its default, it makes the run's weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports_support import few_pixels, made_up, python, same_weights, unpacked
from jobs_support import TINY, tiny

from playground.config import KNOBS, Knob, RunConfig, TrainingConfig, from_flat
from playground.config.models import knob
from playground.exports.codegen.notebook import write_notebook
from playground.exports.codegen.reads import NO_WEIGHT
from playground.exports.codegen.script import write_script
from playground.exports.context import ExportError, load_context
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder, create_run

__all__ = ["unpacked"]

BASE = TINY | {"dataset": "few", "images_per_class": 6, "flip": False}
PIXELS = {"dataset": "few-pixels", "images_per_class": 12, "channels": "4-6"}
NEEDS: dict[str, dict[str, Any]] = {
    "fold": {"folds": 3},
    "momentum": {"optimizer": "nesterov"},
    "class_weights": {"images_per_class": 0},  # so that there are more of some
    "dilation": {"kernel_size": 3},
    "rotation": {"rotation": 30},  # a tenth of a degree moves no pixel
    "architecture": PIXELS | {"architecture": "fcn"},  # of labels there is but one
    "upsampling": PIXELS,
    "skips": PIXELS,
    "boundary_weight": PIXELS,
}
"""Settings without which another does nothing; or with its own name, the value that does something."""


def another(knob: Knob, base: Any) -> Any:
    """Return a value that is neither the setting's default nor the base's."""
    match knob.kind:
        case "bool":
            return not base
        case "choice":
            return next(name for name in knob.choices if name not in (knob.default, base))
        case "int":
            values = (2, 3, 4)
        case "float":
            values = (0.1, 0.05, 0.02)
        case _:
            return "5-3"
    assert knob.low is not None and knob.high is not None
    return next(value for value in values if knob.low <= value <= knob.high and value not in (knob.default, base))


def settings(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of two runs that differ in this one alone."""
    needed = NEEDS.get(name, {})
    base = BASE | {key: value for key, value in needed.items() if key != name}
    value = needed.get(name) or another(KNOBS[name], getattr(getattr(from_flat(base), KNOBS[name].group), name))
    return base, base | {name: value}


WALK = """
import runpy, sys, traceback
for name, data in {cases!r}:
    sys.argv = ["train.py", "--data", data, "--output", name]
    try:
        runpy.run_path(name + ".py", run_name="__main__")
    except Exception:
        with open(name + ".txt", "w") as file:
            traceback.print_exc(file=file)
"""
"""One process for all scripts, because torch takes seconds to import; one that fails stops no other."""

Walked = tuple[Path, dict[str, tuple[RunFolder, RunFolder]]]


@pytest.fixture(scope="module")
def walked(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The folder in which the scripts have run, and for each setting the run without it and the run with it."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("scripts")
    (home / "data").mkdir()
    (home / "data" / "few").symlink_to(unpacked / "few")
    runs: dict[RunConfig, RunFolder] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))
        few_pixels()
        pairs = {name: tuple(map(from_flat, settings(name))) for name in KNOBS if name not in NO_WEIGHT}
        for config in {config for pair in pairs.values() for config in pair}:
            runs[config] = create_run(config, "a run")
            assert run_worker(runs[config], Slot("cpu", 1)).state == "finished", config
        found = {name: (runs[before], runs[after]) for name, (before, after) in pairs.items()}
        for name, (_, run) in found.items():
            (folder / f"{name}.py").write_text(write_script(load_context(run, run.config.training.epochs)))
    cases = [(name, str(home / "data" / run.config.data.dataset)) for name, (_, run) in found.items()]
    (folder / "all.py").write_text(WALK.format(cases=cases))
    python("all.py", cwd=folder)
    return folder, found


@pytest.mark.parametrize("name", [name for name in KNOBS if name not in NO_WEIGHT])
def test_a_setting_is_in_the_script(walked, name):
    folder, runs = walked
    before, run = runs[name]
    assert not (error := folder / f"{name}.txt").exists(), error.read_text()
    epoch = run.config.training.epochs
    assert same_weights(run, epoch, folder / name / "weights.npz")
    was, now = before.weights(before.config.training.epochs), run.weights(epoch)
    assert set(was) != set(now) or any(not np.array_equal(was[key], now[key]) for key in was), "it does nothing"


@pytest.mark.parametrize("name", NO_WEIGHT)
def test_a_setting_that_changes_no_weight_is_none_of_the_script(name):
    value = {"dataset": "cifar10-mini", "device": "cpu", "threads": 3}[name]
    config = tiny(dataset="cifar10-mini")
    assert write_script(made_up(config)) == write_script(made_up(from_flat({name: value}, base=config)))


class Clipped(TrainingConfig):
    """Settings with one that the exporter has never heard of."""

    clip: float = knob(0.0, "Gradient clipping", "How long a gradient may be.", ge=0, le=10)


def test_an_unknown_setting_is_an_error_in_one_line():
    config = RunConfig()
    at_default = config.model_copy(update={"training": Clipped()})
    changed = config.model_copy(update={"training": Clipped(clip=1.0)})
    assert write_script(made_up(at_default)) == write_script(made_up(config))
    for export in (write_script, write_notebook):
        with pytest.raises(ExportError, match=r"does not know the setting Gradient clipping \(clip\)") as refused:
            export(made_up(changed))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "knobs",
    [
        {"momentum": 0.5, "optimizer": "adam"},
        {"momentum": 0.5, "optimizer": "muon", "channels": "4", "fc_width": 0},
        {"batch_size": 7, "optimizer": "gradient_descent"},
        {"label_smoothing": 0.1, "class_weights": True, "loss": "dice"},
        {"validation_share": 0.3, "folds": 3},
        {"boundary_weight": 2.0, "skips": False, "upsampling": "transposed"},
        {"boundary_weight": 2.0, "fc_width": 3, "loss": "dice", "dataset": "shapes"},
    ],
    ids=str,
)
def test_a_setting_that_does_nothing_here_is_no_error(knobs):
    assert write_script(made_up(from_flat(knobs))).endswith("net.state_dict().items()})\n")
