"""A resume takes, or says that it did not: whoever holds the run's lock, and however shortly."""

import threading
import time
from collections.abc import Callable

import pytest
from jobs_support import tiny

from playground.jobs import client, queue
from playground.jobs.control import Control
from playground.jobs.endings import drop
from playground.runs import RunError, RunFolder, create_run


@pytest.fixture(autouse=True)
def alone(home, monkeypatch):
    """No service: what is asked of it stays where it was put."""
    monkeypatch.setattr(client, "ensure_service", lambda: None)


def made(state: str) -> RunFolder:
    run = create_run(tiny(), name=state)
    run.set_status(state=state)
    return run


def held(run: RunFolder, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> threading.Thread:
    """Hold the run's lock in a thread, as a worker or the service does; returns once it is held."""
    ready = threading.Event()

    def hold() -> None:
        with run.hold():
            ready.set()
            meanwhile()
            time.sleep(seconds)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    ready.wait(5)
    return thread


@pytest.mark.parametrize("state", ["preparing", "running", "paused", "stopped", "interrupted", "died", "failed"])
def test_it_waits_for_a_lock_that_is_let_go(state):
    """The service holds it to write down a death; a worker that has ended, or gives its memory back, for a moment."""
    run = made(state)
    run.command(do="pause")
    thread = held(run, 0.15)
    client.resume_run(run)
    thread.join(5)
    assert run.status().state == "queued"
    assert queue.read_number(run.id) is not None
    assert Control(run).read() == []  # what was asked of the earlier worker is not asked of the next


def test_a_paused_worker_is_told_and_waited_for():
    run = made("paused")

    def answer() -> None:
        control = Control(run)
        while not (told := control.read()):
            time.sleep(0.005)
        assert told == [{"do": "play"}]
        time.sleep(0.1)
        run.set_status(state="running")

    thread = held(run, 0.2, answer)
    client.resume_run(run)
    assert run.status().state == "running"
    assert queue.read_number(run.id) is None
    thread.join(5)


def test_a_worker_that_lives_is_told_to_go_on(monkeypatch):
    monkeypatch.setattr(client, "BURIAL_SECONDS", 0.05)
    run = made("running")
    run.command(do="pause")  # not yet come to
    with run.hold():
        client.resume_run(run)
        assert Control(run).read() == [{"do": "pause"}, {"do": "play"}]


def test_a_worker_that_does_not_answer_is_said(monkeypatch):
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    run = made("paused")
    with run.hold(), pytest.raises(RunError, match="does not answer"):
        client.resume_run(run)


def test_a_worker_that_is_being_stopped_is_said(monkeypatch):
    monkeypatch.setattr(client, "BURIAL_SECONDS", 0.05)
    run = made("running")
    with run.hold():
        client.stop_run(run)
        with pytest.raises(RunError, match="being stopped"):
            client.resume_run(run)


def test_whoever_dies_in_the_middle_of_a_resume_leaves_no_run_that_is_queued_and_not_in_the_queue(monkeypatch):
    run = made("died")

    def killed(self: RunFolder, **changes: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "set_status", killed)
    with pytest.raises(KeyboardInterrupt):
        client.resume_run(run)
    monkeypatch.undo()
    assert run.status().state == "died"


def test_the_service_leaves_a_run_in_the_queue_that_is_being_resumed():
    """The resume enters it first and says that it is queued afterwards; in between the service may look."""
    run = made("died")
    queue.put_in_queue(run.id)
    number = queue.read_number(run.id)
    with run.hold():
        drop(run, number)
        assert queue.read_number(run.id) == number
    drop(run, number - 1)
    assert queue.read_number(run.id) == number
    drop(run, number)
    assert queue.read_number(run.id) is None


def test_nobody_waits_on_a_run_that_is_over():
    run = made("finished")
    with pytest.raises(RunError, match="is finished: there is nothing to pause"):
        client.pause_run(run)
    assert Control(run).read() == []
