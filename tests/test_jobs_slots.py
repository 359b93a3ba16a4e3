"""The queue, and which run may start where."""

import os

import pytest
from jobs_support import tiny

from playground.jobs import client, queue
from playground.jobs.slots import PATIENCE, Slot, Waiting, next_start, obstacle, place, wish
from playground.runs import create_run

GPUS = ["cuda:0", "cuda:1"]


def cpu(run_id: str, threads: int, waited: float = 0) -> Waiting:
    return Waiting(run_id, "cpu", threads, waited)


def test_runs_share_the_cores():
    assert next_start([cpu("a", 2)], [Slot("cpu", 2)], 4, []) == ("a", Slot("cpu", 2))
    assert next_start([cpu("a", 3)], [Slot("cpu", 2)], 4, []) is None


def test_a_run_that_wants_more_than_there_is_runs_alone():
    assert place(cpu("a", 8), [], 2, []) == Slot("cpu", 8)
    assert place(cpu("a", 8), [Slot("cpu", 1)], 2, []) is None
    assert place(cpu("b", 1), [Slot("cpu", 8)], 2, []) is None


@pytest.mark.parametrize(
    ("run", "busy", "why"),
    [
        (cpu("a", 1), [Slot("cpu", 1), Slot("cpu", 3)], "wants 1 core, and runs at work use 4 of 4"),
        (
            Waiting("a", "auto", 2),
            [Slot("cuda:0", 1), Slot("cuda:1", 1), Slot("cpu", 3)],
            "wants 2 cores, and runs at work use 3 of 4; with fewer threads each, runs go side by side",
        ),
        (Waiting("a", "cuda:1", 1), [Slot("cuda:1", 1)], "waits for cuda:1, where another run is at work"),
        (Waiting("a", "cuda", 1), [Slot(gpu, 1) for gpu in GPUS], "waits for a GPU, where another run is at work"),
        (cpu("a", 1), [Slot("cpu", 3)], "waits behind a run that waits for more room"),
    ],
)
def test_a_run_that_waits_says_what_for(run, busy, why):
    assert obstacle(run, busy, 4, GPUS) == why


def test_first_come_first_served():
    assert next_start([cpu("a", 1), cpu("b", 1)], [], 4, []) == ("a", Slot("cpu", 1))


def test_a_smaller_run_overtakes_but_not_for_ever():
    busy = [Slot("cpu", 3)]
    assert next_start([cpu("big", 4), cpu("small", 1)], busy, 4, []) == ("small", Slot("cpu", 1))
    assert next_start([cpu("big", 4, PATIENCE + 1), cpu("small", 1)], busy, 4, []) is None


@pytest.mark.parametrize(
    ("device", "busy", "expected"),
    [
        ("auto", [], "cuda:0"),
        ("auto", ["cuda:0"], "cuda:1"),
        ("auto", ["cuda:0", "cuda:1"], "cpu"),
        ("cuda", ["cuda:0"], "cuda:1"),
        ("cuda", ["cuda:0", "cuda:1"], None),
        ("cuda:1", ["cuda:0"], "cuda:1"),
        ("cuda:1", ["cuda:1"], None),
        ("cuda:7", [], "cuda:7"),  # the worker says that there is none
        ("cpu", ["cuda:0"], "cpu"),
    ],
)
def test_one_run_on_each_gpu(device, busy, expected):
    slot = place(Waiting("a", device, 2), [Slot(name, 2) for name in busy], 2, GPUS)
    assert (slot.device if slot else None) == expected


def test_without_a_gpu():
    assert place(Waiting("a", "auto", 2), [], 2, []) == Slot("cpu", 2)
    assert place(Waiting("a", "cuda", 2), [], 2, []) == Slot("cuda", 2)


def test_what_a_run_began_with_is_kept():
    run = create_run(tiny(threads=0, device="auto"))
    assert wish(run, cores=16) == Waiting(run.id, "auto", 4)
    assert wish(run, cores=2) == Waiting(run.id, "auto", 2)
    run.set_status(device="cuda:1", threads=3)
    assert wish(run, cores=2) == Waiting(run.id, "cuda:1", 3)


def test_cores(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_SLOTS", "3")
    assert client.cores() == 3
    for nonsense in ("0", "-1", "many"):
        monkeypatch.setenv("PLAYGROUND_SLOTS", nonsense)
        assert client.cores() == len(os.sched_getaffinity(0))


def test_the_queue_is_in_order_of_time_not_of_name(home):
    for name in ("z", "a", "m"):
        queue.put(name)
    assert list(queue.waiting()) == ["z", "a", "m"]
    queue.remove("z")
    queue.put("z")
    assert list(queue.waiting()) == ["a", "m", "z"]
    queue.remove("gone")
    assert [path.name for path in (home / "queue").iterdir() if path.name.startswith(".")] == [queue.LAST]


def test_an_empty_or_damaged_queue(home):
    assert queue.waiting() == {}
    assert queue.queued_at("a") is None
    (queue.queue_folder() / "a").write_text("nonsense")
    assert queue.waiting() == {"a": 0}


def test_devices_before_any_service_ran(home):
    assert list(client.devices()) == ["cpu"]
    (home / client.DEVICES).write_text('[{"name": "cuda:0", "title": "A GPU"}]')
    assert list(client.devices()) == ["cpu", "cuda:0"]
    (home / client.DEVICES).write_text("{")
    assert list(client.devices()) == ["cpu"]


def test_a_stopped_queue_position():
    first, second = create_run(tiny()), create_run(tiny())
    queue.put(first.id)
    queue.put(second.id)
    assert (client.position(first), client.position(second)) == (0, 1)
    client.stop(first)
    assert first.status().state == "stopped"
    assert (client.position(first), client.position(second)) == (None, 0)
