"""The job service: `python -m playground.jobs.service`; one for each PLAYGROUND_HOME.

It starts a worker for each run that fits. It has torch imported, so that forking a worker takes hundredths of a second;
but it computes nothing, starts no thread and never touches a GPU, for only then is forking safe. All it knows is in the
run folders: kill it at any time, its workers go on, and the next service finds them by their locks.
"""

import os
import signal
import sys
import time
from typing import IO

from playground import locks
from playground.home import home
from playground.jobs import queue
from playground.jobs.cleanup import clean_home
from playground.jobs.client import CLIENTS, PID, SERVICE, STARTING
from playground.jobs.dispatcher import Dispatcher
from playground.jobs.executors.base import Executor
from playground.jobs.log import log
from playground.runs import write_atomic
from playground.runs.files import keep_reserve

TICK = 0.03
SWEEP_SECONDS = 3600.0
CHECK_SECONDS = 0.5
"""Seconds between looks whether the home is still there."""
IDLE_LIMIT = float(os.environ.get("PLAYGROUND_IDLE_LIMIT", "60"))
"""Seconds without a client and without a run after which the service ends."""
ABANDON_LIMIT = 5.0
"""Seconds that workers get to end when the home was emptied."""
DRAIN_LIMIT = 30.0
"""Seconds that workers get to save their state when the last client has left."""


class Service:
    """The loop, and when it ends; `lock` is the open service lock."""

    def __init__(self, lock: IO[bytes], executor: Executor) -> None:
        self.lock, self.dispatcher = lock, Dispatcher(executor)
        self.next_sweep = self.check_at = 0.0
        self.idle_since = time.monotonic()
        self.leaving = False
        self.draining_since: float | None = None

    def loop(self) -> None:
        """Serve until nobody needs it any more."""
        while True:
            try:
                if time.monotonic() > self.next_sweep:
                    self.next_sweep = time.monotonic() + SWEEP_SECONDS
                    clean_home()
                if self.is_displaced():
                    self.abandon()
                    return
                self.dispatcher.collect_exits()
                self.dispatcher.mend_queue()
                if self.draining_since is None:
                    self.dispatcher.start_what_fits()
                if self.is_over() and self.leave():
                    return
            except OSError as error:  # a full disk, say: runs in progress must not suffer, and it may pass
                log(f"{type(error).__name__}: {error}")
                time.sleep(1)
            time.sleep(TICK)

    def ask_to_leave(self, *_: object) -> None:
        """End as soon as no client is left and the workers have saved; a handler of signals."""
        self.leaving = True

    # The home that goes away

    def is_displaced(self) -> bool:
        """Whether our lock is gone from the home: it was emptied, and the next service is not kept out by us."""
        now = time.monotonic()
        if now < self.check_at:
            return False
        self.check_at = now + CHECK_SECONDS
        keep_reserve()
        return not locks.is_current(self.lock, home() / SERVICE)

    def abandon(self) -> None:
        """End the workers: their runs are gone, and the next service does not know of the room they take."""
        log("the home was emptied, so this service and its workers end")
        own = [job.worker for job in self.dispatcher.jobs.values() if job.worker]
        deadline = time.monotonic() + ABANDON_LIMIT
        while left := [worker for worker in own if worker.poll() is None]:
            for worker in left:
                worker.kill() if time.monotonic() > deadline else worker.terminate()
            time.sleep(0.1)

    # The end of the service

    def is_over(self) -> bool:
        """Whether to end: told to while no client is left and the workers have saved, or idle for long."""
        now = time.monotonic()
        if self.dispatcher.jobs or queue.list_waiting():
            self.idle_since = now
        if not self.leaving and now - self.idle_since < IDLE_LIMIT:
            return False
        if locks.is_shared(home() / CLIENTS):
            self.leaving, self.draining_since, self.idle_since = False, None, now
            return False
        if self.leaving and self.draining_since is None:
            self.drain()
        return not self.dispatcher.jobs or (self.draining_since is not None and now - self.draining_since > DRAIN_LIMIT)

    def drain(self) -> None:
        """Ask all workers to save their state and end."""
        self.draining_since = time.monotonic()
        self.dispatcher.find_workers()
        log(f"the last client has left; {len(self.dispatcher.jobs)} runs are saved")
        for job in self.dispatcher.jobs.values():
            self.dispatcher.executor.send(job.run, "interrupt")

    def leave(self) -> bool:
        """End, unless somebody who counts on this service came at the last moment."""
        starting = locks.take(home() / STARTING)
        if starting is None:
            return False
        came = locks.is_shared(home() / CLIENTS) or (queue.list_waiting() and not self.leaving)
        if not came:
            self.lock.close()
            log("ends")
        starting.close()
        return not came


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
    import playground.training  # noqa: F401
    from playground.jobs.executors.local import LocalExecutor

    service = Service(lock, LocalExecutor())
    signal.signal(signal.SIGTERM, service.ask_to_leave)
    signal.signal(signal.SIGINT, service.ask_to_leave)
    service.loop()
    sys.stdout.flush()
    os._exit(0)  # the interpreter's own end takes a second with torch, and has nothing to do


if __name__ == "__main__":
    sys.exit(main())
