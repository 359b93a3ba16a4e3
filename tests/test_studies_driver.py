"""The driver: what it asks, prunes and learns, step by step in this process; nobody trains."""

import json

import pytest
from jobs_support import tiny
from optuna.trial import TrialState
from rows_support import make_row

from playground import locks, runs
from playground.data import store
from playground.jobs import client
from playground.runs import RunFolder
from playground.studies import Study, create_study, lifecycle, parse_axis
from playground.studies.driver import Driver
from playground.studies.results import StudyReader
from playground.studies.study import StudyFolder

RATE = parse_axis("learning_rate=1e-4..1e-1:log")


@pytest.fixture(scope="module", autouse=True)
def data(session_home):
    store.open_arrays("cifar10-mini")
    return session_home / "data"


@pytest.fixture(autouse=True)
def quiet(home, data, monkeypatch):
    """Two slots, and nobody who would start a run, though the service seems to be there."""
    (home / "data").symlink_to(data)
    monkeypatch.setenv("PLAYGROUND_SLOTS", "2")
    monkeypatch.setattr(client, "ensure_service", lambda: None)
    monkeypatch.setattr(client, "is_alive", lambda: True)


def study(*axes, **knobs) -> StudyFolder:
    asked = {"count": 6, "prune": True, **knobs}
    return create_study(Study("sweep", tiny(epochs=6), axes=axes or (RATE,), sampler="tpe", **asked))


def drive(folder: StudyFolder) -> Driver:
    driver = Driver(folder)
    driver.find_members()
    return driver


def at_work(folder: StudyFolder) -> list[RunFolder]:
    return [run for member in folder.members() if (run := member.run) and run.status().active]


def report(run: RunFolder, epoch: int, accuracy: float, state: str = "") -> None:
    """Write what a worker would after an epoch, and at its end."""
    scores = {"loss": 1.0, "accuracy": accuracy}
    row = {"type": "epoch", "epoch": epoch, "step": epoch, "seconds": 1.0, "train": None, "val": scores}
    run.append(make_row(row | {"test": {"loss": 1.0, "accuracy": 0.1}}))
    if state:
        run.set_status(state=state, epoch=epoch)


def finish(run: RunFolder, accuracy: float) -> None:
    for epoch in range(1, 7):
        report(run, epoch, accuracy * epoch / 6, "finished" if epoch == 6 else "")


def states(driver: Driver) -> list[TrialState]:
    return [trial.state for trial in driver.trials.trials]


def test_it_fills_the_slots_and_no_more():
    folder = study()
    driver = drive(folder)
    for _ in range(3):
        assert driver.tick() == ""
        assert len(folder.members()) == len(at_work(folder)) == 2
    finish(at_work(folder)[0], 0.4)
    driver.tick()
    assert len(folder.members()) == 3 and len(at_work(folder)) == 2
    for member in folder.members():
        assert 1e-4 <= member.run.config.training.learning_rate <= 0.1
        assert member.run.config.training.learning_rate == float(member.values["learning_rate"])


def test_it_ends_with_as_many_as_were_asked_for_and_has_learned_their_accuracy():
    folder, told = study(), []
    driver = drive(folder)
    while not (why := driver.tick()):
        for run in at_work(folder):
            told.append(0.2 + 0.01 * len(told))
            finish(run, told[-1])
    assert why == "done" and folder.marked("done")
    assert len(folder.members()) == 6
    assert [trial.value for trial in driver.trials.trials] == pytest.approx(told)
    feed = StudyReader(folder)
    feed.update()
    assert feed.state == "finished"
    assert sorted(result.score for result in feed.results) == pytest.approx(sorted(told))


def test_a_run_behind_the_median_is_stopped_and_says_so():
    folder = study()
    driver = drive(folder)
    for accuracy in (0.6, 0.5, 0.55):  # the median is known of three
        driver.tick()
        finish(at_work(folder)[0], accuracy)
    driver.tick()
    good, bad = at_work(folder)
    for epoch in (1, 2, 3):
        report(good, epoch, 0.6 * epoch / 6)
        report(bad, epoch, 0.01)
    driver.tick()
    commands = [(run.path / "control.jsonl") for run in (good, bad)]
    assert not commands[0].exists()
    command = json.loads(commands[1].read_text())
    assert command == {"do": "stop", "why": "pruned: behind the median after epoch 2"}
    bad.set_status(state="stopped", message=command["why"])
    driver.tick()
    assert states(driver).count(TrialState.PRUNED) == 1
    feed = StudyReader(folder)
    feed.update()
    assert [result.member.run_id for result in feed.results if result.pruned] == [bad.id]


def test_it_does_not_prune_unless_asked_to():
    folder = study(prune=False)
    driver = drive(folder)
    for _ in range(3):
        driver.tick()
        finish(at_work(folder)[0], 0.6)
    driver.tick()
    for epoch in range(1, 6):
        report(at_work(folder)[0], epoch, 0.01)
    driver.tick()
    assert not any((run.path / "control.jsonl").exists() for run in at_work(folder))


def test_a_median_of_fewer_than_three_prunes_nobody():
    folder = study()
    driver = drive(folder)
    driver.tick()
    finish(at_work(folder)[0], 0.6)
    for _ in range(3):  # as of values that make no network, which have no curve
        driver.trials.tell(driver.trials.ask().number, 0.0)
    driver.tick()
    for epoch in range(1, 6):
        report(at_work(folder)[0], epoch, 0.01)
    driver.tick()
    assert not any((run.path / "control.jsonl").exists() for run in at_work(folder))


def test_divergence_teaches_and_failure_does_not():
    folder = study()
    driver = drive(folder)
    driver.tick()
    first, second = at_work(folder)
    report(first, 1, 0.3, "diverged")
    second.set_status(state="failed", message="out of memory")
    driver.tick()
    assert states(driver)[:2] == [TrialState.COMPLETE, TrialState.FAIL]
    assert driver.trials.trials[0].value == 0


def test_what_makes_no_network_is_left_out_and_not_tried_for_ever():
    folder = study(parse_axis("channels=4,8,4-4-4-4-4-4"), RATE)
    driver = drive(folder)
    while not driver.tick():
        for run in at_work(folder):
            finish(run, 0.5)
    assert len(folder.members()) == 6
    assert all("4-4" not in member.values["channels"] for member in folder.members())
    left_out = folder.left_out()
    assert len(left_out) < 12 and all("take fewer blocks" in why for _, why in left_out)


def test_a_small_space_is_tried_out_and_no_run_is_made_twice():
    folder = study(parse_axis("kernel_size=3,5"), parse_axis("flip=false,true"))
    driver = drive(folder)
    while not driver.tick():
        for run in at_work(folder):
            finish(run, 0.5)
    assert len({tuple(member.values.values()) for member in folder.members()}) == len(folder.members()) == 4


def test_a_killed_driver_is_followed_by_one_that_knows_it_all():
    folder = study()
    driver = drive(folder)
    driver.tick()
    first, second = at_work(folder)
    finish(first, 0.5)
    driver.tick()
    assert len(at_work(folder)) == 2
    finish(second, 0.4)  # while nobody looked
    with (folder.path / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code": 5, "trial')  # killed while it wrote
    again = drive(StudyFolder(folder.path))
    again.tick()
    assert states(again)[:2] == [TrialState.COMPLETE] * 2
    assert [trial.value for trial in again.trials.trials[:2]] == pytest.approx([0.5, 0.4])
    assert len(at_work(folder)) == 2
    while not again.tick():
        for run in at_work(folder):
            finish(run, 0.3)
    assert len(folder.members()) == 6
    assert TrialState.RUNNING not in states(again)


def test_a_driver_killed_between_asking_and_writing_down_loses_and_doubles_nothing(monkeypatch):
    folder = study()
    driver = drive(folder)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StudyFolder, "append", killed)  # the run is made, but not written down
        with pytest.raises(KeyboardInterrupt):
            driver.tick()
    with monkeypatch.context() as patch:
        patch.setattr(StudyFolder, "add", killed)  # asked for, but not made
        with pytest.raises(KeyboardInterrupt):
            Driver(folder).add()
    made = [run for run in runs.list_runs() if not run.read_only]
    assert len(made) == 1 and folder.members() == []
    again = drive(StudyFolder(folder.path))
    members = folder.members()
    assert [member.number for member in members] == [0, 1]
    assert members[0].run == made[0]
    asked = [trial.params["learning_rate"] for trial in again.trials.trials]
    assert [member.run.config.training.learning_rate for member in members] == pytest.approx(asked, rel=1e-3)


def test_values_that_were_asked_for_under_a_name_of_old_are_taken_up_under_today_s():
    folder = study(parse_axis("batch_norm=false,true"), RATE)
    trial = Driver(folder).trials.ask()  # by a driver of its day, which was killed before it made the run
    said = trial.suggest_categorical("batch_norm", ["false", "true"])
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    drive(StudyFolder(folder.path))
    member = folder.members()[0]
    norm = {"false": "none", "true": "batch"}[said]
    assert member.run and member.run.config.model.norm == norm and member.values["norm"] == norm
    assert member.run.config.training.learning_rate == pytest.approx(rate, rel=1e-3)


def test_a_stop_is_seen_before_the_next_run_and_judges_nobody():
    folder = study()
    driver = drive(folder)
    driver.tick()
    lifecycle.stop_study(folder)
    assert driver.tick() == "stopped"
    assert len(folder.members()) == 2 and not folder.marked("done")
    assert states(driver) == [TrialState.RUNNING] * 2
    folder.mark("stopped", False)
    for member in folder.members():
        client.requeue_run(member.run)
    again = drive(folder)
    again.tick()
    assert len(at_work(folder)) == 2 and set(again.feeds) == {0, 1}


def test_it_ends_with_the_program():
    folder = study()
    driver = drive(folder)
    driver.tick()
    at_work(folder)[0].set_status(state="interrupted")
    assert "interrupted with the program" in driver.tick()
    assert not folder.marked("done")


def test_it_ends_when_the_service_is_gone_for_long(monkeypatch):
    driver = drive(study())
    assert driver.tick() == ""
    monkeypatch.setattr(client, "is_alive", lambda: False)
    assert driver.tick() == ""
    driver.served_at -= 60
    assert driver.tick() == "the job service is gone, and so is this"


def test_a_run_that_was_deleted_is_passed_over():
    folder = study()
    driver = drive(folder)
    driver.tick()
    gone = at_work(folder)[0]
    client.stop_run(gone)
    gone.delete()
    again = drive(StudyFolder(folder.path))
    assert states(again)[0] == TrialState.FAIL and len(again.feeds) == 1


def test_the_lock_keeps_a_second_driver_out(monkeypatch):
    from playground.studies import driver as driver_module

    folder = study()
    monkeypatch.setattr(driver_module, "Driver", lambda _: pytest.fail("a second driver"))
    with locks.take(folder.path / "lock"):
        assert driver_module.main(str(folder.path)) == 0
