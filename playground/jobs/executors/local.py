"""The executor of this machine: a worker is a process in a session of its own, which outlives the service."""

import contextlib
import faulthandler
import gc
import json
import os
import signal
import sys
import traceback
from typing import IO

from playground.home import home
from playground.jobs.client import DEVICES, count_cores
from playground.jobs.executors.base import Worker
from playground.jobs.process import launch_process
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker_quietly
from playground.runs import RunFolder, write_atomic
from playground.runs.files import writing

START_METHOD = "PLAYGROUND_START_METHOD"


class LocalExecutor:
    """This machine's cores and GPUs, as they were when it was made."""

    def __init__(self) -> None:
        self.cores, self.gpus = count_cores(), find_gpus()

    def start(self, run: RunFolder, slot: Slot) -> Worker:
        """Start a worker in a session of its own; what it prints goes to the run's worker.log.

        Raises:
            OSError: it cannot be started.
        """
        path = run.path / "worker.log"
        with writing(path):
            log = path.open("ab")
        with log:
            return _fork(run, slot, log) if start_method() == "fork" else _spawn(run, slot, log)

    def send(self, run: RunFolder, command: str) -> None:
        """Ask something of the run's worker, by a line in its folder."""
        run.command(do=command)

    def is_alive(self, run: RunFolder) -> bool:
        """Return whether a worker is at the run: it holds the run's lock."""
        return run.is_locked()


class Forked:
    """A child made with fork, with the methods of subprocess.Popen that are needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def start_method() -> str:
    """Return "fork" where that is safe, else "spawn"; the environment may say which."""
    return os.environ.get(START_METHOD) or ("fork" if sys.platform == "linux" else "spawn")


def _fork(run: RunFolder, slot: Slot, log: IO[bytes]) -> Worker:
    sys.stdout.flush()
    gc.freeze()  # the child's garbage collector leaves these pages alone, so they stay shared
    pid = os.fork()
    if pid:
        return Forked(pid)
    code = 1
    try:
        detach(log.fileno())
        faulthandler.enable()
        code = run_worker_quietly(run, slot)
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit: nothing of the service may run here, neither its cleanup nor the code that called this.
        os._exit(code)


def detach(output: int) -> None:
    """Make a forked child independent: its own session and output, none of its parent's files, locks or handlers."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _spawn(run: RunFolder, slot: Slot, log: IO[bytes]) -> Worker:
    return launch_process("playground.jobs.worker", str(run.path), slot.device, str(slot.threads), output=log)


def find_gpus() -> list[str]:
    """Look for GPUs and write devices.json. Whoever has looked can no longer fork, so a child looks and ends."""
    if start_method() == "fork":
        pid = os.fork()
        if not pid:
            try:
                detach(2)
                write_gpus()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    else:
        write_gpus()
    try:
        return [gpu["name"] for gpu in json.loads((home() / DEVICES).read_bytes())]
    except (OSError, ValueError):
        return []


def write_gpus() -> None:
    """Write what torch sees to devices.json."""
    import torch

    gpus = [(f"cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    gpus += [("mps", "Apple GPU")] if torch.backends.mps.is_available() else []
    found = [{"name": name, "title": title} for name, title in gpus]
    write_atomic(home() / DEVICES, json.dumps(found).encode())
