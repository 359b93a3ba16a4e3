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

from playground.home import home
from playground.jobs import locks, queue
from playground.jobs.process import forget, launch
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


class ServiceError(OSError):
    """The job service does not start; the message is one line."""


def cores() -> int:
    """Return how many cores runs may use: PLAYGROUND_SLOTS, or all that this process may run on."""
    with contextlib.suppress(ValueError):
        if (slots := int(os.environ.get("PLAYGROUND_SLOTS", "0"))) > 0:
            return slots
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices() -> dict[str, str]:
    """Return `{name: title}` of what runs can compute on, the CPU first; GPUs once a service has looked for them."""
    found = {"cpu": f"CPU, {cores()} cores" if cores() > 1 else "CPU, 1 core"}
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
        ServiceError: it does not start.
    """
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
    with log.open("ab") as output:
        process = launch(
            "playground.jobs.service",
            output=output,
            PLAYGROUND_HOME=str(home()),
            OPENBLAS_NUM_THREADS="1",  # importing numpy would start threads, and a process with threads must not fork
            PYTORCH_NVML_BASED_CUDA_CHECK="1",
        )
    deadline = time.monotonic() + 20
    while not is_alive():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServiceError(f"the job service does not start; see {log}")
        time.sleep(0.01)
    forget(process)


@contextlib.contextmanager
def client(service: bool = True) -> Generator[None]:
    """Be a client: while there is one, the service stays. When the last server leaves, its runs are saved and end.

    Args:
        service: keep the service running, and tell it when this process leaves (a server); False for a command that
            only wants to be counted.
    """
    lock = locks.take(home() / CLIENTS, shared=True, wait=10)
    leaving = threading.Event()
    keeper = threading.Thread(target=_keep, args=(leaving,), daemon=True)
    if service:
        keeper.start()
    try:
        yield
    finally:
        leaving.set()
        if service:
            keeper.join(timeout=5)
        if lock:
            lock.close()
        if service:
            _tell_service_that_we_left()


def _keep(leaving: threading.Event) -> None:
    """Start the service again whenever it is gone: somebody may kill it while runs wait."""
    while True:
        with contextlib.suppress(OSError):
            ensure_service()
        if leaving.wait(KEEP_SECONDS):
            return


def _tell_service_that_we_left() -> None:
    with contextlib.suppress(OSError, ValueError):
        if is_alive():
            os.kill(int((home() / PID).read_text()), signal.SIGTERM)


# Runs


def submit(run: RunFolder) -> None:
    """Put a new run into the queue, and see to it that there is a service.

    Raises:
        RunError: it is not new; resume it instead.
        ServiceError: the service does not start.
    """
    if (state := run.status().state) != "queued":
        raise RunError(f"run {run.name} is {state}, not new; resume it instead")
    if queue.queued_at(run.id) is None:
        queue.put(run.id)
    ensure_service()


def requeue(run: RunFolder) -> None:
    """Make a run that ended early wait for a worker again, without telling the service.

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
        run.set_status(state="queued", message="", finished=None)


def resume(run: RunFolder, by: str = MACHINE) -> None:
    """Let a paused run go on; put one that ended early back into the queue, to go on from where it was saved.

    Args:
        by: the person who wishes it; see `playground.people`.

    Raises:
        RunError: it is somebody else's, or has nothing left to do.
        ServiceError: the service does not start.
    """
    run.check_owner(by)
    status = run.status()
    if status.active and run.is_locked():  # a worker that has written its last status lives for a moment longer
        run.command(do="play")
        return
    if status.state != "queued":
        requeue(run)
        queue.put(run.id)  # in place of what a killed worker may have left there: it is another wish now
    elif queue.queued_at(run.id) is None:
        queue.put(run.id)
    ensure_service()


def pause(run: RunFolder, by: str = MACHINE) -> None:
    """Make a run wait between two steps; one in the queue will wait before its second.

    Raises:
        RunError: it is somebody else's.
    """
    run.command(by=by, do="pause")


def stop(run: RunFolder, by: str = MACHINE) -> None:
    """End a run; its exact state is saved, so it can be resumed. One in the queue leaves it.

    Raises:
        RunError: it is somebody else's.
    """
    run.check_owner(by)
    if not run.is_locked():
        with contextlib.suppress(RunError), run.hold():
            queue.remove(run.id)
            if run.status().state in ("queued", "paused"):
                run.set_status(state="stopped", message="", finished=time.time())
            return
    run.command(do="stop")


def position(run: RunFolder) -> int | None:
    """Return how many runs are ahead in the queue; None if this one is not in it."""
    order = list(queue.waiting())
    return order.index(run.id) if run.id in order else None
