"""Studies as folders, what they plan and what comes out of them, without a job service."""

import statistics

import numpy as np
import pytest
from jobs_support import tiny
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedKFold

from playground import locks, runs, studies
from playground.config import from_flat
from playground.data import store
from playground.jobs import client, queue
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunError
from playground.studies import Study, StudyError, lifecycle, parse_axis, plan, range_test
from playground.studies.results import StudyReader, compute_mean_std, compute_noise_margin, count_out_of_fold, find_best
from playground.studies.study import member_base

SLOT = Slot("cpu", 1)
SWEEP = (parse_axis("kernel_size=3,5"), parse_axis("learning_rate=1e-3,1e-2"))


@pytest.fixture(scope="module", autouse=True)
def data(session_home):
    """Unpack the bundled images once."""
    store.open_arrays("cifar10-mini")
    return session_home / "data"


@pytest.fixture(autouse=True)
def quiet(home, data, monkeypatch):
    """Nobody who would start a run."""
    (home / "data").symlink_to(data)
    monkeypatch.setattr(client, "ensure_service", lambda: None)
    monkeypatch.setattr(client, "list_devices", lambda: {"cpu": "CPU"})


def refusal(make) -> str:
    with pytest.raises(StudyError) as caught:
        make()
    assert str(caught.value).isprintable()
    return str(caught.value)


# What is planned


def test_folds_hold_back_each_part_with_one_thread_each():
    study = Study("folds", tiny(threads=0, folds=7, fold=3), 4)
    members = plan(study).members
    assert [values for values, _ in members] == [{"folds": "4", "fold": str(i)} for i in range(4)]
    for fold, (_, config) in enumerate(members):
        assert config == from_flat({"threads": 1, "folds": 4, "fold": fold}, base=study.base)


def test_seeds_follow_the_base_s_own():
    assert [config.training.seed for _, config in plan(Study("seeds", tiny(seed=7), 3)).members] == [7, 8, 9]
    last = plan(Study("seeds", tiny(seed=2**31 - 1), 3)).members
    assert [config.training.seed for _, config in last] == [2**31 - 3, 2**31 - 2, 2**31 - 1]


def test_a_range_test_is_one_run():
    ((values, config),) = plan(Study("range_test", tiny(learning_rate=1))).members
    assert values == {"schedule": "range_test"}
    assert (config.training.schedule, config.training.learning_rate) == ("range_test", 1)


def test_threads_that_were_asked_for_stay():
    assert member_base(tiny(threads=3)).training.threads == 3
    assert member_base(tiny(threads=0)).training.threads == 1


def test_members_do_not_mix_a_gpu_and_the_cpu(monkeypatch):
    monkeypatch.setattr(client, "list_devices", lambda: {"cpu": "CPU", "cuda:0": "GPU", "cuda:1": "GPU"})
    monkeypatch.setattr(client, "count_cores", lambda: 8)
    assert member_base(tiny(device="auto")).training.device == "cuda"
    assert member_base(tiny(device="cpu")).training.device == "cpu"
    assert lifecycle.count_slots(tiny(device="auto")) == 2
    assert lifecycle.count_slots(tiny(device="cuda:1")) == 1
    assert lifecycle.count_slots(tiny(device="cpu")) == 8
    assert lifecycle.count_slots(tiny(device="cpu", threads=3)) == 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Study("folds", tiny(), 1), "1 folds: it takes 2 to 20"),
        (lambda: Study("folds", tiny(), 21), "21 folds: it takes 2 to 20"),
        (lambda: Study("seeds", tiny(), 0), "0 seeds: it takes 1 to 200"),
        (lambda: Study("sweep", tiny()), "a sweep varies at least one knob; choose one and its values"),
        (lambda: Study("sweep", tiny(), 1, SWEEP[:1] * 2), "each knob of a sweep is named once"),
        (lambda: studies.create_study(Study("seeds", tiny(channels="4-4-4-4-4-4"), 3)), "take fewer blocks"),
        (
            lambda: studies.create_study(Study("sweep", tiny(), axes=(parse_axis("channels=4-4-4-4-4-4"),))),
            "fewer blocks",
        ),
    ],
)
def test_a_study_that_cannot_be_is_one_line(make, says):
    assert says in refusal(make)
    assert studies.list_studies() == []


def test_the_time_is_the_sum_over_the_slots(monkeypatch):
    monkeypatch.setattr(
        lifecycle.estimate, "estimate_seconds_per_epoch", lambda config: float(config.model.kernel_size)
    )
    configs = [tiny(kernel_size=k, epochs=e) for k, e in ((3, 4), (5, 2), (1, 4))]
    assert lifecycle.estimate_seconds(configs, 2) == pytest.approx((12 + 10 + 4) / 2)
    assert lifecycle.estimate_seconds(configs, 3) == pytest.approx(12), "no shorter than the longest"
    assert lifecycle.estimate_seconds([], 2) == 0


def test_a_single_thread_takes_longer_than_two():
    one, two = (lifecycle.estimate.estimate_seconds_per_epoch(tiny(threads=threads)) for threads in (1, 2))
    assert one / two == pytest.approx(3300 / 2240, rel=0.01)


def test_a_fold_takes_as_long_as_what_it_learns_from():
    seen = [
        lifecycle.estimate.count_training_images(tiny(validation_share=s, folds=f)) for s, f in ((0.25, 0), (0.1, 4))
    ]
    assert seen == [60, 60]


# Folders


def test_a_study_comes_back_as_it_was_made():
    asked = Study("sweep", tiny(), 5, SWEEP, "tpe", False, 3, "  my \n sweep ")
    folder = studies.create_study(asked)
    found = studies.open_study(folder.id)
    assert found == folder and found.study.created > 0 and found.name == "my sweep"
    assert {**vars(found.study), "created": 0.0, "name": ""} == {**vars(asked), "name": ""}
    assert studies.list_studies() == [folder]
    assert runs.list_runs()[0].read_only, "nothing runs yet"


@pytest.mark.parametrize("study_id", ["", "..", "20260101-000000-abcdef", "a/b", "\0", "x" * 300])
def test_no_such_study(study_id):
    assert "there is no study" in refusal(lambda: studies.open_study(study_id))


def test_a_damaged_study_is_one_line():
    folder = studies.create_study(Study("seeds", tiny(), 2))
    for content in (b"", b"[]", b'{"kind": "x"}', b"\xff", b'{"kind": "folds", "count": 1}'):
        (folder.path / "study.json").write_bytes(content)
        assert "study.json is damaged" in refusal(lambda: studies.open_study(folder.id).study)


def test_starting_puts_all_members_into_the_queue():
    folder = lifecycle.start_study(Study("sweep", tiny(), axes=SWEEP, name="four"))
    members = folder.members()
    assert [m.number for m in members] == [0, 1, 2, 3]
    assert list(queue.list_waiting()) == [m.run_id for m in members]
    for member, (values, config) in zip(members, folder.plan.members, strict=True):
        assert member.values == values and member.run.config == config
        assert (member.run.about.study, member.run.about.member) == (folder.id, member.number)
    assert members[3].run.name == "four · kernel size 5, learning rate 0.01"


def test_going_on_adds_what_is_missing_and_nothing_twice():
    folder = lifecycle.start_study(Study("sweep", tiny(), axes=SWEEP))
    before = folder.members()
    lifecycle.continue_study(folder)
    assert folder.members() == before
    path = folder.path / "members.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:20])  # killed while it wrote the third
    before[3].run.delete()
    folder.mark("done", False)
    lifecycle.continue_study(studies.open_study(folder.id))
    after = folder.members()
    assert after[:3] == before[:3], "the run that was made is taken up, not made again"
    assert after[3].values == before[3].values and after[3].run_id != before[3].run_id


def test_a_server_that_starts_lets_studies_go_on():
    half, whole, bad = (studies.create_study(Study("seeds", tiny(), 2)) for _ in range(3))
    lifecycle.continue_study(whole)
    (bad.path / "study.json").write_bytes(b"x")
    lifecycle.revive_studies()
    assert [len(folder.members()) for folder in (half, whole, bad)] == [2, 2, 0]
    lifecycle.revive_studies()
    assert len(queue.list_waiting()) == 4


def test_only_one_adds_members():
    folder = studies.create_study(Study("seeds", tiny(), 3))
    with locks.take(folder.path / "lock"):
        lifecycle.continue_study(folder)
        assert folder.members() == []
    lifecycle.continue_study(folder)
    assert len(folder.members()) == 3


def test_a_study_on_a_shelf_of_other_runs_reads_none_of_them(monkeypatch):
    for _ in range(5):
        runs.create_run(tiny(), "another")
    folder = lifecycle.start_study(Study("seeds", tiny(), 2))
    opened = []
    monkeypatch.setattr(runs.RunFolder, "about", property(lambda run: opened.append(run.id)))
    monkeypatch.setattr(runs.registry, "list_runs", lambda: opened.append("list"))
    StudyReader(folder).update()
    lifecycle.continue_study(folder)
    assert set(opened) <= {member.run_id for member in folder.members()}


def test_stopping_and_going_on():
    folder = lifecycle.start_study(Study("seeds", tiny(), 3))
    run_worker(folder.members()[0].run, SLOT)
    lifecycle.stop_study(folder)
    feed = StudyReader(folder)
    feed.update()
    assert [r.state for r in feed.results] == ["finished", "stopped", "stopped"] and feed.state == "stopped"
    assert queue.list_waiting() == {}
    lifecycle.continue_study(folder)
    assert queue.list_waiting() == {}, "a stopped study does not go on by itself"
    lifecycle.resume_study(folder)
    feed.update()
    assert [r.state for r in feed.results] == ["finished", "queued", "queued"] and feed.state == "running"


@pytest.mark.parametrize("mark", ["stopped", "done"])
def test_a_study_that_was_stopped_or_is_done_gets_no_driver(mark, monkeypatch):
    launched = []
    monkeypatch.setattr(lifecycle, "_launch_driver", launched.append)
    folder = lifecycle.start_study(Study("sweep", tiny(), 3, SWEEP, "tpe"))
    assert launched == [folder]
    folder.mark(mark)
    lifecycle.continue_study(folder)
    assert launched == [folder]
    folder.mark(mark, False)
    lifecycle.continue_study(folder)
    assert launched == [folder] * 2


def test_a_driver_that_does_not_start_is_one_line(monkeypatch):
    folder = studies.create_study(Study("sweep", tiny(), 3, SWEEP, "tpe"))
    (folder.path / "study.json").write_text("x")
    assert "does not start; see " in refusal(lambda: lifecycle._launch_driver(folder_of(folder)))


def folder_of(folder):
    """The same study, as somebody has it who read it before it was damaged."""
    known = studies.StudyFolder(folder.path)
    known.__dict__["study"] = Study("sweep", tiny(), 3, SWEEP, "tpe")
    return known


def test_a_pruned_run_is_not_resumed():
    folder = lifecycle.start_study(Study("seeds", tiny(), 2))
    first, second = (member.run for member in folder.members())
    lifecycle.stop_study(folder)
    first.set_status(state="stopped", message="pruned: behind the median after epoch 1")
    lifecycle.resume_study(folder)
    assert [run.status().state for run in (first, second)] == ["stopped", "queued"]
    feed = StudyReader(folder)
    feed.update()
    assert feed.results[0].pruned and feed.results[0].state == "pruned"


def test_deleting_with_and_without_the_runs():
    kept, gone = (lifecycle.start_study(Study("seeds", tiny(), 2)) for _ in range(2))
    assert "is at work; stop it first" in refusal(lambda: lifecycle.delete_study(kept, True))
    for folder in (kept, gone):
        lifecycle.stop_study(folder)
    members = [[member.run for member in folder.members()] for folder in (kept, gone)]
    lifecycle.delete_study(kept, with_runs=False)
    lifecycle.delete_study(gone, with_runs=True)
    assert studies.list_studies() == []
    assert [run.about.study for run in members[0]] == [None, None]
    assert not any(run.path.exists() for run in members[1])


# What comes out


@pytest.fixture
def crossvalidation():
    """Three folds, run to their end."""
    folder = lifecycle.start_study(Study("folds", tiny(epochs=3), 3))
    for member in folder.members():
        run_worker(member.run, SLOT)
    return folder


def test_mean_and_deviation_of_the_folds(crossvalidation):
    feed = StudyReader(crossvalidation)
    assert feed.update() and not feed.update()
    assert feed.state == "finished" and feed.done == 1 and feed.seconds_left() is None
    accuracies = [member.run.rows()[-1]["val"].accuracy for member in crossvalidation.members()]
    assert [result.score for result in feed.results] == accuracies
    mean, std = compute_mean_std(accuracies)
    assert (mean, std) == pytest.approx((statistics.mean(accuracies), statistics.stdev(accuracies)))
    top = find_best(feed.results)
    assert top.score == max(accuracies) and top.member.number == accuracies.index(max(accuracies))


def test_the_out_of_fold_matrix_is_scikit_learn_s(crossvalidation):
    feed = StudyReader(crossvalidation)
    feed.update()
    counts = count_out_of_fold(feed.results)
    every = store.open_arrays("cifar10-mini").train_targets
    order = np.random.default_rng(0).permutation(len(every))
    rows = np.sort(np.concatenate([order[every[order] == c][:8] for c in range(10)]))
    expected = np.zeros((10, 10), int)
    cut = StratifiedKFold(3, shuffle=True, random_state=0).split(rows, every[rows])
    for result, (_, held_back) in zip(feed.results, cut, strict=True):
        preds = result.member.run.validation_predictions(3).argmax(1)
        expected += confusion_matrix(every[rows[held_back]], preds, labels=range(10))
    assert np.array_equal(counts, expected)
    assert counts.sum() == 80, "each image once"
    hits = sum(r.score * len(r.member.run.validation_predictions(3)) for r in feed.results)
    assert counts.trace() == pytest.approx(hits)


def test_the_matrix_of_no_fold_and_of_some():
    folder = lifecycle.start_study(Study("folds", tiny(), 3))
    feed = StudyReader(folder)
    feed.update()
    assert count_out_of_fold(feed.results) is None and find_best(feed.results) is None
    run_worker(folder.members()[1].run, SLOT)
    feed.update()
    assert count_out_of_fold(feed.results).sum() == pytest.approx(80 / 3, abs=1)


def test_predictions_that_are_gone_are_one_line():
    folder = lifecycle.start_study(Study("folds", tiny(), 2))
    run = folder.members()[0].run
    run_worker(run, SLOT)
    (run.path / "predictions" / "epoch-0002.safetensors").write_bytes(b"x")
    feed = StudyReader(folder)
    feed.update()
    with pytest.raises(RunError, match="is damaged"):
        count_out_of_fold(feed.results)


def test_progress_and_time_left():
    folder = lifecycle.start_study(Study("seeds", tiny(epochs=4), 4))
    feed = StudyReader(folder)
    feed.update()
    assert feed.done == 0 and feed.seconds_left() is None
    first, second, third, _ = (member.run for member in folder.members())
    first.set_status(state="finished", epoch=4, epochs=4, seconds=8.0)
    second.set_status(state="running", epoch=1, epochs=4, seconds=2.0)
    with second.hold():
        feed.update()
        assert feed.done == pytest.approx((1 + 0.25) / 4)
        assert feed.seconds_left() == pytest.approx((3 + 4 + 4) * 2.0 / lifecycle.count_slots(folder.study.base))
    third.delete()
    feed.update()
    assert feed.results[2].state == "deleted"


def test_no_deviation_of_a_single_run():
    assert compute_mean_std([0.5]) == (0.5, None)


def test_luck_covers_nineteen_of_twenty_differences():
    random = np.random.default_rng(0)
    differences = np.abs(random.normal(0.7, 0.02, 100_000) - random.normal(0.7, 0.02, 100_000))
    assert np.mean(differences < compute_noise_margin(0.02)) == pytest.approx(0.95, abs=0.005)


# The range test


def curve(fastest: float = 0.01, breaks: float = 0.3, count: int = 300):
    """A loss that falls fastest at one rate and is back where it began at another."""
    rates = np.geomspace(1e-4, 1, count)
    fall = 1.5 / (1 + np.exp(-3 * np.log(rates / fastest)))
    rise = 1.5 * (rates / breaks) ** 4
    return rates, 2.3 - fall + rise


def test_the_steepest_rate_and_where_it_breaks():
    rates, losses = curve()
    read = range_test.read_range_test(rates, losses + np.random.default_rng(0).normal(0, 0.01, len(losses)))
    assert 0.007 < read.steepest < 0.015
    assert 0.27 < read.breaks < 0.36
    assert f"{read.steepest:.2g}" == f"{read.steepest:g}"


def test_a_loss_that_never_falls_suggests_nothing():
    rates = np.geomspace(1e-4, 1, 200)
    assert range_test.read_range_test(rates, np.linspace(2.3, 9, 200)).steepest is None
    assert range_test.read_range_test(rates[:5], np.ones(5)).steepest is None


def test_a_loss_that_never_breaks_says_so_unless_it_diverged():
    rates, losses = curve(breaks=1e6)
    assert range_test.read_range_test(rates, losses).breaks is None
    assert range_test.read_range_test(rates, losses, diverged=True).breaks == 1


def test_a_range_test_that_was_trained():
    config = from_flat({"epochs": 10, "learning_rate": 10, "images_per_class": 20}, base=tiny())
    folder = lifecycle.start_study(Study("range_test", config))
    run_worker(folder.members()[0].run, SLOT)
    feed = StudyReader(folder)
    feed.update()
    progress = feed.feeds[folder.members()[0].run_id].progress
    steps = np.array(progress["step"]) - 1
    expected = 10 * 10_000.0 ** (steps / progress["step"][-1] - 1)
    assert progress["learning_rate"] == pytest.approx(expected.tolist(), rel=0.2)
    read = range_test.read_range_test(progress["learning_rate"], progress["loss"], feed.results[0].state == "diverged")
    assert 1e-3 < read.steepest < read.breaks < 10
