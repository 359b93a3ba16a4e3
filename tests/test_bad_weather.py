"""Full disks, folders that cannot be written, clocks that are set back, homes that are emptied: runs fail alone, with
their reasons, and the others go on."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from jobs_support import kill_all, processes, tiny, wait_for, wait_for_state, worker_of

from playground.data import store
from playground.jobs import client, endings, queue
from playground.runs import create_run, files, list_runs

linux = pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes in /proc")
LONG = {"epochs": 1000}


@pytest.fixture
def served(home, session_home, monkeypatch):
    """A home with the images ready; whatever a test starts in it is killed."""
    store.open_arrays("cifar10-mini")
    if not (home / "data").exists():
        (home / "data").symlink_to(session_home / "data")
    monkeypatch.setenv("PLAYGROUND_SLOTS", "2")
    yield home
    kill_all(home)


def deny(monkeypatch, folder: Path, number: int) -> None:
    """Let nothing be written in a folder, whoever writes: permissions do not stop root, under whom tests may run."""
    real = tempfile.mkstemp

    def mkstemp(*args, **named):
        if Path(named["dir"]) == folder:
            raise OSError(number, os.strerror(number))
        return real(*args, **named)

    monkeypatch.setattr(files.tempfile, "mkstemp", mkstemp)


# A folder that cannot be written


@linux
def test_a_run_that_cannot_be_started_fails_with_its_reason_and_the_others_go_on(served):
    broken = [create_run(tiny()) for _ in range(3)]
    (broken[0].path / "worker.log").mkdir()
    for run, name in zip(broken[1:], ("metrics.jsonl", "lock"), strict=True):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).mkdir()
    sound = create_run(tiny())
    for run in (*broken, sound):
        client.submit_run(run)
    wait_for_state(sound, "finished", seconds=90)
    for run, name in zip(broken, ("worker.log", "metrics.jsonl", "worker"), strict=True):
        wait_for_state(run, "failed")
        assert name in run.status().message
        assert "\n" not in run.status().message
    assert queue.list_waiting() == {}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EROFS])
def test_the_reason_is_kept_beside_a_folder_that_takes_nothing(monkeypatch, number):
    run, dead = create_run(tiny()), create_run(tiny())
    queue.put_in_queue(run.id)
    dead.set_status(state="running")
    with monkeypatch.context() as patch:
        deny(patch, run.path, number)
        endings.fail(run, "its worker cannot be started", queue.read_number(run.id))
    assert (run.status().state, queue.list_waiting()) == ("failed", {})
    assert "its worker cannot be started; nothing can be written in its folder" in run.status().message
    assert os.strerror(number) in run.status().message
    with monkeypatch.context() as patch:
        deny(patch, dead.path, number)
        endings.record_crash(dead, 1)
    assert (dead.status().state, "exit code 1" in dead.status().message) == ("failed", True)
    assert set(list_runs()) >= {run, dead}
    client.requeue_run(run)  # once it can be written again
    assert (run.status().state, run.status().message) == ("queued", "")


# A clock that is set back


def test_newcomers_do_not_overtake_when_the_clock_is_set_back(monkeypatch):
    now = time.time_ns()
    for name, hour in (("first", 0), ("second", -1), ("third", -2), ("fourth", 1)):
        monkeypatch.setattr(time, "time_ns", lambda hour=hour: now + hour * 3600 * 10**9)
        queue.put_in_queue(name)
    assert list(queue.list_waiting()) == ["first", "second", "third", "fourth"]


def test_runs_are_listed_in_the_order_in_which_they_were_made_whatever_the_clock_says(monkeypatch):
    now, made = time.time(), []
    for back in (0, 0, 3600, 7200, 0):
        monkeypatch.setattr(time, "time", lambda back=back: now - back)
        made += [create_run(tiny()), create_run(tiny())]
    assert [run for run in list_runs() if not run.read_only] == made[::-1]


# Submitters that die


@linux
def test_a_run_whose_submitter_died_is_started_by_a_service_that_runs_already(served):
    client.ensure_service()
    first = create_run(tiny())
    client.submit_run(first)
    wait_for_state(first, "finished", seconds=90)
    lost = create_run(tiny())  # and never queued
    wait_for_state(lost, "finished", seconds=90)


# An emptied home


@linux
def test_an_emptied_home_has_one_service_and_none_of_the_old_workers(served):
    with client.hold_presence():
        old = [create_run(tiny(**LONG)) for _ in range(2)]
        for run in old:
            client.submit_run(run)
        for run in old:
            wait_for_state(run, "running", seconds=90)
        client.pause_run(old[0])
        wait_for_state(old[0], "paused")
        before = set(processes(served))
        assert len(before) == 3
        shutil.rmtree(served, ignore_errors=True)
        served.mkdir(exist_ok=True)
        new = create_run(tiny(**LONG))
        wait_for(lambda: not before & set(processes(served)), 60)
        client.submit_run(new)
        wait_for_state(new, "running", seconds=90)
        wait_for(lambda: len(processes(served)) == 2)  # a service and a worker
        assert worker_of(new)
        client.stop_run(new)
        wait_for_state(new, "stopped")


# A full disk


def full(monkeypatch, home: Path) -> list[str]:
    """Let every write fail as on a full disk, until the reserve is given up."""
    refused = []
    real = tempfile.mkstemp

    def mkstemp(*args, **named):
        if (home / files.RESERVE).exists():
            refused.append(named["prefix"])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **named)

    monkeypatch.setattr(files.tempfile, "mkstemp", mkstemp)
    return refused


def test_the_status_is_written_from_the_reserve(home, monkeypatch):
    run = create_run(tiny())
    files.keep_reserve()
    assert (home / files.RESERVE).stat().st_size == files.RESERVE_BYTES
    refused = full(monkeypatch, home)
    run.set_status(state="stopped")
    assert refused == [".status.json-"]
    assert run.status().state == "stopped"
    assert not (home / files.RESERVE).exists()


def test_a_rename_on_a_full_disk_is_one_line(home, monkeypatch):
    run = create_run(tiny(), name="as it was")
    files.keep_reserve()
    full(monkeypatch, home)
    with pytest.raises(files.WriteError, match=r"^the disk is full \(.* MB free in .*\); delete runs or data sets"):
        run.rename("another")
    assert run.name == "as it was"


@pytest.fixture
def small_disk(served, monkeypatch):
    """A home on a disk of 48 MB."""
    place = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        place.rmdir()
        pytest.skip("no file system can be mounted here")
    (place / "data").symlink_to((served / "data").resolve())
    monkeypatch.setenv("PLAYGROUND_HOME", str(place))
    yield place
    kill_all(place)
    subprocess.run(["umount", "-l", str(place)], check=False)
    place.rmdir()


def fill(place: Path) -> None:
    """Write until nothing more goes on the disk, to its last byte."""
    with (place / "filler").open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@linux
def test_on_a_full_disk_runs_pause_and_stop_and_say_why_they_ended(small_disk):
    runs = [create_run(tiny(**LONG)) for _ in range(2)]
    for run in runs:
        client.pause_run(run)
        client.submit_run(run)
    for run in runs:
        wait_for_state(run, "paused", seconds=90)
    wait_for((small_disk / files.RESERVE).exists)
    fill(small_disk)
    with pytest.raises(files.WriteError, match="the disk is full"):
        create_run(tiny())
    client.stop_run(runs[0])
    wait_for_state(runs[0], "stopped")
    assert "the disk is full" in runs[0].status().message
    client.resume_run(runs[1])
    wait_for_state(runs[1], "failed")
    assert "the disk is full" in runs[1].status().message
    (small_disk / "filler").unlink()
    wait_for((small_disk / files.RESERVE).exists)
    for run in runs:
        client.resume_run(run)
        wait_for_state(run, "running", seconds=60)
        client.stop_run(run)
        wait_for_state(run, "stopped")
        assert run.status().message == ""
