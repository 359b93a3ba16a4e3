"""What the tests of the exports share: tiny runs that were really trained, and programs in clean processes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_support import tiny
from ruff import find_ruff_bin

from playground.config import RunConfig
from playground.data import shapes, store
from playground.data.catalog import CATALOG, DatasetInfo
from playground.events import Batch, Event
from playground.exports.context import ExportContext
from playground.geometry import layers
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.metrics import IGNORE
from playground.runs import RunFolder, RunReader, Status, create_run


@pytest.fixture(scope="session")
def unpacked(session_home: Path) -> Path:
    """The bundled images, unpacked once, and a data set of a few of them, which is judged in no time."""
    whole = store.open_arrays("cifar10-mini")
    entry = replace(whole.info, name="few", title="A few images", bundled=False)
    rows = np.concatenate([np.flatnonzero(whole.train_targets == c)[: 60 - 5 * c] for c in range(10)])
    images = np.array(whole.train_images[rows])
    store.write_arrays(
        entry, images, np.array(whole.train_targets[rows]), whole.test_images[:150], whole.test_targets[:150]
    )
    return session_home / "data"


@pytest.fixture
def with_images(home: Path, unpacked: Path) -> Path:
    """A home with the bundled images ready."""
    if not (home / "data").exists():
        (home / "data").symlink_to(unpacked)
    return home


def few_pixels() -> None:
    """Keep a data set of 40 and 30 images with masks; a part of each has no class, and the last class no pixel.

    Their sides of 27 and 30 do not halve well, so maps are cut and padded on the way up.
    """
    parts = []
    for seed, count in ((0, 40), (1, 30)):
        images, masks = shapes.generate(count, 32, seed, shapes.Difficulty())
        masks[:, :5], masks[masks == 5] = IGNORE, 0
        parts += [images[:, :, :27, :30], masks[:, :27, :30]]
    entry = DatasetInfo(
        "few-pixels", "Few pixels", shapes.CLASSES, 3, 30, 40, 30, "MIT", "x", "x", "segmentation", height=27
    )
    store.write_arrays(entry, *parts)


def trained(name: str = "a run", watch: Any = None, **knobs: Any) -> RunFolder:
    """Train a tiny run to its end, on the few images."""
    run = create_run(tiny(**{"dataset": "few"} | knobs), name)
    status = run_worker(run, Slot("cpu", 1), watch)
    assert status.state == "finished", status
    return run


def changed_on_the_way(config: RunConfig) -> RunFolder:
    """Train a run whose live knobs are turned meanwhile, after 2, 3 and 5 steps."""
    wanted = {2: {"learning_rate": 1e-3}, 3: {"dropout": 0.3}, 5: {"weight_decay": 0.1, "learning_rate": 2e-3}}
    run = create_run(config, "changed")

    def watch(event: Event, status: Status) -> None:
        if isinstance(event, Batch) and event.step in wanted:
            run.command(set=wanted.pop(event.step))

    assert run_worker(run, Slot("cpu", 1), watch).state == "finished"
    return run


def python(*arguments: object, cwd: Path) -> str:
    """Run Python on its own, with no PYTHON… variables and only its own folder on its path; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PLAYGROUND"))}
    command = [sys.executable, "-I", "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stderr, done.stderr
    return done.stdout


def same_weights(run: RunFolder, epoch: int, path: Path) -> bool:
    """Compare a run's weights with those that a script wrote, to the last bit."""
    with np.load(path) as found:
        wanted = run.weights(epoch)
        return set(wanted) == set(found) and all(np.array_equal(wanted[name], found[name]) for name in wanted)


# Many scripts in one process, because torch takes seconds to import; each is run as a program of its own.
MANY = """
import os, runpy, sys
for number in range({count}):
    sys.argv = ["train.py", "--data", {data!r}, "--output", f"{{number}}"]
    print("script", number)
    runpy.run_path(f"{{number}}.py", run_name="__main__")
print("script {count}")
{more}
assert not [name for name in sys.modules if name.startswith("playground")]
"""


def run_scripts(scripts: Sequence[str], data: Path, folder: Path, more: str = "") -> list[str]:
    """Run scripts, which write into folders 0, 1 …, and then `more`; return what each has printed."""
    for number, text in enumerate(scripts):
        (folder / f"{number}.py").write_text(text)
    (folder / "all.py").write_text(MANY.format(count=len(scripts), data=str(data), more=more))
    return re.split(r"script \d+\n", python("all.py", cwd=folder))[1 : len(scripts) + 1]


def made_up(config: RunConfig, changes: dict | None = None, name: str = "made up", **status: Any) -> ExportContext:
    """Facts of a run that was never trained."""
    dataset = CATALOG[config.data.dataset]
    dataset = replace(dataset, mean=(0.5,) * dataset.channels, std=(0.25,) * dataset.channels)
    chain = layers(config.model, dataset.shape, dataset.num_classes, dataset.task)
    run = RunFolder(Path("nowhere"))
    known = Status(**({"state": "finished", "device": "cpu", "threads": 2} | status))
    return ExportContext(
        run, name, config.training.epochs, config, dataset, chain, known, RunReader(run), changes or {}, None
    )


def check_style(scripts: Iterable[str], folder: Path) -> None:
    """Have the formatter and the linter look at scripts."""
    for number, text in enumerate(scripts):
        (folder / f"script_{number}.py").write_text(text)
    options = ["--isolated", "--line-length", "120", "--target-version", "py311", "--no-cache"]
    rules = [
        "--select",
        "E,F,W,I,UP,B,C4,SIM,RUF,RET,PIE,D2,D3,D4",
        "--ignore",
        "D203,D213,D400,D406,D407,D413,D415,D417",
    ]
    for command in (["format", "--check", "--diff", *options], ["check", *options, *rules]):
        done = subprocess.run([find_ruff_bin(), *command, "."], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
