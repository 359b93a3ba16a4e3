"""Deleted runs: kept for a week, brought back as they were, and nobody else's business."""

import time

import pytest

from playground import people
from playground.config import RunConfig
from playground.jobs.cleanup import clean_home
from playground.runs import RunError, create_run, empty_trash, list_runs, list_trash, open_run, restore_run, runs_folder
from playground.runs.trash import KEPT_DAYS, sweep_trash

ANNA, BEN = people.make_person(), people.make_person()


def own_runs() -> list[str]:
    return [run.id for run in list_runs() if not run.read_only]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_deleted_run_comes_back_as_it_was():
    run, other = create_run(RunConfig(), "one"), create_run(RunConfig(), "two")
    before = contents(run.path)
    run.delete()
    assert own_runs() == [other.id]
    with pytest.raises(RunError, match="there is no run"):
        open_run(run.id)
    (found,) = list_trash()
    assert (found.id, found.name) == (run.id, "one") and abs(found.deleted - time.time()) < 5
    assert restore_run(run.id) == run
    assert contents(run.path) == before
    assert list_trash() == []


def test_the_last_deleted_comes_first(monkeypatch):
    made = [create_run(RunConfig(), f"run {i}") for i in range(3)]
    for day, run in enumerate([made[1], made[0], made[2]]):
        monkeypatch.setattr(time, "time", lambda day=day: 1e9 + day * 86400)
        run.delete()
    assert [each.id for each in list_trash()] == [made[2].id, made[0].id, made[1].id]


def test_what_is_not_in_the_trash_cannot_be_brought_back():
    run = create_run(RunConfig())
    for wanted in (run.id, "../../etc", ""):
        with pytest.raises(RunError, match="in the trash; deleted runs are kept for 7 days"):
            restore_run(wanted)
    run.delete()
    (runs_folder() / run.id).mkdir()
    with pytest.raises(RunError, match=r"there is a run .* again"):
        restore_run(run.id)
    assert [each.id for each in list_trash()] == [run.id]


def test_a_damaged_run_can_be_deleted_and_brought_back():
    run = create_run(RunConfig())
    (run.path / "about.json").write_text("[")
    run.delete()
    assert list_trash()[0].name == run.id
    assert restore_run(run.id).damage


def test_the_trash_is_each_person_s_own():
    hers, his = create_run(RunConfig(), owner=ANNA), create_run(RunConfig(), owner=BEN)
    hers.delete(by=ANNA)
    his.delete(by=BEN)
    assert [each.id for each in list_trash(ANNA)] == [hers.id]
    assert {each.id for each in list_trash()} == {hers.id, his.id}  # the machine's owner sees all
    with pytest.raises(RunError, match="who alone may change it"):
        restore_run(his.id, by=ANNA)
    assert empty_trash(ANNA) == 1
    assert [each.id for each in list_trash()] == [his.id]


@pytest.mark.parametrize("clean", [sweep_trash, clean_home])
def test_a_week_later_it_is_gone(monkeypatch, clean):
    old, new = create_run(RunConfig()), create_run(RunConfig())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - KEPT_DAYS * 86400 - 60)
    old.delete()
    monkeypatch.setattr(time, "time", lambda: now - KEPT_DAYS * 86400 + 60)
    new.delete()
    monkeypatch.setattr(time, "time", lambda: now)
    clean()
    assert [each.id for each in list_trash()] == [new.id]
    assert len(list(runs_folder().iterdir())) == 1
