"""One worker, in this process: what it writes, what it obeys, and what is left when it ends early."""

import errno
import shutil
import threading
import time

import numpy as np
import pytest
from jobs_support import tiny

from playground.data import store
from playground.events import Batch, Epoch, EpochRow
from playground.jobs import client, queue, worker
from playground.jobs.control import Control
from playground.jobs.explain import explain_end
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunError, RunFolder, RunReader, create_run
from playground.runs.rows import to_line
from playground.training import reports, trainer

SLOT = Slot("cpu", 1)


@pytest.fixture(scope="module", autouse=True)
def data(session_home):
    """Unpack the bundled images once."""
    store.open_arrays("cifar10-mini")
    return session_home / "data"


@pytest.fixture(autouse=True)
def linked(home, data):
    (home / "data").symlink_to(data)


def figures(run: RunFolder) -> list[dict]:
    """The rows that count, without what a clock says."""
    clocks = ("seconds", "images_per_second")
    return [{k: v for k, v in vars(row).items() if k not in clocks} for row in run.rows() if row.type != "resumed"]


def weights(run: RunFolder) -> dict[str, np.ndarray]:
    return run.weights(run.epochs()[-1])


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def test_what_a_fold_predicts_is_kept():
    run = create_run(tiny(folds=4, fold=1))
    assert run_worker(run, SLOT).state == "finished"
    assert [len(run.validation_predictions(epoch)) for epoch in run.epochs()] == [20, 20, 20]
    plain = create_run(tiny())
    run_worker(plain, SLOT)
    with pytest.raises(RunError, match="has no folds"):
        plain.validation_predictions(2)


def test_whoever_stops_a_run_may_say_why():
    run = create_run(tiny(epochs=50))
    status = run_worker(run, SLOT, at_step(5, lambda: run.command(do="stop", why="pruned: behind\nthe median")))
    assert (status.state, status.message) == ("stopped", "pruned: behind the median")


def test_a_resumed_run_is_not_described_again():
    run = create_run(tiny(epochs=3))
    run_worker(run, SLOT, at_step(5, lambda: run.command(do="stop")))
    assert run.about.dataset is not None
    before = (run.path / "about.json").stat().st_mtime_ns
    go_on(run)
    assert (run.path / "about.json").stat().st_mtime_ns == before


def go_on(run: RunFolder) -> None:
    client.requeue_run(run)
    assert run_worker(run, SLOT).state == "finished"


def at_step(step: int, do):
    """A watch that does something once, right after a step."""
    done = []

    def watch(event, status):
        if isinstance(event, Batch) and event.step == step and not done:
            done.append(True)
            do()

    return watch


def test_a_run_from_queued_to_finished():
    run = create_run(tiny())
    queue.put_in_queue(run.id)
    status = run_worker(run, SLOT)
    assert status == run.status()
    assert (status.state, status.epoch, status.epochs, status.message) == ("finished", 2, 2, "")
    assert (status.device, status.threads) == ("cpu", 1)
    assert status.step == status.total_steps == 2 * 4
    assert status.parameters > 0
    assert status.finished >= status.started
    assert queue.list_waiting() == {}
    assert run.epochs() == run.predicted_epochs() == [0, 1, 2]
    assert run.predictions(2).shape == (2000, 10)
    assert not (run.path / "resume.safetensors").exists()
    kinds = [row.type for row in run.rows()]
    assert kinds.count("epoch") == 3
    assert kinds.count("progress") == 8
    best = max((row for row in run.rows() if row.type == "epoch"), key=lambda row: row["val"].accuracy)
    assert (status.best_epoch, status.best_score) == (best.epoch, best["val"].accuracy)
    with pytest.raises(RunError, match="finished, not queued"):
        run_worker(run, SLOT)
    with pytest.raises(RunError, match="nothing to resume"):
        client.requeue_run(run)


def test_only_one_worker_at_a_time():
    run = create_run(tiny())
    with run.hold(), pytest.raises(RunError, match="already"):
        run_worker(run, SLOT)
    assert run.status().state == "queued"


@pytest.fixture(scope="module")
def reference(session_home, data):
    """A longer run that nothing disturbed: its figures and its weights."""
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    run_worker(run, SLOT)
    return figures(run), weights(run)


@pytest.mark.parametrize("what", ["stop", "interrupt"])
@pytest.mark.parametrize("step", [1, 7, 8])
def test_an_exact_state_is_saved_in_the_middle_of_an_epoch(reference, what, step):
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    status = run_worker(run, SLOT, at_step(step - 1 or 1, lambda: run.command(do=what)))
    assert status.state == {"stop": "stopped", "interrupt": "interrupted"}[what]
    step_saved = run.load_resume()[1]["step"]
    assert step_saved in (step, step - 1, 2)
    go_on(run)
    assert same(weights(run), reference[1])
    resumed = [row for row in run.rows() if row.type == "resumed"]
    assert [row.step for row in resumed] == [step_saved]
    assert [r for r in figures(run) if r["type"] == "epoch"] == [r for r in reference[0] if r["type"] == "epoch"]


def test_whatever_a_kill_leaves_resumes_to_the_same(reference, home):
    """A kill leaves the folder as it is at that moment, so a copy of it stands for a killed run."""
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    copies: list[RunFolder] = []
    rng = np.random.default_rng(0)

    def watch(event, status):
        if rng.random() < 0.3:
            copy = run.path.with_name(f"copy-{len(copies):03d}")
            shutil.copytree(run.path, copy)
            copies.append(RunFolder(copy))

    run_worker(run, SLOT, watch)
    assert len(copies) >= 5
    for copy in copies[:: max(1, len(copies) // 6)]:
        seen = [repr(row) for row in figures(copy)]
        assert copy.status().state == "died"
        go_on(copy)
        assert same(weights(copy), reference[1])
        assert figures(copy) == reference[0]
        assert not set(seen) - {repr(row) for row in figures(copy)}


def test_killed_before_the_first_state_was_saved(reference):
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    row = reference[0][0] | {"seconds": 0.1}
    run.append(EpochRow(**row))  # epoch 0's row, without its state
    run.set_status(state="running")
    assert run.status().state == "died"
    go_on(run)
    assert figures(run) == reference[0]
    assert same(weights(run), reference[1])


def test_a_change_is_a_row_and_survives_kills():
    """The knob is changed again at the same step, also when the worker is killed again before it comes to that."""
    run, copies = create_run(tiny(epochs=4)), []

    def watch(event, status):
        if isinstance(event, Batch) and event.step == 5:
            run.command(set={"learning_rate": 0.02})
        if isinstance(event, Batch) and event.step in (3, 7):
            copies.append(shutil.copytree(run.path, run.path.with_name(f"at-{event.step}")))

    assert run_worker(run, SLOT, watch).state == "finished"
    changes = [row for row in run.rows() if row.type == "change"]
    assert [(row.knob, row.new) for row in changes] == [("learning_rate", 0.02)]
    assert changes[0].step in (5, 6)
    killed = RunFolder(copies[1])
    assert [row.step for row in killed.rows() if row.type == "change"] == [changes[0].step]

    again = []
    client.requeue_run(killed)
    copy_at_4 = at_step(5, lambda: again.append(shutil.copytree(killed.path, killed.path.with_name("again"))))
    assert run_worker(killed, SLOT, copy_at_4).state == "finished"
    twice = RunFolder(again[0])
    go_on(twice)
    for resumed in (killed, twice):
        assert figures(resumed) == figures(run)
        assert same(weights(resumed), weights(run))


class Whim:
    """In place of the seconds after which a slow run reports: now and then they are over, as no clock repeats."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def __lt__(self, passed: float) -> bool:
        return self.random.random() < 0.4


@pytest.fixture
def slow(monkeypatch):
    """Runs whose rows are written by the clock."""
    monkeypatch.setattr(trainer, "REPORTS", 1)
    return lambda seed: monkeypatch.setattr(reports, "REPORT_SECONDS", Whim(seed))


def check_kept(run: RunFolder, seen: list[dict]) -> None:
    """Check that the rows that were seen stand there as they were, and that no step has two of a kind."""
    rows = figures(run)
    assert [row for row in seen if row not in rows] == []
    places = [(row["type"], row["step"]) for row in rows]
    assert sorted(set(places)) == sorted(places)


@pytest.mark.parametrize("seed", range(4))
def test_rows_by_the_clock_come_again_as_they_were_however_often_it_is_killed(slow, seed):
    slow(seed)
    random = np.random.default_rng(seed)
    copies: list[tuple[RunFolder, list[dict]]] = []

    def watch_of(run: RunFolder, seen: list[dict], share: float):
        def watch(event, status):
            rows = [*seen, *(row for row in figures(run) if row not in seen)]
            if random.random() < share:
                copy = RunFolder(shutil.copytree(run.path, run.path.with_name(f"copy-{len(copies):03d}")))
                copies.append((copy, rows))

        return watch

    run = create_run(tiny(epochs=3, batch_size=4, dropout=0.2))
    run_worker(run, SLOT, watch_of(run, [], 0.1))
    assert len(copies) >= 3
    for number, (copy, seen) in enumerate(copies[:6]):  # those that come to it below are killed twice and more
        slow(seed + 10 + number)
        client.requeue_run(copy)
        assert run_worker(copy, SLOT, watch_of(copy, seen, 0.1)).state == "finished"
        check_kept(copy, seen)
    for number, (copy, seen) in enumerate(copies[6:][-4:]):
        slow(seed + 20 + number)
        go_on(copy)
        check_kept(copy, seen)


@pytest.mark.parametrize("step", [17, 19, 22])
def test_rows_come_again_as_they_were_though_it_is_stopped_among_them_or_asked_for_steps(slow, step):
    """The state in the middle of an epoch has what was counted since the last row, too."""
    slow(1)
    run, copies = create_run(tiny(epochs=3, batch_size=4, dropout=0.2)), []
    copy_it = at_step(28, lambda: copies.append(shutil.copytree(run.path, run.path.with_name("killed"))))
    run_worker(run, SLOT, copy_it)
    killed = RunFolder(copies[0])
    seen = figures(killed)
    slow(2)
    client.requeue_run(killed)

    def ask() -> None:
        for _ in range(3):
            killed.command(do="step_batch")

    run_worker(killed, SLOT, at_step(step, lambda: killed.command(do="stop")))
    assert killed.load_resume()[1]["step"] < max(row["step"] for row in seen)
    client.requeue_run(killed)
    killed.command(do="play")
    watch = at_step(step + 2, ask)

    def play_on(event, status):
        watch(event, status)
        if isinstance(event, Batch) and event.step == step + 5:
            killed.command(do="play")

    assert run_worker(killed, SLOT, play_on).state == "finished"
    check_kept(killed, seen)


@pytest.mark.parametrize("killed_again", [False, True])
def test_a_setting_moved_while_seen_rows_are_computed_again_waits_for_their_end(reference, killed_again):
    """Rows that were there before the kill come again as they were; the new value counts from then on."""
    run, copies = create_run(tiny(epochs=4, dropout=0.2, flip=True)), []

    def watch(event, status):
        if isinstance(event, Batch) and event.step == 7:  # the state is that of step 4
            copies.append(shutil.copytree(run.path, run.path.with_name("killed")))

    run_worker(run, SLOT, watch)
    killed = RunFolder(copies[0])
    seen = figures(killed)
    last = max(row.step for row in killed.rows())
    assert last > killed.load_resume()[1]["step"]
    if killed_again:
        client.requeue_run(killed)
        run_worker(
            killed,
            SLOT,
            at_step(5, lambda: copies.append(shutil.copytree(killed.path, killed.path.with_name("again")))),
        )
        killed = RunFolder(copies[1])
    client.requeue_run(killed)
    killed.command(set={"learning_rate": 0.02})
    assert run_worker(killed, SLOT).state == "finished"
    again = figures(killed)
    assert all(row in again for row in seen)
    (change,) = [row for row in killed.rows() if row.type == "change"]
    assert change.step >= last and change.new == 0.02
    assert not same(weights(killed), reference[1])


def test_a_change_between_epochs_is_in_the_state(monkeypatch):
    run, copies = create_run(tiny(epochs=3)), []

    def watch(event, status):
        if isinstance(event, Epoch) and event.epoch == 0:
            run.command(set={"weight_decay": 0.5})
        rows = [row.type for row in run.rows()]
        if "change" in rows and not copies:
            copies.append(shutil.copytree(run.path, run.path.with_name("copy")))

    run_worker(run, SLOT, watch)
    killed = RunFolder(copies[0])
    go_on(killed)
    assert figures(killed) == figures(run)
    assert same(weights(killed), weights(run))


def test_what_cannot_be_set_is_passed_over(capsys):
    run = create_run(tiny())
    run.command(set={"learning_rate": -1, "epochs": 3, "dropout": "much"})
    run.command(set=3)
    run.command(do="dance")
    with (run.path / "control.jsonl").open("ab") as file:
        file.write(b"[1]\nnonsense\n")
    assert run_worker(run, SLOT).state == "finished"
    assert not any(row.type == "change" for row in run.rows())
    assert "learning_rate" in capsys.readouterr().err


class Follower(threading.Thread):
    """Somebody at the page: does one thing after another, each when the run has come to the state it waits for."""

    def __init__(self, run, *deeds):
        super().__init__(daemon=True)
        self.run_folder, self.deeds, self.seen = run, deeds, []

    def run(self):
        for state, do in self.deeds:
            deadline = time.monotonic() + 20
            while self.run_folder.status().state != state and time.monotonic() < deadline:
                time.sleep(0.002)
            self.seen.append(self.run_folder.status())
            do(self.run_folder)
            while self.run_folder.status().state == state and time.monotonic() < deadline:
                time.sleep(0.002)


def test_pause_and_single_steps(reference):
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    run.command(do="pause")
    follower = Follower(
        run,
        ("paused", lambda run: run.command(do="step_batch")),
        ("paused", lambda run: run.command(do="step_batch")),
        ("paused", lambda run: run.command(do="step_epoch")),
        ("paused", lambda run: run.command(do="play")),
    )
    follower.start()
    assert run_worker(run, SLOT).state == "finished"
    follower.join(20)
    steps = [status.step for status in follower.seen]
    assert steps[1] == steps[0] + 1
    assert steps[2] == steps[1] + 1
    assert steps[3] % 4 == 0
    assert same(weights(run), reference[1])


@pytest.mark.parametrize(("do", "steps"), [("step_batch", 3), ("step_epoch", 12)])
def test_quick_step_commands_are_counted(do, steps):
    """Three that come before the first is done are three, each batch with its row; then the run waits."""
    run = create_run(tiny(epochs=6))
    for _ in range(3):
        run.command(do=do)
    seen = Follower(run, ("paused", lambda run: run.command(do="stop")))
    seen.start()
    assert run_worker(run, SLOT).state == "stopped"
    seen.join(20)
    assert [status.step for status in seen.seen] == [steps]
    assert [row.step for row in run.rows() if row.type == "progress"][:3] == [1, 2, 3]


def test_another_kind_of_step_replaces_those_before():
    run = create_run(tiny(epochs=6))
    for do in ("step_epoch", "step_epoch", "step_batch"):
        run.command(do=do)
    seen = Follower(run, ("paused", lambda run: run.command(do="stop")))
    seen.start()
    run_worker(run, SLOT)
    seen.join(20)
    assert [status.step for status in seen.seen] == [1]


def test_a_knob_that_is_changed_during_a_pause_is_changed_at_once():
    run = create_run(tiny())
    run.command(do="pause")

    def change(run):
        run.command(set={"learning_rate": 0.5, "weight_decay": 0.0})
        while len(run.rows()) < 3 or [row.type for row in run.rows()[-2:]] != ["change", "change"]:
            time.sleep(0.002)
        assert run.status().state == "paused"
        run.command(do="stop")

    follower = Follower(run, ("paused", change))
    follower.start()
    assert run_worker(run, SLOT).state == "stopped"
    follower.join(20)
    assert not follower.is_alive()


def test_a_long_pause_gives_the_memory_back(reference, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_LIMIT", 0.1)
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    status = run_worker(run, SLOT, at_step(6, lambda: run.command(do="pause")))
    assert status.state == "paused"
    assert not run.is_locked()
    go_on(run)
    assert same(weights(run), reference[1])


def test_divergence_keeps_the_last_finite_checkpoint():
    run = create_run(tiny(optimizer="momentum", learning_rate=10, schedule="constant", loss="cross_entropy", epochs=30))
    status = run_worker(run, SLOT)
    assert status.state == "diverged"
    assert "step" in status.message
    assert run.rows()[-1].type == "diverged"
    assert all(np.isfinite(array).all() for array in weights(run).values())


def test_a_damaged_state_is_named_and_nothing_is_lost():
    run = create_run(tiny(epochs=4))
    run_worker(run, SLOT, at_step(5, lambda: run.command(do="stop")))
    kept, rows = run.epochs(), figures(run)
    (run.path / "resume.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    client.requeue_run(run)
    status = run_worker(run, SLOT)
    assert status.state == "failed"
    assert "resume.safetensors is damaged" in status.message
    assert "\n" not in status.message
    assert (run.epochs(), figures(run)) == (kept, rows)


def test_a_full_disk_is_named_and_the_run_resumes(reference, monkeypatch):
    run = create_run(tiny(epochs=4, dropout=0.2, flip=True))
    save = RunFolder.save_epoch

    def full(self, epoch, *rest):
        if epoch == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, epoch, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_epoch", full)
        status = run_worker(run, SLOT)
    assert status.state == "failed"
    assert "disk is full" in status.message
    assert "delete" in status.message
    go_on(run)
    assert figures(run) == reference[0]
    assert same(weights(run), reference[1])


def test_a_really_full_device(monkeypatch):
    """Rows go to /dev/full, where every write fails as on a full disk."""

    def append(self, row):
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(to_line(row))

    monkeypatch.setattr(RunFolder, "append", append)
    status = run_worker(create_run(tiny()), SLOT)
    assert (status.state, "disk is full" in status.message) == ("failed", True)


def test_an_unknown_device_is_named():
    run = create_run(tiny(device="cuda:9"))
    status = run_worker(run, Slot("cuda:9", 1))
    assert status.state == "failed"
    assert "cuda:9" in status.message


def test_a_geometry_that_cannot_work_is_named():
    run = create_run(tiny(channels="4-4-4-4-4-4", padding="0", kernel_size=7))
    status = run_worker(run, SLOT)
    assert status.state == "failed"
    assert "block" in status.message


def test_a_download_can_be_stopped(monkeypatch):
    from playground.data import load

    run = create_run(tiny())

    def slow(name, progress):
        run.command(do="stop")
        for done in range(100):
            progress(load.Progress(done, 100, "Downloading"))
            time.sleep(0.01)

    monkeypatch.setattr(load, "load_dataset", slow)
    lines = []
    status = run_worker(run, SLOT, lambda event, status: lines.append(event))
    assert status.state == "stopped"
    assert lines == ["Downloading 0%"]


def test_explanations_are_one_line():
    import torch

    config = tiny(batch_size=512)
    cases = {
        "out of memory at a batch size of 512": [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")],
        "the disk is full": [OSError(errno.ENOSPC, "No space left on device")],
        "ZeroDivisionError: division by zero": [ZeroDivisionError("division\nby zero")],
        "no such run": [RunError("no such run")],
    }
    for expected, errors in cases.items():
        for error in errors:
            assert explain_end(error, config).startswith(expected)
            assert "\n" not in explain_end(error, config)
    allocator = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …")
    assert explain_end(allocator).startswith("out of memory")


def test_control_hands_out_each_command_once():
    run = create_run(tiny())
    control = Control(run)
    assert control.read() == []
    run.command(do="pause")
    with (run.path / "control.jsonl").open("ab") as file:
        file.write(b'{"do": "pl')
    assert control.read() == [{"do": "pause"}]
    assert control.read() == []
    with (run.path / "control.jsonl").open("ab") as file:
        file.write(b'ay"}\n')
    assert control.read() == [{"do": "play"}]


def test_a_feed_follows_a_resume():
    run = create_run(tiny(epochs=4))
    feed = RunReader(run)
    run_worker(run, SLOT, at_step(5, lambda: (feed.update(), run.command(do="stop"))))
    feed.update()
    go_on(run)
    feed.update()
    assert feed.progress["step"] == list(range(1, 17))
