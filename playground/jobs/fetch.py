"""Download a data set in the background: `playground data fetch NAME` in its own process, watched through a file."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from playground import locks
from playground.data.catalog import DataError, find_info, is_ready
from playground.data.load import Progress, load_dataset
from playground.home import check_writable, subfolder
from playground.jobs.process import forget_process, launch_process
from playground.runs import write_atomic

WRITE_SECONDS = 0.2


@dataclass(frozen=True)
class FetchProgress:
    """How a download stands.

    Attributes:
        state: idle (none was started), running, done, failed or cancelled.
        done, total: bytes (or files); total is 0 while it is not known.
        message: what is being done, or one line that says why it failed.
    """

    state: str = "idle"
    done: int = 0
    total: int = 0
    message: str = ""


class Cancelled(Exception):
    """Somebody asked for the end of the download; what is there so far is kept."""


def _path(name: str, suffix: str) -> Path:
    return subfolder("data/.fetch") / f"{name}{suffix}"


def _write(name: str, progress: FetchProgress) -> None:
    write_atomic(_path(name, ".json"), json.dumps(asdict(progress)).encode())


def start_fetch(name: str) -> None:
    """Start to download a data set, unless it is there or on its way.

    Raises:
        DataError: there is no such set, or no process can be started; HomeError: nothing can be written.
    """
    find_info(name)
    check_writable()
    lock = _path(name, ".lock")
    if is_ready(name) or locks.is_held(lock):
        return
    _path(name, ".cancel").unlink(missing_ok=True)
    with _path(name, ".log").open("wb") as output:
        process = launch_process("playground", "data", "fetch", name, output=output)
    deadline = time.monotonic() + 20
    while not locks.is_held(lock) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll() and read_progress(name).state != "failed":
        raise DataError(f"the download of {name} does not start; see {_path(name, '.log')}")
    forget_process(process)


def read_progress(name: str) -> FetchProgress:
    """Return how the download of a data set stands."""
    running = locks.is_held(_path(name, ".lock"))  # before the file is read: whoever ends writes it first
    found = FetchProgress()
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = FetchProgress(**json.loads(_path(name, ".json").read_bytes()))
    if found.state == "running" and not running:
        return FetchProgress("failed", found.done, found.total, "the download was killed; start it again to go on")
    return found


def cancel_fetch(name: str) -> None:
    """Ask a download to end; what is there so far is kept, and the next one goes on from it."""
    if locks.is_held(_path(name, ".lock")):
        _path(name, ".cancel").touch()


def run_fetch(name: str, watch: Callable[[Progress], None] | None = None) -> None:
    """Download a data set in this process, where `progress` and `cancel` of others reach it.

    Args:
        watch: told of progress too.

    Raises:
        DataError: it cannot be had, or another process is at it; HomeError: nothing can be written; one line.
        Cancelled: somebody called `cancel`.
    """
    find_info(name)
    check_writable()
    lock = locks.take(_path(name, ".lock"), wait=0.5)
    if lock is None:
        raise DataError(f"{name} is being downloaded already")
    last, written = FetchProgress("running", message="Connecting"), 0.0

    def report(now: Progress) -> None:
        nonlocal last, written
        last = FetchProgress("running", now.done, now.total, now.what)
        if time.monotonic() - written > WRITE_SECONDS:
            written = time.monotonic()
            _write(name, last)
        if _path(name, ".cancel").exists():
            raise Cancelled
        if watch:
            watch(now)

    with lock:
        _path(name, ".cancel").unlink(missing_ok=True)
        _write(name, last)
        try:
            load_dataset(name, report)
            _write(name, FetchProgress("done", last.total, last.total))
        except (Cancelled, KeyboardInterrupt):
            _write(name, FetchProgress("cancelled", last.done, last.total, "cancelled; the next download goes on"))
            raise
        except Exception as error:
            _write(name, FetchProgress("failed", last.done, last.total, " ".join(str(error).split())))
            raise
