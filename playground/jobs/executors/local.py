"""The executor of this machine: it starts a worker, tells it something, and knows whether it lives.

    submit(run, slot) -> Process    start a worker for the run
    signal(run, what)               ask something of its worker, wherever it came from
    alive(run) -> bool              whether a worker is at it

A cluster would offer the same three.
"""

import faulthandler
import gc
import os
import sys
import traceback
from signal import SIG_DFL, SIGINT, SIGTERM
from signal import signal as set_handler
from typing import IO, Protocol

from playground.jobs.process import launch
from playground.jobs.slots import Slot
from playground.jobs.worker import work_quietly
from playground.runs import RunFolder
from playground.runs.files import writing

START_METHOD = "PLAYGROUND_START_METHOD"


class Process(Protocol):
    """A worker that was started here."""

    def poll(self) -> int | None:
        """Return the exit code once it has ended (minus the signal that killed it), else None."""
        ...


class Forked:
    """A child made with fork, with the one method of subprocess.Popen that is needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


def start_method() -> str:
    """Return "fork" where that is safe, else "spawn"; the environment may say which."""
    return os.environ.get(START_METHOD) or ("fork" if sys.platform == "linux" else "spawn")


def submit(run: RunFolder, slot: Slot) -> Process:
    """Start a worker in a session of its own; what it prints goes to the run's worker.log."""
    path = run.path / "worker.log"
    with writing(path):
        log = path.open("ab")
    with log:
        return _fork(run, slot, log) if start_method() == "fork" else _spawn(run, slot, log)


def signal(run: RunFolder, what: str) -> None:
    """Ask something of the run's worker, such as "interrupt", "stop" or "pause"."""
    run.command(do=what)


def alive(run: RunFolder) -> bool:
    """Whether a worker is at the run."""
    return run.is_locked()


def _fork(run: RunFolder, slot: Slot, log: IO[bytes]) -> Process:
    sys.stdout.flush()
    gc.freeze()  # the child's garbage collector leaves these pages alone, so they stay shared
    pid = os.fork()
    if pid:
        return Forked(pid)
    code = 1
    try:
        detach(log.fileno())
        faulthandler.enable()
        code = work_quietly(run, slot)
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit: nothing of the service may run here, neither its cleanup nor the code that called this.
        os._exit(code)


def detach(output: int) -> None:
    """Make a forked child independent: its own session and output, none of its parent's files, locks or handlers."""
    os.setsid()
    for number in (SIGTERM, SIGINT):
        set_handler(number, SIG_DFL)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _spawn(run: RunFolder, slot: Slot, log: IO[bytes]) -> Process:
    return launch("playground.jobs.worker", str(run.path), slot.device, str(slot.threads), output=log)
