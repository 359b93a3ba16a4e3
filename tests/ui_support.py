"""For the tests of the pages: the app without a server, and runs of every kind without training."""

import functools
import os
import re
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from rows_support import make_row
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from playground import runs
from playground.config import from_flat
from playground.data import store
from playground.jobs import client
from playground.runs import RunFolder

ROOT = Path(__file__).parent.parent
WORKING = ("preparing", "running")
# Each AppTest would read what all installed packages say of themselves, which takes longer than to draw a page.
scan = functools.cache(manifest_scanner.scan_component_manifests)
manifest_scanner.scan_component_manifests = scan  # ty: ignore[invalid-assignment]


@pytest.fixture(scope="session")
def unpacked(session_home: Path) -> Path:
    """The bundled images, unpacked once for all tests of pages."""
    store.open_arrays("cifar10-mini")
    return session_home / "data"


@pytest.fixture
def app_home(home: Path, unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the bundled images ready, and nobody who would start a run."""
    monkeypatch.setattr(client, "ensure_service", lambda: None)
    os.symlink(unpacked, home / "data")
    return home


def open_page(page: str, **query: str) -> AppTest:
    """Open a page by a link, as a browser does."""
    at = AppTest.from_file(str(ROOT / "pages" / "frame.py"), default_timeout=30)
    at.run()
    assert not at.exception
    at.switch_page(f"{page}.py")
    for name, value in query.items():
        at.query_params[name] = value
    return run(at)


def run(at: AppTest) -> AppTest:
    """Draw the page again; nothing may fail."""
    at.run()
    assert not at.exception, [e.message for e in at.exception]
    return at


def place(at: AppTest) -> dict[str, str]:
    """Return the run and the epoch that the address names."""
    return {name: at.query_params[name] for name in ("run", "epoch") if name in at.query_params}


def click(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click()
    return run(at)


def errors(at: AppTest) -> list[str]:
    """What the error lines say, as a person reads them: without what `escape` puts in."""
    return [re.sub(r"\\(?=[^\w\s])", "", error.value).replace("\u2060", "") for error in at.error]


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.caption))


def accuracy_after(epoch: int) -> float:
    """The accuracy of a made run: 10 % at first, 20 points more with each epoch."""
    return min(1.0, 0.1 + 0.2 * epoch)


def make_run(
    state: str = "finished", epochs: int = 3, message: str = "", owner: str = "", **config: object
) -> RunFolder:
    """Make a run that has gone half way or to its end, as a worker would have written it."""
    settings = {"epochs": epochs} | config
    folder = runs.create_run(from_flat({"validation_share": 0.2, **settings}), owner=owner)
    if state == "queued":
        return folder
    random = np.random.default_rng(0)
    done = epochs if state == "finished" else max(1, epochs - 1)
    for epoch in range(done + 1):
        accuracy = accuracy_after(epoch)
        scores = {"loss": 2.3 - 0.4 * epoch, "accuracy": accuracy}
        if epoch:
            row = {"epoch": epoch - 0.5, "step": epoch * 10, "seconds": epoch * 2.0, "loss": 2.3 - 0.4 * epoch}
            row |= {"accuracy": accuracy, "learning_rate": 0.004, "grad_norm": 1.0, "weight_norm": 9.0}
            folder.append(make_row({"type": "progress", **row, "images_per_second": 4000.0}))
        row = {"type": "epoch", "epoch": epoch, "step": epoch * 10, "seconds": epoch * 2.0}
        row |= {"train": scores} if epoch else {}
        folder.append(make_row(row | {"val": scores, "test": scores, "confusion": [[0] * 10] * 10}))
        probs = random.dirichlet(np.ones(10), 2000).astype(np.float16)
        folder.save_epoch(epoch, {"output.bias": np.zeros(10, np.float16)}, probs)
    folder.set_status(
        state=state,
        message=message,
        epoch=done,
        epochs=epochs,
        step=done * 10,
        seconds=done * 2.0,
        best_score=accuracy_after(done),
        best_epoch=done,
        test_score=accuracy_after(done),
        parameters=156_074,
    )
    return folder


@contextmanager
def worked_on(folder: RunFolder) -> Generator[None]:
    """Hold the lock of a run that says somebody works on it."""
    status = folder.status()
    with folder.hold() if status.state in (*WORKING, "died", "paused") else nullcontext():
        yield


def commands(folder: RunFolder) -> list[str]:
    path = folder.path / "control.jsonl"
    return path.read_text().splitlines() if path.exists() else []
