"""The queue, and which run may start where."""

import os

import pytest
from jobs_support import tiny

from playground.jobs import client, queue
from playground.jobs.slots import (
    PATIENCE,
    ResourceRequest,
    Slot,
    choose_next,
    explain_wait,
    place_request,
    read_request,
)
from playground.runs import create_run

GPUS = ["cuda:0", "cuda:1"]


def cpu(run_id: str, threads: int, waited: float = 0) -> ResourceRequest:
    return ResourceRequest(run_id, "cpu", threads, waited)


def test_runs_share_the_cores():
    assert choose_next([cpu("a", 2)], [Slot("cpu", 2)], 4, []) == ("a", Slot("cpu", 2))
    assert choose_next([cpu("a", 3)], [Slot("cpu", 2)], 4, []) is None


def test_a_run_that_wants_more_than_there_is_runs_alone():
    assert place_request(cpu("a", 8), [], 2, []) == Slot("cpu", 8)
    assert place_request(cpu("a", 8), [Slot("cpu", 1)], 2, []) is None
    assert place_request(cpu("b", 1), [Slot("cpu", 8)], 2, []) is None


@pytest.mark.parametrize(
    ("run", "busy", "why"),
    [
        (cpu("a", 1), [Slot("cpu", 1), Slot("cpu", 3)], "wants 1 core, and runs at work use 4 of 4"),
        (
            ResourceRequest("a", "auto", 2),
            [Slot("cuda:0", 1), Slot("cuda:1", 1), Slot("cpu", 3)],
            "wants 2 cores, and runs at work use 3 of 4; with fewer threads each, runs go side by side",
        ),
        (ResourceRequest("a", "cuda:1", 1), [Slot("cuda:1", 1)], "waits for cuda:1, where another run is at work"),
        (
            ResourceRequest("a", "cuda", 1),
            [Slot(gpu, 1) for gpu in GPUS],
            "waits for a GPU, where another run is at work",
        ),
        (cpu("a", 1), [Slot("cpu", 3)], "waits behind a run that waits for more room"),
    ],
)
def test_a_run_that_waits_says_what_for(run, busy, why):
    assert explain_wait(run, busy, 4, GPUS) == why


def test_first_come_first_served():
    assert choose_next([cpu("a", 1), cpu("b", 1)], [], 4, []) == ("a", Slot("cpu", 1))


def test_a_smaller_run_overtakes_but_not_for_ever():
    busy = [Slot("cpu", 3)]
    assert choose_next([cpu("big", 4), cpu("small", 1)], busy, 4, []) == ("small", Slot("cpu", 1))
    assert choose_next([cpu("big", 4, PATIENCE + 1), cpu("small", 1)], busy, 4, []) is None


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
    slot = place_request(ResourceRequest("a", device, 2), [Slot(name, 2) for name in busy], 2, GPUS)
    assert (slot.device if slot else None) == expected


def test_without_a_gpu():
    assert place_request(ResourceRequest("a", "auto", 2), [], 2, []) == Slot("cpu", 2)
    assert place_request(ResourceRequest("a", "cuda", 2), [], 2, []) == Slot("cuda", 2)


def test_what_a_run_began_with_is_kept():
    run = create_run(tiny(threads=0, device="auto"))
    assert read_request(run, cores=16) == ResourceRequest(run.id, "auto", 4)
    assert read_request(run, cores=2) == ResourceRequest(run.id, "auto", 2)
    run.set_status(device="cuda:1", threads=3)
    assert read_request(run, cores=2) == ResourceRequest(run.id, "cuda:1", 3)


def test_cores(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_SLOTS", "3")
    assert client.count_cores() == 3
    for nonsense in ("0", "-1", "many"):
        monkeypatch.setenv("PLAYGROUND_SLOTS", nonsense)
        assert client.count_cores() == len(os.sched_getaffinity(0))


def test_the_queue_is_in_order_of_time_not_of_name(home):
    for name in ("z", "a", "m"):
        queue.put_in_queue(name)
    assert list(queue.list_waiting()) == ["z", "a", "m"]
    queue.remove_from_queue("z")
    queue.put_in_queue("z")
    assert list(queue.list_waiting()) == ["a", "m", "z"]
    queue.remove_from_queue("gone")
    assert [path.name for path in (home / "queue").iterdir() if path.name.startswith(".")] == [queue.LAST]


def test_an_empty_or_damaged_queue(home):
    assert queue.list_waiting() == {}
    assert queue.read_number("a") is None
    (queue.queue_folder() / "a").write_text("nonsense")
    assert queue.list_waiting() == {"a": 0}


def test_devices_before_any_service_ran(home):
    assert list(client.list_devices()) == ["cpu"]
    (home / client.DEVICES).write_text('[{"name": "cuda:0", "title": "A GPU"}]')
    assert list(client.list_devices()) == ["cpu", "cuda:0"]
    (home / client.DEVICES).write_text("{")
    assert list(client.list_devices()) == ["cpu"]


def test_a_stopped_queue_position():
    first, second = create_run(tiny()), create_run(tiny())
    queue.put_in_queue(first.id)
    queue.put_in_queue(second.id)
    assert (client.find_position(first), client.find_position(second)) == (0, 1)
    client.stop_run(first)
    assert first.status().state == "stopped"
    assert (client.find_position(first), client.find_position(second)) == (None, 0)
