"""The service on an executor that is not this machine: it needs no more of one than `executors.base` says."""

import errno

from jobs_support import tiny

from playground import locks
from playground.home import home
from playground.jobs import queue, service
from playground.jobs.client import SERVICE
from playground.jobs.dispatcher import Dispatcher
from playground.jobs.slots import Slot
from playground.runs import RunFolder, create_run


class Elsewhere:
    """A place of two cores and one GPU, whose workers live for three looks and are played by nobody."""

    cores, gpus = 2, ("cuda:0",)

    def __init__(self, codes: dict[str, int]) -> None:
        self.codes = codes  # {run id: the exit code of its worker}
        self.seen: list[str] = []  # what happened, in order
        self.workers: dict[str, Played] = {}

    def start(self, run: RunFolder, slot: Slot) -> "Played":
        self.seen.append(f"{run.name} starts on {slot.device}")
        self.workers[run.id] = worker = Played(self, run)
        return worker

    def send(self, run: RunFolder, command: str) -> None:
        self.seen.append(f"{run.name} is told to {command}")
        self.workers[run.id].left = 0

    def is_alive(self, run: RunFolder) -> bool:
        return run.id in self.workers and self.workers[run.id].left > 0


class Played:
    def __init__(self, place: Elsewhere, run: RunFolder) -> None:
        self.place, self.run, self.left = place, run, 3
        self.code = place.codes.get(run.id, 0)
        if self.code != 3:  # 3: it ends before it begins
            queue.remove_from_queue(run.id)
            run.set_status(state="running")

    def poll(self) -> int | None:
        self.left -= 1
        if self.left > 0:
            return None
        if not self.code:
            self.run.set_status(state="finished")
        self.place.seen.append(f"{self.run.name} ends")
        return self.code

    def terminate(self) -> None:
        self.left = 0

    kill = terminate


def serve(place: Elsewhere, monkeypatch) -> service.Service:
    """Make a service that ends as soon as nothing is to do."""
    monkeypatch.setattr(service, "IDLE_LIMIT", 0)
    lock = locks.take(home() / SERVICE)
    assert lock
    return service.Service(lock, place)


def queued(name: str, **knobs: object) -> RunFolder:
    run = create_run(tiny(threads=2, **knobs), name)
    queue.put_in_queue(run.id)
    return run


def test_runs_go_from_the_queue_to_an_executor_and_each_end_makes_room_for_the_next(monkeypatch):
    first, second, third = queued("first", device="cpu"), queued("second", device="cpu"), queued("third", device="cuda")
    place = Elsewhere({})
    serve(place, monkeypatch).loop()
    assert [run.status().state for run in (first, second, third)] == ["finished"] * 3
    assert place.seen == [
        "first starts on cpu",
        "third starts on cuda:0",  # it does not wait for a core
        "first ends",
        "third ends",
        "second starts on cpu",
        "second ends",
    ]
    assert not queue.list_waiting()


def test_what_a_worker_could_not_write_down_is_told_by_its_exit(monkeypatch):
    crashed, never, last = queued("crashed", device="cpu"), queued("never", device="cpu"), queued("last", device="cpu")
    serve(Elsewhere({crashed.id: 1, never.id: 3}), monkeypatch).loop()
    assert (crashed.status().state, crashed.status().message) == ("died", "exit code 1; it can resume")
    assert never.status().state == "failed"
    assert "before it began: exit code 3" in never.status().message
    assert last.status().state == "finished"


def test_a_service_that_is_asked_to_leave_lets_the_workers_save(monkeypatch):
    queued("first", device="cpu")
    waits = queued("second", device="cpu")
    place = Elsewhere({})
    loop = serve(place, monkeypatch)
    loop.dispatcher.start_what_fits()
    loop.ask_to_leave()
    loop.loop()
    assert place.seen == ["first starts on cpu", "first is told to interrupt", "first ends"]
    assert list(queue.list_waiting()) == [waits.id]


def test_a_run_that_cannot_be_written_keeps_no_other_waiting(monkeypatch):
    """Why it waits cannot be written down; that is tried once and reaches the service's loop not at all."""
    run, tried = create_run(tiny()), []

    def fail(*_, **__):
        tried.append(True)
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("playground.runs.folder.write_essential", fail)
    dispatcher = Dispatcher(Elsewhere({}))
    dispatcher.explain(run, "wants 2 cores")
    dispatcher.explain(run, "wants 2 cores")
    assert tried == [True]
