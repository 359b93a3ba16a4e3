"""Whole studies through the real service: a sweep with pruning, a cross-validation, and a driver that is killed."""

import os
import signal
import sys

import optuna
import pytest
from jobs_support import kill, kill_all, processes, tiny, wait_for
from optuna.storages.journal import JournalFileBackend, JournalStorage

from playground import locks
from playground.data import store
from playground.runs import list_runs
from playground.studies import Study, StudyFolder, lifecycle, parse_axis
from playground.studies.results import StudyReader, compute_mean_std, count_out_of_fold, find_best

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes in /proc")

AXES = (parse_axis("learning_rate=1e-4..1:log"), parse_axis("kernel_size=1,3"))


@pytest.fixture(scope="module", autouse=True)
def module_home(tmp_path_factory, session_home):
    """One home and one service for all tests here."""
    store.open_arrays("cifar10-mini")
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("studies-home")
        (home / "data").symlink_to(session_home / "data")
        patch.setenv("PLAYGROUND_HOME", str(home))
        patch.setenv("PLAYGROUND_SLOTS", "2")
        yield home
        kill_all(home)


def watch(folder: StudyFolder, state: str = "finished") -> StudyReader:
    feed = StudyReader(folder)
    wait_for(lambda: feed.update() or feed.state == state, 90)
    wait_for(lambda: feed.update() is False and feed.state == state, 90)
    return feed


def driver_of(folder: StudyFolder) -> int | None:
    """Return the process that has the study's lock open."""
    lock = str(folder.path / "lock")
    for pid in processes(folder.path.parent.parent):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") == lock for fd in os.listdir(f"/proc/{pid}/fd")):
                return pid
        except OSError:
            continue
    return None


def journal(folder: StudyFolder) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder.path / "journal.log")))
    return optuna.load_study(study_name=folder.id, storage=storage)


def test_a_cross_validation_to_its_end():
    feed = watch(lifecycle.start_study(Study("folds", tiny(), 3)))
    assert [result.state for result in feed.results] == ["finished"] * 3
    assert count_out_of_fold(feed.results).sum() == 80
    mean, std = compute_mean_std([result.score for result in feed.results])
    assert 0 <= mean <= 1 and std is not None
    assert {result.status.threads for result in feed.results} == {1}


def test_a_sweep_with_pruning_to_its_end_though_its_driver_is_killed():
    folder = lifecycle.start_study(Study("sweep", tiny(epochs=6), 8, AXES, "tpe"))
    pid = wait_for(lambda: len(folder.members()) >= 3 and driver_of(folder))
    kill(pid)
    wait_for(lambda: not locks.is_held(folder.path / "lock"))
    assert not folder.marked("done")
    lifecycle.continue_study(folder)
    assert driver_of(folder) not in (None, pid)
    feed = watch(folder)
    wait_for(lambda: folder.marked("done"))
    assert len(feed.results) == len({result.member.run_id for result in feed.results}) == 8
    assert {result.state for result in feed.results} <= {"finished", "pruned", "diverged"}
    assert "finished" in [result.state for result in feed.results]
    trials = {trial.number: trial for trial in journal(folder).trials}
    for result in feed.results:
        trial = trials[result.member.number]
        assert trial.state.name == {"pruned": "PRUNED"}.get(result.state, "COMPLETE")
        if result.finished:
            assert trial.value == pytest.approx(result.score)
    assert find_best(feed.results).score == max(r.score for r in feed.results if r.finished)
    lifecycle.continue_study(folder)
    assert not locks.is_held(folder.path / "lock"), "a study that is done has no driver"


def test_stopping_a_sweep_stops_its_runs_and_its_driver():
    folder = lifecycle.start_study(Study("sweep", tiny(epochs=1000), 8, AXES, "tpe", prune=False))
    running = wait_for(lambda: [m for m in folder.members() if m.run.status().state == "running"])
    lifecycle.stop_study(folder)
    wait_for(lambda: not locks.is_held(folder.path / "lock"))
    feed = watch(folder, "stopped")
    assert {result.state for result in feed.results} == {"stopped"} and len(feed.results) <= 3
    step = running[0].run.status().step
    lifecycle.resume_study(folder)
    wait_for(lambda: running[0].run.status().step > step)
    assert locks.is_held(folder.path / "lock")
    lifecycle.stop_study(folder)
    watch(folder, "stopped")
    wait_for(lambda: not locks.is_held(folder.path / "lock"))


def test_the_end_of_the_program_ends_the_driver(module_home):
    folder = lifecycle.start_study(Study("sweep", tiny(epochs=1000), 4, AXES, "tpe", prune=False))
    wait_for(lambda: [m for m in folder.members() if m.run.status().state == "running"])
    os.kill(int((module_home / "service.pid").read_text()), signal.SIGTERM)  # as the last server does that leaves
    wait_for(lambda: not locks.is_held(folder.path / "lock"))
    wait_for(lambda: not locks.is_held(module_home / "service.lock"))
    feed = watch(folder, "interrupted")
    assert "interrupted" in [result.state for result in feed.results]
    assert not [run for run in list_runs() if run.is_locked()]
