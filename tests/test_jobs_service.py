"""The job service and its clients, as real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from jobs_support import kill, kill_all, processes, tiny, wait_for, wait_for_state, worker_of

from playground import locks
from playground.data import store
from playground.jobs import client, queue
from playground.jobs.endings import record_crash
from playground.jobs.process import ROOT
from playground.runs import RunError, create_run, list_runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes in /proc")

LONG = {"epochs": 1000}


@pytest.fixture(scope="module", autouse=True)
def module_home(tmp_path_factory, session_home):
    """One home, and mostly one service, for all tests here: a service takes seconds to import torch."""
    store.open_arrays("cifar10-mini")
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("jobs-home")
        (home / "data").symlink_to(session_home / "data")
        patch.setenv("PLAYGROUND_HOME", str(home))
        patch.setenv("PLAYGROUND_SLOTS", "2")
        yield home
        kill_all(home)


@pytest.fixture(autouse=True)
def nothing_left(module_home):
    """No test leaves a run that works or waits."""
    yield
    for run in list_runs():
        if run.status().active and not run.read_only:
            client.stop_run(run)
    for run in list_runs():
        wait_for(lambda run=run: not run.status().active or run.read_only, 20)


def service_pid() -> int:
    client.ensure_service()
    return wait_for(lambda: int((Path(os.environ["PLAYGROUND_HOME"]) / client.PID).read_text() or 0))


def in_python(code: str, **environment: str) -> "subprocess.Popen[str]":
    """Run code in another process, as another server would."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_how_a_dead_worker_is_written_down():
    begun, never, again = create_run(tiny()), create_run(tiny()), create_run(tiny())
    for run in (begun, never, again):
        queue.put_in_queue(run.id)
    started = [(run, queue.read_number(run.id)) for run in (begun, never, again)]
    queue.remove_from_queue(begun.id)
    begun.set_status(state="running")
    queue.put_in_queue(again.id)  # it was resumed before the service took note of the death
    for (run, queued_at), code in zip(started, (-signal.SIGKILL, -signal.SIGSEGV, 1), strict=True):
        record_crash(run, code, queued_at)
    assert begun.status().state == "died"
    assert "killed (out of memory, or by hand)" in begun.status().message
    assert never.status().state == "failed"
    assert "before it began" in never.status().message
    assert again.status().state == "queued"
    assert list(queue.list_waiting()) == [again.id]
    client.stop_run(again)


def test_many_callers_at_once_start_one_service(module_home):
    assert not client.is_alive()
    code = "from playground.jobs import client; client.ensure_service(); print(client.is_alive())"
    callers = [in_python(code) for _ in range(6)]
    assert [caller.communicate(timeout=60)[0] for caller in callers] == ["True\n"] * 6
    assert processes(module_home) == [service_pid()]


def test_a_second_service_ends_at_once(module_home):
    before = service_pid()
    second = subprocess.run([sys.executable, "-m", "playground.jobs.service"], cwd=ROOT, timeout=30, check=False)
    assert second.returncode == 0
    assert service_pid() == before


def test_a_run_goes_through_the_service():
    run = create_run(tiny())
    client.submit_run(run)
    wait_for_state(run, "finished")
    assert client.find_position(run) is None
    assert run.epochs() == [0, 1, 2]
    with pytest.raises(RunError, match="not new"):
        client.submit_run(run)
    with pytest.raises(RunError, match="nothing to resume"):
        client.resume_run(run)


def open_files(pid: int) -> set[str]:
    """The files that a process has open; some are closed while we look."""
    files = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files.add(os.readlink(link))
    return files


def test_forking_is_safe(module_home):
    """The service has one thread and no GPU; a worker has a session of its own and none of the service's files."""
    pid = service_pid()
    run = create_run(tiny(**LONG))
    client.submit_run(run)
    wait_for_state(run, "running")
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    assert not [file for file in open_files(pid) if "nvidia" in file]
    worker = worker_of(run)
    assert os.getsid(worker) == worker != os.getsid(pid) != os.getsid(0)
    assert not [file for file in open_files(worker) if file.endswith(client.SERVICE)]


def test_the_queue_waits_for_slots_and_a_paused_run_lends_its_own():
    first, second, third = (create_run(tiny(threads=2, **LONG)) for _ in range(3))
    for run in (first, second, third):
        client.submit_run(run)
    wait_for_state(first, "running")
    assert (client.find_position(second), client.find_position(third)) == (0, 1)
    assert second.status().state == "queued"
    client.pause_run(first)
    wait_for_state(first, "paused")
    wait_for_state(second, "running")
    client.resume_run(first)
    wait_for_state(first, "running")
    why = "wants 2 cores, and runs at work use 2 of 2; with fewer threads each, runs go side by side"
    wait_for(lambda: third.status().message == why)
    client.stop_run(second)
    client.stop_run(third)
    assert third.status().message == ""
    wait_for_state(second, "stopped")
    assert third.status().state == "stopped"
    assert queue.list_waiting() == {}


def test_commands_that_come_before_the_worker_are_obeyed():
    run = create_run(tiny(**LONG))
    client.pause_run(run)
    client.submit_run(run)
    wait_for_state(run, "paused")
    assert run.status().step <= 1


def test_a_killed_worker_is_seen_at_once_and_explained():
    run = create_run(tiny(**LONG))
    client.submit_run(run)
    wait_for(lambda: len(run.rows()) > 5)
    kill(worker_of(run))
    wait_for_state(run, "died", seconds=2)
    wait_for(lambda: "killed (out of memory, or by hand)" in run.status().message, 5)
    seen = len([row for row in run.rows() if row.type == "epoch"])
    client.resume_run(run)
    wait_for_state(run, "running")
    wait_for(lambda: len([row for row in run.rows() if row.type == "epoch"]) > seen)


def test_a_resume_in_the_moment_of_a_death_takes():
    """Whether the service has noticed the death, is writing it down or has done so: the run goes on."""
    run, random = create_run(tiny(**LONG)), Random(0)
    client.submit_run(run)
    for _ in range(8):
        wait_for_state(run, "preparing", "running")
        before = wait_for(lambda: worker_of(run))
        kill(before)
        time.sleep(random.uniform(0, 0.06))
        client.resume_run(run)
        wait_for(lambda before=before: worker_of(run) not in (None, before))


def test_a_terminated_worker_saves_and_is_interrupted():
    run = create_run(tiny(**LONG))
    client.submit_run(run)
    wait_for(lambda: len(run.rows()) > 5)
    os.kill(worker_of(run), signal.SIGTERM)
    wait_for_state(run, "interrupted")
    assert run.load_resume()[1]["step"] == run.status().step > 0


def test_a_run_that_cannot_be_read_fails_and_leaves_the_queue():
    run = create_run(tiny())
    (run.path / "config.json").write_text('{"model": {"kernel_size": 99}}')
    client.submit_run(run)
    wait_for_state(run, "failed")
    assert "kernel_size" in run.status().message
    queue.put_in_queue("no-such-run")
    wait_for(lambda: not queue.list_waiting())


def test_a_killed_service_leaves_its_workers_and_the_next_one_finds_them():
    first, second = create_run(tiny(threads=2, **LONG)), create_run(tiny(threads=2))
    client.submit_run(first)
    wait_for_state(first, "running")
    pid = service_pid()
    kill(pid)
    wait_for(lambda: not client.is_alive())
    rows = len(first.rows())
    client.submit_run(second)  # starts another service
    assert service_pid() != pid
    wait_for(lambda: len(first.rows()) > rows)
    time.sleep(1.0)
    assert second.status().state == "queued"  # the first one's worker counts
    client.stop_run(first)
    wait_for_state(second, "finished")


def test_a_lost_queue_is_made_again():
    run, young = create_run(tiny()), create_run(tiny())
    for each, created in ((run, time.time() - 60), (young, time.time() + 60)):
        about = json.loads((each.path / "about.json").read_text())
        (each.path / "about.json").write_text(json.dumps(about | {"created": created}))
    kill(service_pid())
    wait_for(lambda: not client.is_alive())
    client.ensure_service()
    wait_for_state(run, "finished")
    assert young.status().state == "queued"  # whoever makes it will say what it is for
    client.stop_run(young)


def test_spawned_where_fork_is_unsafe(module_home, monkeypatch):
    kill(service_pid())
    wait_for(lambda: not client.is_alive())
    monkeypatch.setenv("PLAYGROUND_START_METHOD", "spawn")
    run = create_run(tiny(**LONG))
    client.submit_run(run)
    wait_for_state(run, "running", seconds=60)
    assert b"playground.jobs.worker" in Path(f"/proc/{worker_of(run)}/cmdline").read_bytes()
    kill(worker_of(run))
    wait_for(lambda: "killed" in run.status().message, 10)
    assert run.status().state == "died"
    kill(service_pid())
    wait_for(lambda: not client.is_alive())


SERVER = """
import sys
from playground.jobs import client
with client.hold_presence():
    print("up", flush=True)
    sys.stdin.readline()
"""


def test_two_servers_share_a_service_and_the_last_one_saves_the_runs(module_home):
    servers = [in_python(SERVER) for _ in range(2)]
    assert [server.stdout.readline() for server in servers] == ["up\n"] * 2
    wait_for(client.is_alive)
    pid = service_pid()
    run, waiting = create_run(tiny(threads=2, **LONG)), create_run(tiny(threads=2, **LONG))
    client.submit_run(run)
    client.submit_run(waiting)
    wait_for_state(run, "running")
    wait_for(lambda: run.status().step > 0)
    servers[0].communicate("\n", timeout=30)
    time.sleep(1.0)
    assert (run.status().state, service_pid()) == ("running", pid)
    servers[1].communicate("\n", timeout=30)
    wait_for_state(run, "interrupted")
    assert run.load_resume()[1]["step"] == run.status().step > 0
    wait_for(lambda: processes(module_home) == [])
    assert waiting.status().state == "queued"
    client.resume_run(run)  # starts a service, and both go on
    wait_for_state(waiting, "running")
    wait_for(lambda: run.status().state == "queued")


def test_a_server_starts_a_killed_service_again():
    server = in_python(SERVER)
    server.stdout.readline()
    pid = service_pid()
    kill(pid)
    wait_for(lambda: not client.is_alive())
    wait_for(client.is_alive, 20)
    server.kill()  # it cannot say goodbye
    server.communicate(timeout=10)
    time.sleep(0.2)
    assert client.is_alive()


def test_a_service_that_nobody_needs_ends(module_home, monkeypatch):
    kill(service_pid())
    wait_for(lambda: not client.is_alive())
    monkeypatch.setenv("PLAYGROUND_IDLE_LIMIT", "0.5")
    client.ensure_service()
    with client.hold_presence(service=False):
        wait_for(lambda: "starts" in (module_home / client.LOG).read_text())
        time.sleep(6)
        assert client.is_alive()
    wait_for(lambda: processes(module_home) == [], 20)


def test_locks(tmp_path):
    path = tmp_path / "lock"
    assert not locks.is_held(path)
    assert not path.exists(), "whoever looks leaves nothing behind"
    with locks.take(path, shared=True) as one, locks.take(path, shared=True) as two:
        assert one
        assert two
        assert not locks.is_held(path)
        assert locks.is_shared(path)
        assert locks.take(path) is None
    with locks.take(path):
        assert locks.is_held(path)
        assert locks.take(path, shared=True, wait=0.05) is None
    assert not locks.is_shared(path)
