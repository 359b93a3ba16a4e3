"""What holds for every test: a home of its own in a temporary folder, and few threads."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported, and for the processes that tests start: several tests' workers share the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from quick import is_quick

from playground.config import DataConfig, ModelConfig, RunConfig, TrainingConfig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests, and begin with the files that take long, so that none is left over for one worker."""
    for item in items:
        if is_quick(item):
            item.add_marker("quick")
    slow = {item.path for item in items if not item.get_closest_marker("quick")}
    items.sort(key=lambda item: ("browser" not in item.path.parts, item.path not in slow))


def pytest_collection_finish() -> None:
    """Streamlit collects garbage after each run of a page: do not let it look through all modules each time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """What was frozen is let go of at the end, where libraries count what is left."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of fixtures that outlive a test; nothing that a test writes reaches the person's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("session-home")
        patch.setenv("PLAYGROUND_HOME", str(home))
        yield home


@pytest.fixture(autouse=True)
def home(session_home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PLAYGROUND_HOME for this test; one that a fixture of wider scope has set is kept."""
    if os.environ["PLAYGROUND_HOME"] == str(session_home):
        monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
    return Path(os.environ["PLAYGROUND_HOME"])


@pytest.fixture
def tiny_config() -> RunConfig:
    """A run over in a second: 80 bundled images, a few hundred parameters, 2 epochs, bit-equal on every machine."""
    return RunConfig(
        data=DataConfig(images_per_class=8, validation_share=0.25),
        model=ModelConfig(channels=(4, 4), fc_width=8),
        training=TrainingConfig(epochs=2, batch_size=16, device="cpu", precision="float32", threads=1),
    )
