"""What pages and the command line ask of the job service. No torch.

    with client():          # a server: the job service runs for as long as some server does
        submit(run)         # puts it into the queue
        stop(run), pause(run), resume(run)

Nothing here waits for a run; how it goes is in its folder.
"""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Generator
from typing import IO

from playground import locks
from playground.errors import PlaygroundError
from playground.home import check_writable, home
from playground.jobs import queue
from playground.jobs.control import Control
from playground.jobs.process import forget_process, launch_process
from playground.people import MACHINE
from playground.runs import RESUMABLE, RunError, RunFolder

# All in PLAYGROUND_HOME.
SERVICE = "service.lock"  # held by the service for its whole life
STARTING = "starting.lock"  # held for as long as a service is being started, or ends
CLIENTS = "clients.lock"  # shared by everybody who wants the service to stay
PID = "service.pid"
LOG = "service.log"
DEVICES = "devices.json"

LOG_LIMIT = 1_000_000
KEEP_SECONDS = 2.0
"""How often a server looks whether the service is still there."""
ANSWER_SECONDS = 2.0
"""How long a paused worker gets to go on, or one that has ended to go."""
BURIAL_SECONDS = 0.5
"""How long the service holds the lock of a run whose worker died, at most, to write down how it ended."""


class ServiceError(PlaygroundError, OSError):
    """The job service does not start; the message is one line."""


def count_cores() -> int:
    """Return how many cores runs may use: PLAYGROUND_SLOTS, or all that this process may run on."""
    with contextlib.suppress(ValueError):
        if (slots := int(os.environ.get("PLAYGROUND_SLOTS", "0"))) > 0:
            return slots
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def list_devices() -> dict[str, str]:
    """Return `{name: title}` of what runs can compute on, the CPU first; GPUs once a service has looked for them."""
    found = {"cpu": f"CPU, {count_cores()} cores" if count_cores() > 1 else "CPU, 1 core"}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found |= {gpu["name"]: gpu["title"] for gpu in json.loads((home() / DEVICES).read_bytes())}
    return found


# The service


def is_alive() -> bool:
    """Whether the job service runs."""
    return locks.is_held(home() / SERVICE)


def ensure_service() -> None:
    """Start the job service if it does not run. Many may call at once: one starts it, the others wait for that.

    Raises:
        ServiceError: it does not start; HomeError: nothing can be written, so there is nothing for it to do.
    """
    check_writable()
    # A service that ends holds this lock too, so it is either there to see what was just queued, or gone.
    starting = locks.take(home() / STARTING, wait=30)
    if starting is None:
        raise ServiceError(f"the job service does not start; see {home() / LOG}")
    with starting:
        if not is_alive():
            _start()


def _start() -> None:
    log = home() / LOG
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.unlink()
    (home() / PID).unlink(missing_ok=True)  # a dead one's; its number may be another process's by now
    with log.open("ab") as output:
        process = launch_process(
            "playground.jobs.service",
            output=output,
            PLAYGROUND_HOME=str(home()),
            OPENBLAS_NUM_THREADS="1",  # importing numpy would start threads, and a process with threads must not fork
            PYTORCH_NVML_BASED_CUDA_CHECK="1",
        )
    deadline = time.monotonic() + 20
    while not is_alive() or not (home() / PID).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServiceError(f"the job service does not start; see {log}")
        time.sleep(0.01)
    forget_process(process)


@contextlib.contextmanager
def hold_presence(service: bool = True) -> Generator[None]:
    """Be a client: while there is one, the service stays. When the last server leaves, its runs are saved and end.

    Args:
        service: keep the service running, and tell it when this process leaves (a server); False for a command that
            only wants to be counted.
    """
    presence, leaving = _Presence(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(leaving, presence), daemon=True)
    presence.renew()
    if service:
        keeper.start()
    try:
        yield
    finally:
        leaving.set()
        if service:
            keeper.join(timeout=5)
        presence.end()
        if service:
            _tell_service_that_we_left()


class _Presence:
    """Our share of the lock that tells the service that somebody is there."""

    def __init__(self) -> None:
        self._lock: IO[bytes] | None = None

    def renew(self) -> None:
        """Take it, unless we have it: the home may have been emptied, and our lock with it."""
        path = home() / CLIENTS
        if self._lock is None or not locks.is_current(self._lock, path):
            self.end()
            with contextlib.suppress(OSError):  # a home that can only be looked at
                self._lock = locks.take(path, shared=True, wait=10)

    def end(self) -> None:
        if self._lock:
            self._lock.close()
        self._lock = None


def _keep(leaving: threading.Event, presence: _Presence) -> None:
    """Start the service again whenever it is gone: somebody may kill it while runs wait, or empty the home."""
    while True:
        with contextlib.suppress(OSError):
            presence.renew()
            ensure_service()
        if leaving.wait(KEEP_SECONDS):
            return


def _tell_service_that_we_left() -> None:
    with contextlib.suppress(OSError, ValueError):
        if is_alive():
            os.kill(int((home() / PID).read_text()), signal.SIGTERM)


# Runs


def submit_run(run: RunFolder) -> None:
    """Put a new run into the queue, and see to it that there is a service.

    Raises:
        RunError: it is not new; resume it instead.
        ServiceError: the service does not start.
    """
    if (state := run.status().state) != "queued":
        raise RunError(f"run {run.name} is {state}, not new; resume it instead")
    if queue.read_number(run.id) is None:
        queue.put_in_queue(run.id)
    ensure_service()


def requeue_run(run: RunFolder, enter: bool = False) -> None:
    """Make a run that ended early wait for a worker again, without telling the service.

    Args:
        enter: put it into the queue, too.

    Raises:
        RunError: it has not ended, or has nothing left to do.
    """
    if run.read_only:
        raise RunError("the bundled demo run is finished; duplicate it to train it again")
    with run.hold():
        state = run.status().state
        # With the lock in our hand, a status that says a worker is at it is a dead worker's.
        if state not in RESUMABLE | {"queued", "preparing", "running"}:
            raise RunError(f"run {run.name} is {state}: there is nothing to resume")
        (run.path / "control.jsonl").unlink(missing_ok=True)  # it was for the earlier worker
        if enter and (state != "queued" or queue.read_number(run.id) is None):
            # In place of what a killed worker may have left there: it is another wish now. And before the status, so
            # that no run says it is queued while it is not, wherever this process is killed.
            queue.put_in_queue(run.id)
        run.set_status(state="queued", message="", finished=None)


def resume_run(run: RunFolder, by: str = MACHINE) -> None:
    """Let a paused run go on; put one that ended early back into the queue, to go on from where it was saved.

    A run whose lock is held has a worker that lives, or one that just ended and is being written off: which of the two
    shows within moments, so this waits for it.

    Args:
        by: the person who wishes it; see `playground.people`.

    Raises:
        RunError: it is somebody else's, has nothing left to do, or its worker does not answer.
        ServiceError: the service does not start.
    """
    run.check_owner(by)
    asked, since = False, time.monotonic()
    while run.is_locked():
        state, waited = run.status().state, time.monotonic() - since
        if state in ("preparing", "running") and (asked or waited > BURIAL_SECONDS):
            if not asked and _is_stopping(run):
                raise RunError(f"run {run.name} is being stopped; resume it once it has ended")
            run.command(do="play")  # it may have been asked to pause, and not have come to it
            return
        if state == "paused" and not asked:
            run.command(do="play")
            asked = True
        if waited > ANSWER_SECONDS:
            raise RunError(f"run {run.name} does not answer; try again, or stop it and resume it")
        time.sleep(0.01)
    requeue_run(run, enter=True)
    ensure_service()


def _is_stopping(run: RunFolder) -> bool:
    """Whether the last thing that the worker was told is to end."""
    told = [command["do"] for command in Control(run).read() if "do" in command]
    return told[-1:] == ["stop"]


def pause_run(run: RunFolder, by: str = MACHINE) -> None:
    """Make a run wait between two steps; one in the queue will wait before its second.

    Raises:
        RunError: it is somebody else's, or over, so nobody would wait.
    """
    run.check_owner(by)
    if not run.read_only and not (status := run.status()).active:
        raise RunError(f"run {run.name} is {status.state}: there is nothing to pause")
    run.command(do="pause")


def stop_run(run: RunFolder, by: str = MACHINE) -> None:
    """End a run; its exact state is saved, so it can be resumed. One in the queue leaves it.

    Raises:
        RunError: it is somebody else's.
    """
    run.check_owner(by)
    if not run.is_locked():
        with contextlib.suppress(RunError), run.hold():
            queue.remove_from_queue(run.id)
            if run.status().state in ("queued", "paused"):
                run.set_status(state="stopped", message="", finished=time.time())
            return
    run.command(do="stop")


def find_position(run: RunFolder) -> int | None:
    """Return how many runs are ahead in the queue; None if this one is not in it."""
    order = list(queue.list_waiting())
    return order.index(run.id) if run.id in order else None
