"""Which runs are at work and which wait: starts a worker for each that fits, and notes which have ended.

All it knows stands in the run folders and in the queue, so the next one finds it all again.
"""

import contextlib
import errno
import time
from dataclasses import dataclass

from playground.home import home
from playground.jobs import queue
from playground.jobs.endings import drop, fail, record_crash
from playground.jobs.executors.base import Executor, Worker
from playground.jobs.log import log
from playground.jobs.slots import ResourceRequest, Slot, choose_next, explain_wait, read_request
from playground.runs import RunError, RunFolder, list_runs, open_run

EXPLAINED = 8
"""Of how many waiting runs it is written down why they wait; the others wait behind these."""
LOOK_AGAIN = 0.5
"""Seconds between looks at a queue in which nothing fits."""
SEARCH = 5.0
"""Seconds between searches for workers that this service did not start, while a run waits."""
NEW_RUN = 10.0
"""A queued run this young, in seconds, is still in the hands of whoever makes it."""
PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
"""What keeps any worker from being started, and passes."""


@dataclass
class Job:
    """A run that is being worked on.

    Attributes:
        worker: None if somebody else started it.
        queued_at: the queue's marker it was started from.
    """

    run: RunFolder
    slot: Slot
    worker: Worker | None = None
    queued_at: int | None = None


class Dispatcher:
    """The runs at work on an executor, by their ids in `jobs`, and those that wait for it."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.jobs: dict[str, Job] = {}
        self.dead: list[tuple[Job, int]] = []  # and their exit codes, not yet written down
        self.runs: dict[str, RunFolder] = {}  # in the queue; their configs are read once
        self.told: dict[str, str] = {}  # why runs wait, as it stands in their status
        self.since: dict[tuple[str, int], float] = {}  # when each wish of the queue was seen first
        self.settled: set[str] = set()  # runs that do not wait to be put into the queue
        self.new: dict[str, float] = {}  # runs that may, and when they were seen first
        self.look_at = self.search_at = self.mend_at = 0.0
        self.seen: dict[str, int] = {}  # the queue at the last look

    # Runs that end

    def collect_exits(self) -> None:
        """Note which runs have ended, and write down how those ended that could not do it themselves."""
        for run_id, job in list(self.jobs.items()):
            code = job.worker.poll() if job.worker else None if self.executor.is_alive(job.run) else 0
            if code is not None:
                del self.jobs[run_id]
                self.look_at = 0.0
                if code:
                    self.dead.append((job, code))
        while self.dead:
            job, code = self.dead[0]
            record_crash(job.run, code, job.queued_at)  # what cannot be written yet, on a full disk, is tried again
            del self.dead[0]

    # Runs that begin

    def mend_queue(self) -> None:
        """Put runs that say they are queued into the queue: it may have been lost, or their maker killed half-way.

        Looked at again and again, but each run that is not queued only once: `client.requeue` enters it first.
        """
        now = time.monotonic()
        if now < self.mend_at:
            return
        self.mend_at = now + SEARCH
        waiting = queue.list_waiting()
        for run in reversed(list_runs()):
            if run.id in self.settled or run.id in waiting or run.read_only:
                continue
            if self.executor.is_alive(run) or run.status().state != "queued":
                self.settled.add(run.id)
                self.new.pop(run.id, None)
            elif now - self.new.setdefault(run.id, now) > NEW_RUN or age(run) > NEW_RUN:
                log(f"{run.id}: queued, but not in the queue")
                queue.put_in_queue(run.id)

    def find_workers(self) -> None:
        """Count in workers that live but are not ours: an earlier service's, or a command line's."""
        self.search_at = time.monotonic() + SEARCH
        for run in list_runs():
            if run.id not in self.jobs and not run.read_only and run.status().active and self.executor.is_alive(run):
                status = run.status()
                self.jobs[run.id] = Job(run, Slot(status.device or "cpu", status.threads or 1))

    def start_what_fits(self) -> None:
        """Start what fits now, and write down of the first that do not why they wait."""
        waiting = queue.list_waiting()
        now = time.monotonic()
        if not waiting or (now < self.look_at and waiting == self.seen):
            return
        self.look_at, self.seen = now + LOOK_AGAIN, waiting
        if now >= self.search_at:
            self.find_workers()
        self.runs = {run_id: run for run_id, run in self.runs.items() if run_id in waiting}
        self.told = {run_id: why for run_id, why in self.told.items() if run_id in waiting}
        self.since = {wish: since for wish, since in self.since.items() if waiting.get(wish[0]) == wish[1]}
        cores, gpus = self.executor.cores, self.executor.gpus
        requests = [r for run_id, when in waiting.items() if (r := self.request(run_id, when))]
        while found := choose_next(requests, self.busy(), cores, gpus):
            run_id, slot = found
            requests = [request for request in requests if request.run_id != run_id]
            self.start(run_id, slot, waiting[run_id])
        for request in requests[:EXPLAINED]:
            self.explain(self.runs[request.run_id], explain_wait(request, self.busy(), cores, gpus))

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

    def request(self, run_id: str, when: int) -> ResourceRequest | None:
        """Return what a run in the queue wants; one that cannot or need not start leaves the queue."""
        if run_id in self.jobs:
            return None
        run = self.runs.get(run_id)
        try:
            run = self.runs[run_id] = run or open_run(run_id)
            now = time.monotonic()
            wanted = read_request(run, self.executor.cores, now - self.since.setdefault((run_id, when), now))
        except (ValueError, OSError) as error:
            fail(RunFolder(home() / "runs" / run_id), " ".join(str(error).split()), when)
            return None
        if run.status().state != "queued":
            drop(run, when)
            return None
        return wanted

    def start(self, run_id: str, slot: Slot, when: int) -> None:
        run = self.runs[run_id]
        try:
            self.jobs[run_id] = Job(run, slot, self.executor.start(run, slot), when)
        except OSError as error:
            if error.errno in PASSING:
                raise
            fail(run, f"its worker cannot be started: {error}", when)
            return
        log(f"{run_id}: started on {slot.device} with {slot.threads} threads")


def age(run: RunFolder) -> float:
    """Return how many seconds ago a run was made, by the clock on the wall."""
    try:
        return time.time() - run.about.created
    except RunError:
        return 0.0
