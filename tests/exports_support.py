"""What the tests of the exports share: tiny runs that were really trained, and programs in clean processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_support import tiny

from playground.data import store
from playground.jobs.slots import Slot
from playground.jobs.worker import work
from playground.runs import RunFolder, create


@pytest.fixture(scope="session")
def unpacked(session_home: Path) -> Path:
    """The bundled images, unpacked once, and a data set of a few of them, which is judged in no time."""
    whole = store.arrays("cifar10-mini")
    entry = replace(whole.info, name="few", title="A few images", bundled=False)
    rows = np.concatenate([np.flatnonzero(whole.train_targets == c)[: 60 - 5 * c] for c in range(10)])
    images = np.array(whole.train_images[rows])
    store.write(entry, images, np.array(whole.train_targets[rows]), whole.test_images[:150], whole.test_targets[:150])
    return session_home / "data"


@pytest.fixture
def with_images(home: Path, unpacked: Path) -> Path:
    """A home with the bundled images ready."""
    if not (home / "data").exists():
        (home / "data").symlink_to(unpacked)
    return home


def trained(name: str = "a run", watch: Any = None, **knobs: Any) -> RunFolder:
    """Train a tiny run to its end, on the few images."""
    run = create(tiny(**{"dataset": "few"} | knobs), name)
    status = work(run, Slot("cpu", 1), watch)
    assert status.state == "finished", status
    return run


def python(*arguments: object, cwd: Path) -> str:
    """Run Python on its own, with no PYTHON… variables and only its own folder on its path; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PLAYGROUND"))}
    command = [sys.executable, "-I", "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stderr, done.stderr
    return done.stdout
