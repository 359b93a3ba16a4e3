"""What is written down of runs whose worker cannot do it itself: it crashed, or was never started."""

import contextlib
import signal
import time

from playground.jobs import queue
from playground.jobs.log import log
from playground.jobs.process import DISK_FULL
from playground.runs import RunError, RunFolder
from playground.runs.files import is_full


def record_crash(run: RunFolder, code: int, queued_at: int | None = None) -> None:
    """Write down how a run ended whose worker could not do it itself.

    Args:
        code: the worker's exit code, not 0; minus the signal that killed it.
        queued_at: the queue's marker that the worker was started from.
    """
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    if code == DISK_FULL:
        how = "the disk is full; delete runs or data sets"
    if code == -signal.SIGKILL:
        how = "killed (out of memory, or by hand)"
    log(f"{run.id}: its worker ended: {how}")
    if queued_at is not None and queue.read_number(run.id) == queued_at:
        fail(run, f"the worker ended before it began: {how}; see worker.log", queued_at)
        return
    try:
        with run.hold():  # nobody has resumed it meanwhile
            if run.status().state in ("preparing", "running"):
                run.set_status(state="died", message=f"{how}; it can resume", finished=time.time())
    except RunError as error:
        log(f"{run.id}: {error}")
    except OSError as error:
        if is_full(error):
            raise
        fail(run, f"{how}; {error}")


def drop(run: RunFolder, when: int) -> None:
    """Take a run that does not wait out of the queue, unless somebody is at it: maybe to resume it at this moment."""
    if not run.is_locked():
        with contextlib.suppress(RunError), run.hold():
            if run.status().state != "queued" and queue.read_number(run.id) == when:
                queue.remove_from_queue(run.id)


def fail(run: RunFolder, message: str, when: int | None = None) -> None:
    """Take a run that cannot start or go on out of the queue, and say why; the other runs go on, whatever it is."""
    log(f"{run.id}: {message}")
    try:
        if run.path.exists():
            run.fail(message)
    except OSError as error:
        if is_full(error):
            raise
        log(f"{run.id}: {error}")
    finally:
        if when is not None and queue.read_number(run.id) == when:
            queue.remove_from_queue(run.id)
