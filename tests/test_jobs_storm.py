"""kill -9, again and again, at random moments, on workers and on the service: nothing that was seen is ever lost."""

import random
import sys
import time

import numpy as np
import pytest
from jobs_support import kill, kill_all, processes, tiny, wait_for

from playground.data import store
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import ACTIVE, RESUMABLE, RunFolder, create_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes in /proc")

KILLS = 56
SERVICE_KILLS = 6
CONFIG = tiny(epochs=24, dropout=0.2, flip=True, norm="batch")


def figures(run: RunFolder) -> list[str]:
    """The rows that count, without what a clock says."""
    kept = [row for row in run.rows() if row.type != "resumed"]
    return [repr({k: v for k, v in vars(row).items() if k not in ("seconds", "images_per_second")}) for row in kept]


@pytest.fixture
def storm_home(home, session_home, monkeypatch):
    store.open_arrays("cifar10-mini")
    monkeypatch.setenv("PLAYGROUND_SLOTS", "2")
    with client.hold_presence():  # as a server does, it starts the service again within two seconds
        yield home
    kill_all(home)


def victims(home) -> tuple[list[int], list[int]]:
    """Return the service's process, if there is one, and all the others: workers, from the moment they are forked."""
    service = int((home / client.PID).read_text()) if client.is_alive() and (home / client.PID).exists() else 0
    found = processes(home)
    return [pid for pid in found if pid == service], [pid for pid in found if pid != service]


def let_it_write(run: RunFolder, rows: int) -> None:
    """Wait until the run has written some rows, or has come to an end."""
    path = run.path / "metrics.jsonl"

    def written() -> int:
        return path.read_bytes().count(b"\n") if path.exists() else 0

    before = written()
    wait_for(lambda: written() >= before + rows or run.status().state not in ACTIVE)


def test_no_row_is_lost_and_resumed_runs_end_with_the_same_weights(storm_home):
    reference = create_run(CONFIG, name="reference")
    assert run_worker(reference, Slot("cpu", 1)).state == "finished"
    expected, last = figures(reference), reference.epochs()[-1]

    rng = random.Random(0)
    runs: list[RunFolder] = []
    seen: dict[RunFolder, set[str]] = {}
    kills = {"worker": 0, "service": 0}
    while sum(kills.values()) < KILLS:
        unfinished = [run for run in runs if run.status().state != "finished"]
        if len(unfinished) < 2:
            runs.append(create_run(CONFIG))
            seen[runs[-1]] = set()
            client.submit_run(runs[-1])
            continue
        if rng.random() < 0.8:  # let one get some way; else strike at once, maybe before it has begun
            let_it_write(rng.choice(unfinished), rng.randrange(15))
        time.sleep(rng.uniform(0, 0.03))
        service, workers = victims(storm_home)
        if service and kills["service"] < SERVICE_KILLS and rng.random() < 0.2:
            kill(service[0])
            kills["service"] += 1
        elif workers:
            kill(rng.choice(workers))
            kills["worker"] += 1
        for run in runs:
            rows, state = set(figures(run)), run.status().state
            assert seen[run] - rows <= set(expected), "a row that was seen is neither there nor computed again"
            seen[run] |= rows
            assert state in ACTIVE | RESUMABLE | {"finished"}
            if state in ("died", "failed"):
                client.resume_run(run)

    def all_finished() -> bool:
        for run in runs:
            if run.status().state in ("died", "failed"):
                client.resume_run(run)
        return all(run.status().state == "finished" for run in runs)

    wait_for(all_finished, 120)
    assert kills["service"] == SERVICE_KILLS
    assert sum(run.path.joinpath("metrics.jsonl").read_text().count('"resumed"') for run in runs) > KILLS // 2
    for run in runs:
        assert figures(run) == expected
        assert seen[run] <= set(expected)
        ours, theirs = run.weights(last), reference.weights(last)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
        assert run.epochs() == reference.epochs()
        assert np.array_equal(run.predictions(last), reference.predictions(last))
