"""The job service: `python -m playground.jobs.service`; one for each PLAYGROUND_HOME.

It starts a worker for each run that fits. It has torch imported, so that forking a worker takes hundredths of a second;
but it computes nothing, starts no thread and never touches a GPU, for only then is forking safe. All it knows is in the
run folders: kill it at any time, its workers go on, and the next service finds them by their locks.
"""

import contextlib
import errno
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import IO, Any

from playground import locks
from playground.home import home
from playground.jobs import queue
from playground.jobs.cleanup import sweep
from playground.jobs.client import CLIENTS, DEVICES, PID, SERVICE, STARTING, cores
from playground.jobs.process import DISK_FULL
from playground.jobs.slots import Slot, Waiting, next_start, obstacle, wish
from playground.runs import RunError, RunFolder, list_runs, open_run, write_atomic
from playground.runs.files import is_full, keep_reserve

TICK = 0.03
SWEEP_SECONDS = 3600.0
EXPLAINED = 8
"""Of how many waiting runs it is written down why they wait; the others wait behind these."""
LOOK_AGAIN = 0.5
"""Seconds between looks at a queue in which nothing fits."""
SEARCH = 5.0
"""Seconds between searches for workers that this service did not start, while a run waits."""
IDLE_LIMIT = float(os.environ.get("PLAYGROUND_IDLE_LIMIT", "60"))
"""Seconds without a client and without a run after which the service ends."""
ABANDON_LIMIT = 5.0
"""Seconds that workers get to end when the home was emptied."""
DRAIN_LIMIT = 30.0
"""Seconds that workers get to save their state when the last client has left."""
NEW_RUN = 10.0
"""A queued run this young, in seconds, is still in the hands of whoever makes it."""
PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
"""What keeps any worker from being started, and passes."""


def log(text: str) -> None:
    """Write a line to the service's log."""
    with contextlib.suppress(OSError):  # the log's disk may be full
        print(time.strftime("%Y-%m-%d %H:%M:%S"), text, flush=True)


@dataclass
class Job:
    """A run that is being worked on.

    Attributes:
        process: local.Process, or None for a worker that somebody else started.
        queued_at: the queue's marker it was started from.
    """

    run: RunFolder
    slot: Slot
    process: Any = None
    queued_at: int | None = None


class Service:
    """The loop and what it knows; `lock` is the open service lock."""

    def __init__(self, lock: IO[bytes], gpus: list[str]) -> None:
        self.lock, self.gpus, self.cores = lock, gpus, cores()
        self.next_sweep = 0.0
        self.told: dict[str, str] = {}  # why runs wait, as it stands in their status
        self.jobs: dict[str, Job] = {}
        self.dead: list[tuple[Job, int]] = []  # and their exit codes, not yet written down
        self.runs: dict[str, RunFolder] = {}  # in the queue; their configs are read once
        self.since: dict[tuple[str, int], float] = {}  # when each wish of the queue was seen first
        self.settled: set[str] = set()  # runs that do not wait to be put into the queue
        self.new: dict[str, float] = {}  # runs that may, and when they were seen first
        self.look_at = self.search_at = self.mend_at = self.check_at = 0.0
        self.seen: dict[str, int] = {}  # the queue at the last look
        self.idle_since = time.monotonic()
        self.leaving = False  # SIGTERM came
        self.draining_since: float | None = None

    def loop(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        while True:
            try:
                if time.monotonic() > self.next_sweep:
                    self.next_sweep = time.monotonic() + SWEEP_SECONDS
                    sweep()
                if self.is_displaced():
                    self.abandon()
                    return
                self.reap()
                self.mend_queue()
                if self.draining_since is None:
                    self.start_what_fits()
                if self.is_over() and self.leave():
                    return
            except OSError as error:  # a full disk, say: runs in progress must not suffer, and it may pass
                log(f"{type(error).__name__}: {error}")
                time.sleep(1)
            time.sleep(TICK)

    def _on_signal(self, *_: object) -> None:
        self.leaving = True

    # Beginning and end of runs

    def mend_queue(self) -> None:
        """Put runs that say they are queued into the queue: it may have been lost, or their maker killed half-way.

        Looked at again and again, but each run that is not queued only once: `client.requeue` enters it first.
        """
        now = time.monotonic()
        if now < self.mend_at:
            return
        self.mend_at = now + SEARCH
        waiting = queue.waiting()
        for run in reversed(list_runs()):
            if run.id in self.settled or run.id in waiting or run.read_only:
                continue
            if run.is_locked() or run.status().state != "queued":
                self.settled.add(run.id)
                self.new.pop(run.id, None)
            elif now - self.new.setdefault(run.id, now) > NEW_RUN or age(run) > NEW_RUN:
                log(f"{run.id}: queued, but not in the queue")
                queue.put(run.id)

    def find_workers(self) -> None:
        """Count in workers that live but are not ours: an earlier service's, or a command line's."""
        self.search_at = time.monotonic() + SEARCH
        for run in list_runs():
            if run.id not in self.jobs and not run.read_only and run.status().active and run.is_locked():
                status = run.status()
                self.jobs[run.id] = Job(run, Slot(status.device or "cpu", status.threads or 1))

    def is_displaced(self) -> bool:
        """Whether our lock is gone from the home: it was emptied, and the next service is not kept out by us."""
        now = time.monotonic()
        if now < self.check_at:
            return False
        self.check_at = now + LOOK_AGAIN
        keep_reserve()
        return not locks.is_current(self.lock, home() / SERVICE)

    def abandon(self) -> None:
        """End the workers: their runs are gone, and the next service does not know of the room they take."""
        log("the home was emptied, so this service and its workers end")
        own = [job.process for job in self.jobs.values() if job.process]
        deadline = time.monotonic() + ABANDON_LIMIT
        told = signal.SIGTERM
        while left := [process for process in own if process.poll() is None]:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, told)
            if time.monotonic() > deadline:
                told = signal.SIGKILL
            time.sleep(0.1)

    def reap(self) -> None:
        for run_id, job in list(self.jobs.items()):
            code = job.process.poll() if job.process else None if job.run.is_locked() else 0
            if code is not None:
                del self.jobs[run_id]
                self.look_at = 0.0
                if code:
                    self.dead.append((job, code))
        while self.dead:
            bury(*self.dead[0])  # what cannot be written yet, on a full disk, is tried again
            del self.dead[0]

    def start_what_fits(self) -> None:
        waiting = queue.waiting()
        now = time.monotonic()
        if not waiting or (now < self.look_at and waiting == self.seen):
            return
        self.look_at, self.seen = now + LOOK_AGAIN, waiting
        if now >= self.search_at:
            self.find_workers()
        self.runs = {run_id: run for run_id, run in self.runs.items() if run_id in waiting}
        self.told = {run_id: why for run_id, why in self.told.items() if run_id in waiting}
        self.since = {wish: since for wish, since in self.since.items() if waiting.get(wish[0]) == wish[1]}
        requests = [r for run_id, when in waiting.items() if (r := self.request(run_id, when))]
        while found := next_start(requests, self.busy(), self.cores, self.gpus):
            run_id, slot = found
            requests = [request for request in requests if request.run_id != run_id]
            self.start(run_id, slot, waiting[run_id])
        for request in requests[:EXPLAINED]:
            self.explain(self.runs[request.run_id], obstacle(request, self.busy(), self.cores, self.gpus))

    def explain(self, run: RunFolder, why: str) -> None:
        """Write down why a run waits, once."""
        if self.told.get(run.id) == why:
            return
        self.told[run.id] = why
        # Somebody stops it just now, or nothing can be written in its folder: the others must not wait for that.
        with contextlib.suppress(RunError, OSError), run.hold():
            if run.status().state == "queued":
                run.set_status(message=why)

    def busy(self) -> list[Slot]:
        """The slots in use. A paused run lends its slot to others, and takes no heed of them when it goes on."""
        return [job.slot for job in self.jobs.values() if job.run.status().state != "paused"]

    def request(self, run_id: str, when: int) -> Waiting | None:
        """Return what a run in the queue wants; one that cannot or need not start leaves the queue."""
        if run_id in self.jobs:
            return None
        run = self.runs.get(run_id)
        try:
            run = self.runs[run_id] = run or open_run(run_id)
            now = time.monotonic()
            wanted = wish(run, self.cores, now - self.since.setdefault((run_id, when), now))
        except (ValueError, OSError) as error:
            give_up(RunFolder(home() / "runs" / run_id), " ".join(str(error).split()), when)
            return None
        if run.status().state != "queued":
            drop(run, when)
            return None
        return wanted

    def start(self, run_id: str, slot: Slot, when: int) -> None:
        from playground.jobs.executors import local

        run = self.runs[run_id]
        try:
            self.jobs[run_id] = Job(run, slot, local.submit(run, slot), when)
        except OSError as error:
            if error.errno in PASSING:
                raise
            give_up(run, f"its worker cannot be started: {error}", when)
            return
        log(f"{run_id}: started on {slot.device} with {slot.threads} threads")

    # The end of the service

    def is_over(self) -> bool:
        """Whether to end: told to while no client is left and the workers have saved, or idle for long."""
        now = time.monotonic()
        if self.jobs or queue.waiting():
            self.idle_since = now
        if not self.leaving and now - self.idle_since < IDLE_LIMIT:
            return False
        if locks.is_shared(home() / CLIENTS):
            self.leaving, self.draining_since, self.idle_since = False, None, now
            return False
        if self.leaving and self.draining_since is None:
            self.drain()
        return not self.jobs or (self.draining_since is not None and now - self.draining_since > DRAIN_LIMIT)

    def drain(self) -> None:
        """Ask all workers to save their state and end."""
        from playground.jobs.executors import local

        self.draining_since = time.monotonic()
        self.find_workers()
        log(f"the last client has left; {len(self.jobs)} runs are saved")
        for job in self.jobs.values():
            local.signal(job.run, "interrupt")

    def leave(self) -> bool:
        """End, unless somebody who counts on this service came at the last moment."""
        starting = locks.take(home() / STARTING)
        if starting is None:
            return False
        came = locks.is_shared(home() / CLIENTS) or (queue.waiting() and not self.leaving)
        if not came:
            self.lock.close()
            log("ends")
        starting.close()
        return not came


def bury(job: Job, code: int) -> None:
    """Write down how a run ended whose worker could not do it itself."""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    if code == DISK_FULL:
        how = "the disk is full; delete runs or data sets"
    if code == -signal.SIGKILL:
        how = "killed (out of memory, or by hand)"
    log(f"{job.run.id}: its worker ended: {how}")
    if job.queued_at is not None and queue.queued_at(job.run.id) == job.queued_at:
        give_up(job.run, f"the worker ended before it began: {how}; see worker.log", job.queued_at)
        return
    try:
        with job.run.hold():  # nobody has resumed it meanwhile
            if job.run.status().state in ("preparing", "running"):
                job.run.set_status(state="died", message=f"{how}; it can resume", finished=time.time())
    except RunError as error:
        log(f"{job.run.id}: {error}")
    except OSError as error:
        if is_full(error):
            raise
        give_up(job.run, f"{how}; {error}")


def drop(run: RunFolder, when: int) -> None:
    """Take a run that does not wait out of the queue, unless somebody is at it: maybe to resume it at this moment."""
    if not run.is_locked():
        with contextlib.suppress(RunError), run.hold():
            if run.status().state != "queued" and queue.queued_at(run.id) == when:
                queue.remove(run.id)


def give_up(run: RunFolder, message: str, when: int | None = None) -> None:
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
        if when is not None and queue.queued_at(run.id) == when:
            queue.remove(run.id)


def age(run: RunFolder) -> float:
    """Return how many seconds ago a run was made, by the clock on the wall."""
    try:
        return time.time() - run.about.created
    except RunError:
        return 0.0


def find_gpus() -> list[str]:
    """Look for GPUs and write devices.json. Whoever has looked can no longer fork, so a child looks and ends."""
    from playground.jobs.executors.local import detach, start_method

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


def main() -> int:
    """Be the service, unless there is one already."""
    lock = locks.take(home() / SERVICE, wait=2)  # a client that looks whether we live holds it for microseconds
    if lock is None:
        return 0
    write_atomic(home() / PID, str(os.getpid()).encode())
    log(f"starts, process {os.getpid()}")

    if hasattr(os, "nice"):
        os.nice(5)  # the first page comes before the imports, and pages stay quick while all cores train

    # The slow imports, once for all workers. The optimizers import torch._dynamo when the first of them is made.
    import torch._dynamo  # noqa: F401

    import playground.data.load
    import playground.jobs.executors.local
    import playground.training  # noqa: F401

    Service(lock, find_gpus()).loop()
    sys.stdout.flush()
    os._exit(0)  # the interpreter's own end takes a second with torch, and has nothing to do


if __name__ == "__main__":
    sys.exit(main())
