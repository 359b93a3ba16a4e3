"""What the tests of jobs and of the command line share: looking at processes and waiting for things."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.config import RunConfig, from_flat
from playground.runs import RunFolder

TINY: dict[str, Any] = {
    "images_per_class": 8,
    "validation_share": 0.25,
    "channels": "4",
    "fc_width": 0,
    "epochs": 2,
    "batch_size": 16,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}


def tiny(**knobs: Any) -> RunConfig:
    """A run whose epochs take hundredths of a second."""
    return from_flat({**TINY, **knobs})


def wait_for(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    """Wait until the condition holds, and return what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return found


def wait_for_state(run: RunFolder, *states: str, seconds: float = 40.0) -> None:
    try:
        wait_for(lambda: run.status().state in states, seconds)
    except AssertionError:
        log = run.path / "worker.log"
        raise AssertionError(f"{run.status()}\n{log.read_text() if log.exists() else ''}") from None


def processes(home: Path) -> list[int]:
    """Return all processes that were started with this PLAYGROUND_HOME, but for this one."""
    wanted = b"PLAYGROUND_HOME=" + bytes(home)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # gone, a zombie, or not ours
    return found


def worker_of(run: RunFolder) -> int | None:
    """Return the worker's process: it has the run's lock open, as the service has now and then in passing."""
    lock, home = str(run.path / "lock"), run.path.parent.parent
    service = (home / "service.pid").read_text() if (home / "service.pid").exists() else ""
    for pid in processes(home):
        if str(pid) == service:
            continue
        try:
            if any(os.readlink(link) == lock for link in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        except OSError:
            continue
    return None


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_all(home: Path) -> None:
    """Kill whatever a test has left running in its home, and wait until it is gone."""
    deadline = time.monotonic() + 10
    while left := processes(home):
        assert time.monotonic() < deadline, left
        for pid in left:
            kill(pid)
        time.sleep(0.02)
