"""Run folders: what is written can be read, whatever is killed, full or damaged on the way."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from rows_support import make_row
from safetensors.numpy import save as save_tensors

import playground.runs.files as files_module
import playground.runs.folder as folder_module
import playground.runs.registry as shelf_module
import playground.runs.tensors as tensors_module
from playground.config import DataConfig, RunConfig, from_flat
from playground.events import Epoch, Progress, Scores, Snapshot, to_row
from playground.runs import (
    ACTIVE,
    RESUMABLE,
    DamagedError,
    RunError,
    RunFolder,
    RunReader,
    Status,
    create_run,
    demo_run,
    find_run,
    list_runs,
    open_run,
    runs_folder,
    write_atomic,
)
from playground.runs.rows import to_line

WEIGHTS = {"output.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
PROBS = np.eye(10, dtype=np.float16)[:2] * np.float16(0.5)


@pytest.fixture
def run():
    """A new run."""
    return create_run(RunConfig())


def progress(step: int) -> Progress:
    return Progress(step / 10, step, step * 0.1, 1 / step, 0.5, 0.01, 1.0, 2.0, 100.0)


def one_line(error) -> str:
    message = str(error.value)
    assert message.isprintable() and message
    return message


def python(code: str, *arguments: str, **more) -> subprocess.Popen:
    """Start an interpreter of its own in the same home."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        **more,
    )


# Making and finding


def test_a_new_run(home):
    config = from_flat({"epochs": 7, "channels": "4-8"})
    run = create_run(config, name="  My \n first   run ", note="why", parent="20260101-000000-abcdef")
    assert run.path.parent == home / "runs"
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", run.id)
    assert open_run(run.id) == run and open_run(run.id).config == config
    about = run.about
    assert (about.name, about.note, about.parent) == ("My first run", "why", "20260101-000000-abcdef")
    assert run.status() == Status(state="queued", epochs=7)
    assert run.status().active
    assert run.rows() == [] and run.epochs() == [] and run.load_resume() is None
    assert not run.is_locked() and not run.read_only


def test_runs_of_one_moment_have_ids_of_their_own_in_the_order_they_were_made(run, monkeypatch):
    moment = time.time() + 1
    monkeypatch.setattr(time, "time", lambda: moment)
    made = [create_run(RunConfig()).id for _ in range(3)]
    assert made[0] == f"{datetime.fromtimestamp(moment):%Y%m%d-%H%M%S-%f}"
    assert run.id < made[0] < made[1] < made[2]
    old = create_run(RunConfig()).path  # an id of older days ends in a number of another kind
    os.rename(old, old.with_name(f"{old.name[:15]}-fffabc"))
    assert create_run(RunConfig()).id > f"{old.name[:15]}-fffabc"


def test_two_processes_that_take_one_id_at_once_make_two_runs(run, monkeypatch):
    ids = iter([run.id, "29991231-235959-000000"])
    monkeypatch.setattr(files_module, "_new_id", lambda folder: next(ids))
    assert create_run(RunConfig(), "the later").id == "29991231-235959-000000"
    assert [each.name for each in list_runs() if not each.read_only] == ["the later", run.name]


def test_a_run_without_a_name_goes_by_its_id(run):
    assert run.name == run.id


def test_a_member_of_a_study_knows_which_it_is(home):
    run = create_run(RunConfig(), "three", study="20260101-000000-abcdef", member=3)
    assert (run.about.study, run.about.member) == ("20260101-000000-abcdef", 3)
    run.leave_study()
    assert (run.about.study, run.about.member, run.name) == (None, None, "three")


def test_a_run_is_no_member_of_itself(run):
    assert (run.about.study, run.about.member) == (None, None)
    before = (run.path / "about.json").stat().st_mtime_ns
    run.leave_study()
    assert (run.path / "about.json").stat().st_mtime_ns == before


def test_creating_leaves_no_drafts(run):
    assert [path.name for path in runs_folder().iterdir()] == [run.id]


def test_a_run_that_cannot_be_created_as_a_whole_does_not_appear(monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"the disk is full .* delete runs or data sets"):
        create_run(RunConfig())
    assert os.listdir(runs_folder()) == []
    assert [item for item in list_runs() if not item.read_only] == []


def test_rename_and_annotate(run):
    run.rename(" a\tname\nin  lines " + "x" * 200)
    run.annotate("  two\nlines \n")
    again = open_run(run.id)
    assert again.name == "a name in lines " + "x" * 84
    assert again.about.note == "two\nlines"
    assert again.about.created == run.about.created > 0
    run.rename("")
    assert run.name == run.id


def test_runs_are_listed_newest_first_and_the_demo_last(home):
    for name in ("20260101-000000-aaaaaa", "20270101-000000-aaaaaa", "20260701-000000-aaaaaa"):
        os.replace(create_run(RunConfig()).path, home / "runs" / name)
    (home / "runs" / ".new-half").mkdir()
    (home / "runs" / ".deleted-x").mkdir()
    demo = [run.id for run in (demo_run(), demo_run("segmentation")) if run]
    assert [run.id for run in list_runs()] == [
        "20270101-000000-aaaaaa",
        "20260701-000000-aaaaaa",
        "20260101-000000-aaaaaa",
        *demo,
    ]


def test_a_thousand_runs_are_listed_without_opening_any(home, monkeypatch):
    names = [f"20260101-{i:06d}-aaaaaa" for i in range(1000)]
    for name in names:
        (home / "runs" / name).mkdir(parents=True)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert [run.id for run in list_runs() if not run.read_only] == names[::-1]


HOSTILE = [
    "../x",
    "..",
    ".",
    "",
    "/etc",
    "a/b",
    "a\\b",
    "x\n",
    "x\0",
    ".new-x",
    "ü",
    "x" * 65,
    "\ud800",
    "~",
    "x y",
    "-x",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ids_are_refused(home, name):
    for place in (home / "x", home, runs_folder() / ".new-x", runs_folder() / "a" / "b"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text("{}")
    with pytest.raises(RunError, match="there is no run") as error:
        open_run(name)
    assert len(one_line(error)) < 500


def test_a_folder_without_a_config_is_no_run(run):
    (run.path / "config.json").unlink()
    with pytest.raises(RunError, match=r"is damaged: run .* has no config\.json"):
        open_run(run.id)
    with pytest.raises(RunError, match=r"has no config\.json"):
        _ = RunFolder(run.path).config


def test_runs_are_equal_by_their_place(run):
    assert run == open_run(run.id) and hash(run) == hash(open_run(run.id))
    assert run != create_run(RunConfig())
    assert run.id in repr(run)


# Files


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_write_atomic_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch, failing):
    write_atomic(tmp_path / "file", b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(OSError, match="the disk is full"):
            write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_write_atomic_syncs_before_it_renames(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args))[1])
    write_atomic(tmp_path / "file", b"new")
    assert calls == ["fsync", "replace"]


FILL = """
import resource, sys
from playground.events import Progress
from playground.runs import open_run
run = open_run(sys.argv[1])
run.set_status(state="running", epoch=3)
resource.setrlimit(resource.RLIMIT_FSIZE, (4010, 4010))  # from here on, as on a disk that fills in the middle of a row
rows = 0
try:
    while True:
        run.append(Progress(0.5, rows + 1, 1.0, 1.5, 0.5, 0.1, 1.0, 1.0, 1.0))
        rows += 1
except OSError as error:
    print(rows, error.errno)
try:
    run.save_resume({"x": __import__("numpy").zeros(1000)}, {})
except OSError:
    print("not saved")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes on Windows")
def test_a_full_disk_loses_no_row_that_was_there_and_no_file(run):
    run.save_resume({"x": np.ones(3)}, {"step": 5})
    done = python(FILL, run.id)
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    rows, errno, *rest = out.split(maxsplit=2)
    assert int(errno) in (27, 28), "too large, or no space"
    assert rest == ["not saved\n"]
    assert int(rows) > 10
    assert [row.step for row in run.rows()] == list(range(1, int(rows) + 1))
    assert (run.path / "metrics.jsonl").read_bytes().endswith(b"\n"), "the torn row is cut off"
    tensors, facts = run.load_resume()
    assert (tensors["x"].tolist(), facts) == ([1, 1, 1], {"step": 5})
    run.append(progress(int(rows) + 1))
    assert len(run.rows()) == int(rows) + 1


def test_a_row_that_is_written_in_part_is_cut_off_and_told(run, monkeypatch):
    class Short(io.FileIO):
        def write(self, data, /) -> int:
            return super().write(bytes(data)[:20])

    real = Path.open
    run.append(progress(1))
    with monkeypatch.context() as patch:
        patch.setattr(
            Path,
            "open",
            lambda path, mode, *more, **named: Short(path, "ab") if mode == "ab" else real(path, mode, *more, **named),
        )
        with pytest.raises(OSError, match="the disk is full"):
            run.append(progress(2))
    assert [row.step for row in run.rows()] == [1]
    run.append(progress(3))
    assert [row.step for row in run.rows()] == [1, 3]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"foo": 1}', b"[" * 100_000])
def test_a_damaged_status_is_not_taken_for_a_queued_run(run, damage):
    (run.path / "status.json").write_bytes(damage)
    status = run.status()
    assert (status.state, status.active) == ("damaged", False)
    assert status.message.startswith("status.json is damaged (") and status.message.isprintable()
    assert run.set_status(state="running", message="").state == "running"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_name_falls_back_to_the_id_and_is_not_written_over(run, damage):
    (run.path / "about.json").write_bytes(damage)
    assert run.name == run.id and run.damage.startswith("about.json is damaged (")
    with pytest.raises(DamagedError, match=r"about\.json is damaged") as error:
        run.rename("again")
    one_line(error)
    assert (run.path / "about.json").read_bytes() == damage


def test_a_damaged_config_is_one_line(run):
    (run.path / "config.json").write_text('{"model": {"kernel_size": 99}}')
    with pytest.raises(RunError, match=r"is damaged: Kernel size .* it can be deleted on the page Runs") as error:
        open_run(run.id)
    one_line(error)
    find_run(run.id).delete()
    assert not run.path.exists()


def test_fields_of_a_newer_program_are_passed_over(run):
    stored = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps(stored | {"state": "finished", "invented": 1}))
    assert run.status().state == "finished"


# Status and lock


def test_status_changes_add_up(run):
    run.set_status(state="finished", best_score=0.5)
    run.set_status(epoch=4)
    assert run.status() == Status(state="finished", best_score=0.5, epoch=4, epochs=10)


@pytest.mark.parametrize("state", ["preparing", "running"])
def test_a_run_that_says_it_works_while_nobody_does_has_died(run, state):
    run.set_status(state=state)
    assert run.status().state == "died"
    assert "can resume" in run.status().message
    with run.hold():
        assert run.status().state == state
    assert run.status().state == "died"


@pytest.mark.parametrize("state", sorted((ACTIVE | RESUMABLE | {"finished", "diverged"}) - {"preparing", "running"}))
def test_other_states_need_no_worker(run, state):
    run.set_status(state=state)
    assert run.status().state == state


def test_a_worker_that_ends_between_the_two_looks_has_not_died(run, monkeypatch):
    run.set_status(state="running")

    def ends(self) -> bool:
        self.set_status(state="finished")
        return False

    monkeypatch.setattr(RunFolder, "is_locked", ends)
    assert run.status().state == "finished"


HOLD = """
import sys
from playground.events import Diverged
from playground.runs import open_run
run = open_run(sys.argv[1])
with run.hold():
    run.set_status(state="running")
    run.append(Diverged(1.0, 1, ""))
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"type":"prog')
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_worker_is_seen_at_once(run):
    worker = python(HOLD, run.id, stdin=subprocess.PIPE)
    try:
        assert worker.stdout and worker.stdout.readline() == "holding\n"
        assert run.is_locked()
        assert run.status().state == "running"
        with pytest.raises(RunError, match="already being worked on") as error, run.hold():
            pass
        one_line(error)
        with pytest.raises(RunError, match="stop it first") as error:
            run.delete()
        one_line(error)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=30)
    assert not run.is_locked()
    assert run.status().state == "died"
    with run.hold():
        run.mend_tail()
        run.append(make_row({"type": "resumed", "step": 1}))
    assert [row.type for row in run.rows()] == ["diverged", "resumed"]


def test_a_run_is_held_once(run):
    with run.hold(), pytest.raises(RunError, match="already being worked on"), run.hold():
        pass
    with run.hold():
        assert run.is_locked()
    assert not run.is_locked()


def test_those_who_look_do_not_keep_a_worker_from_its_lock(run):
    done = threading.Event()

    def look():
        while not done.is_set():
            run.is_locked()

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(30):
            with run.hold():
                assert run.is_locked()
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()


def test_a_folder_without_a_lock_file_is_not_locked(run):
    (run.path / "lock").unlink()
    assert not run.is_locked()
    with run.hold():
        assert run.is_locked()


# Rows


def test_rows_come_back_as_they_were_written(run):
    kinds = ("epoch", "change", "diverged", "resumed")
    rows = [progress(step) for step in (1, 2, 3)] + [make_row({"type": kind, "step": 3}) for kind in kinds]
    for row in rows:
        run.append(row)
    assert run.rows() == rows
    assert (run.path / "metrics.jsonl").read_bytes().count(b"\n") == 7


def test_an_epoch_as_a_row():
    arrays = {"test_probs": PROBS, "snapshot": Snapshot(1, 5, {}, {})}
    epoch = Epoch(1, 5, 2.0, Scores(2.0, 0.25), [[1, 0], [1, 2]], **arrays, train=Scores(1.0, 0.5))
    assert json.loads(to_line(to_row(epoch))) == {
        "type": "epoch",
        "epoch": 1,
        "step": 5,
        "seconds": 2.0,
        "train": {"loss": 1.0, "accuracy": 0.5},
        "test": {"loss": 2.0, "accuracy": 0.25},
        "confusion": [[1, 0], [1, 2]],
    }
    assert to_row(epoch).judged == Scores(2.0, 0.25) and to_row(epoch).get("val") is None


@pytest.mark.parametrize("cut", range(1, len(to_line(progress(2))), 20))
def test_a_torn_last_line_does_not_count(run, cut):
    run.append(progress(1))
    run.append(progress(2))
    path = run.path / "metrics.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    assert [row.step for row in run.rows()] == [1]
    run.mend_tail()
    run.append(progress(3))
    assert [row.step for row in run.rows()] == [1, 3]


def test_mending_a_whole_file_changes_nothing(run):
    run.mend_tail()
    assert not (run.path / "metrics.jsonl").exists()
    run.append(progress(1))
    run.mend_tail()
    assert [row.step for row in run.rows()] == [1]
    (run.path / "metrics.jsonl").write_bytes(b'{"type":"no line')
    run.mend_tail()
    assert (run.path / "metrics.jsonl").read_bytes() == b""


@pytest.mark.parametrize("line", [b"{", b"[]", b"5", b'{"no": "type"}', b"\xff\xfe", b"", b"[" * 100_000])
def test_a_damaged_line_in_between_is_passed_over(run, line):
    run.append(progress(1))
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(line + b"\n")
    run.append(progress(2))
    assert [row.step for row in run.rows()] == [1, 2]


def test_a_resume_takes_back_the_rows_after_its_point(run):
    for step in (1, 2, 3, 4):
        run.append(progress(step))
    run.append(make_row({"type": "epoch", "epoch": 1, "step": 4}))
    run.append(make_row({"type": "change", "step": 5, "knob": "dropout", "old": 0, "new": 0.5}))
    run.append(progress(6))
    run.append(make_row({"type": "resumed", "step": 4}))
    assert [(row.type, row.step) for row in run.rows()] == [
        *(("progress", step) for step in (1, 2, 3, 4)),
        ("epoch", 4),
        ("resumed", 4),
    ]
    run.append(progress(5))
    run.append(make_row({"type": "resumed", "step": 2}))
    run.append(progress(3))
    assert [(row.type, row.step) for row in run.rows()] == [
        *(("progress", 1), ("progress", 2), ("resumed", 4), ("resumed", 2), ("progress", 3))
    ]


# Feed


def test_a_feed_reads_only_what_is_new(run, monkeypatch):
    feed = RunReader(run)
    assert feed.update(), "the status is news the first time"
    assert not feed.update() and feed.version == 1
    run.append(progress(1))
    run.append(make_row({"type": "epoch", "epoch": 1, "step": 1}))
    run.append(make_row({"type": "change", "step": 1, "knob": "dropout"}))
    assert feed.update() and not feed.update()
    assert feed.version == 2
    assert feed.progress["step"] == [1] and feed.progress["loss"] == [1.0]
    assert "type" not in feed.progress
    assert [row.epoch for row in feed.epochs] == [1]
    assert [row.knob for row in feed.changes] == ["dropout"]
    sizes = []
    monkeypatch.setattr("playground.runs.row_reader.from_lines", lambda chunk: sizes.append(len(chunk)) or [])
    run.append(progress(2))
    feed.update()
    assert sizes == [len(to_line(progress(2)))]


def test_a_feed_sees_a_status_that_changes(run):
    feed = RunReader(run)
    feed.update()
    run.set_status(state="finished")
    assert feed.update()
    assert feed.status.state == "finished"
    assert feed.version == 2


def test_a_feed_takes_a_row_once_it_is_whole(run):
    feed, path = RunReader(run), run.path / "metrics.jsonl"
    line = to_line(progress(1)) + to_line(progress(2))
    seen = []
    for i in range(len(line)):
        with path.open("ab") as file:
            file.write(line[i : i + 1])
        feed.update()
        seen.append(len(feed.rows))
    first = line.index(b"\n")
    assert seen == [0] * first + [1] * (len(line) - first - 1) + [2]
    assert feed.progress["step"] == [1, 2]


def test_a_feed_goes_on_after_a_torn_tail_was_mended(run):
    feed = RunReader(run)
    run.append(progress(1))
    run.append(progress(2))
    feed.update()
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"type":"progress","step":3,"loss"')
    feed.update()
    assert feed.progress["step"] == [1, 2]
    # The next worker mends, and writes more than was torn, before anybody looks again.
    run.mend_tail()
    run.append(make_row({"type": "resumed", "step": 1}))
    run.append(replace(progress(2), loss=9.0))
    run.append(progress(3))
    assert feed.update()
    assert feed.rows == run.rows()
    assert feed.progress["step"] == [1, 2, 3]
    assert feed.progress["loss"][1] == 9.0


def test_a_feed_takes_back_what_a_resume_made_void(run):
    feed = RunReader(run)
    for step in (1, 2, 3):
        run.append(progress(step))
    run.append(make_row({"type": "epoch", "epoch": 1, "step": 3}))
    run.append(make_row({"type": "change", "step": 3, "knob": "dropout"}))
    feed.update()
    assert (len(feed.epochs), len(feed.changes)) == (1, 1)
    run.append(make_row({"type": "resumed", "step": 2}))
    feed.update()
    assert (feed.progress["step"], feed.epochs, feed.changes) == ([1, 2], [], [])
    assert {len(column) for column in feed.progress.values()} == {2}
    run.append(progress(3))
    feed.update()
    assert feed.progress["step"] == [1, 2, 3]


WRITE = """
import sys
from playground.events import Diverged
from playground.runs import open_run
run = open_run(sys.argv[1])
for step in range(1, 3001):
    run.append(Diverged(1.0, step, "x" * (step % 97)))
    if step % 200 == 0:
        run.set_status(step=step)
run.set_status(state="finished")
"""


def test_a_reader_beside_a_writer_sees_each_row_once_and_whole(run):
    feed, updates = RunReader(run), 0
    writer = python(WRITE, run.id)
    while feed.status.state != "finished":
        updates += feed.update()
        steps = [row.step for row in feed.rows]
        assert steps == list(range(1, len(steps) + 1))
        assert writer.poll() in (None, 0)
    writer.communicate(timeout=30)
    feed.update()
    assert [row.step for row in feed.rows] == list(range(1, 3001))
    assert all(len(row.what) == row.step % 97 for row in feed.rows)
    assert updates > 1


# Commands


def test_commands_are_lines_of_json(run):
    run.command(do="pause")
    run.command(set={"learning_rate": 1e-3})
    lines = (run.path / "control.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"do": "pause"}, {"set": {"learning_rate": 1e-3}}]


# Weights and predictions


def test_an_epoch_comes_back(run):
    run.save_epoch(3, WEIGHTS, PROBS)
    run.save_epoch(12, WEIGHTS, PROBS)
    assert run.epochs() == run.predicted_epochs() == [3, 12]
    assert run.checkpoint(3).name == "epoch-0003.safetensors" and run.checkpoint(3).exists()
    weights = run.weights(3)
    assert weights.keys() == WEIGHTS.keys()
    assert np.array_equal(weights["output.weight"], WEIGHTS["output.weight"])
    probs = run.predictions(3)
    assert probs.dtype == np.float32
    assert np.array_equal(probs, PROBS)


def test_what_a_fold_predicts_comes_back(home):
    run = create_run(RunConfig(data=DataConfig(folds=3)))
    run.save_epoch(3, WEIGHTS, PROBS, PROBS[:2])
    assert np.array_equal(run.validation_predictions(3), PROBS[:2])
    assert run.validation_predictions(3).dtype == np.float32
    assert np.array_equal(run.predictions(3), PROBS)
    run.save_epoch(4, WEIGHTS, PROBS)
    with pytest.raises(RunError, match="the predictions of epoch 4 are damaged"):
        run.validation_predictions(4)


def test_a_run_without_folds_keeps_none_of_it(run):
    run.save_epoch(3, WEIGHTS, PROBS)
    with pytest.raises(RunError, match="has no folds; the predictions of a validation share are not kept"):
        run.validation_predictions(3)


def test_half_precision_weights_are_read_as_float32(run):
    run.save_epoch(1, {"w": np.array([1.5], np.float16)}, PROBS)
    assert run.weights(1)["w"].dtype == np.float32


def test_other_files_are_no_epochs(run):
    run.save_epoch(1, WEIGHTS, PROBS)
    for name in ("epoch-1.safetensors", ".epoch-0002.safetensors-abc", "epoch-0002.pt", "epoch-00002.safetensors"):
        (run.path / "checkpoints" / name).touch()
    assert run.epochs() == [1]


def test_an_epoch_that_is_not_kept(run):
    for ask in (run.weights, run.predictions):
        with pytest.raises(RunError, match="it keeps epochs none yet") as error:
            ask(1)
        one_line(error)
    run.save_epoch(1, WEIGHTS, PROBS)
    run.save_epoch(4, WEIGHTS, PROBS)
    with pytest.raises(RunError, match="it keeps epochs 1 to 4"):
        run.weights(2)


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "pickle", "huge header"])
def test_damaged_tensors_are_one_line(run, damage):
    run.save_epoch(1, WEIGHTS, PROBS)
    run.save_resume({"x": np.ones(3)}, {"step": 1})
    for path in [
        run.checkpoint(1),
        run.path / "predictions" / "epoch-0001.safetensors",
        run.path / "resume.safetensors",
    ]:
        content = path.read_bytes()
        broken = {
            "truncated": content[:-3],
            "empty": b"",
            "garbage": b"\xff" * 200,
            "pickle": b"\x80\x04K\x01.",
            "huge header": (2**62).to_bytes(8, "little") + content[8:],
        }
        path.write_bytes(broken[damage])
    for ask in (lambda: run.weights(1), lambda: run.predictions(1), run.load_resume):
        with pytest.raises(RunError, match="is damaged") as error:
            ask()
        assert run.id in one_line(error)


def test_predictions_of_another_shape_are_damaged(run):
    run.save_epoch(1, WEIGHTS, np.zeros(4, np.float16))
    with pytest.raises(RunError, match="predictions of epoch 1 are damaged"):
        run.predictions(1)


def test_the_state_to_resume_from(run):
    tensors = {
        "model.w": np.arange(6.0).reshape(2, 3).T,
        "optimizer.0.0.step": np.array(3.0),
        "rng": np.zeros(5, np.uint8),
    }
    run.save_resume(tensors, {"step": 3, "totals": [0.1, float("nan")], "changed": {"dropout": 0.5}})
    loaded, facts = run.load_resume()
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype and loaded[name].shape == array.shape
        assert np.array_equal(loaded[name], array), name
    assert (facts["step"], facts["changed"]) == (3, {"dropout": 0.5})
    run.drop_resume()
    run.drop_resume()
    assert run.load_resume() is None


def test_a_resume_state_without_facts_is_damaged(run):
    (run.path / "resume.safetensors").write_bytes(save_tensors({"x": np.ones(3)}))
    with pytest.raises(RunError, match="is damaged"):
        run.load_resume()


@pytest.mark.parametrize(("first", "best"), [(0, 0), (0, 7), (0, 37), (0, 60), (1, 8)])
def test_old_epochs_are_thinned_out(run, monkeypatch, first, best):
    monkeypatch.setattr(tensors_module, "KEPT_EPOCHS", 8)
    for epoch in range(first, 61):
        run.save_epoch(epoch, WEIGHTS, PROBS)
        if epoch == best:
            run.set_status(best_epoch=best)
        kept = run.epochs()
        assert len(kept) <= 8
        assert kept == run.predicted_epochs()
        assert kept[0] == first and kept[-1] == epoch, "the first and the latest"
        assert best in kept or epoch < best
        if epoch < 8:
            assert kept == list(range(first, epoch + 1))
    gaps = np.diff([epoch for epoch in kept if epoch not in (best, kept[-1])])
    assert gaps.max() <= 16, "evenly over the run"


def test_the_limit_of_kept_epochs_holds_a_usual_run():
    assert tensors_module.KEPT_EPOCHS >= 50


# The demo, and deleting


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A bundled run of our own."""
    path = tmp_path / "demo"
    os.replace(create_run(RunConfig(), name="Demo").path, path)
    monkeypatch.setattr(folder_module, "DEMO", path)
    monkeypatch.setattr(shelf_module, "DEMO", path)
    return RunFolder(path)


def test_the_demo_is_found_and_cannot_be_changed(demo):
    mine = create_run(RunConfig())
    assert list_runs() == [mine, demo]
    assert open_run("demo") == demo_run() == demo
    assert demo.read_only and not mine.read_only
    before = {path: path.read_bytes() for path in demo.path.iterdir()}
    for change in (
        lambda: demo.rename("x"),
        lambda: demo.annotate("x"),
        lambda: demo.command(do="stop"),
        lambda: demo.delete(),
    ):
        with pytest.raises(RunError, match="the bundled demo run") as error:
            change()
        one_line(error)
    assert {path: path.read_bytes() for path in demo.path.iterdir()} == before


def test_the_demo_s_predictions_are_of_the_bundled_images(demo):
    assert demo.predictions_dataset == "cifar10-mini"
    about = json.loads((demo.path / "about.json").read_text())
    (demo.path / "about.json").write_text(json.dumps(about | {"predictions_dataset": "mnist"}))
    assert demo.predictions_dataset == "mnist"
    assert create_run(from_flat({"dataset": "cifar10"})).predictions_dataset == "cifar10"


def test_without_a_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf_module, "DEMO", tmp_path / "demo")
    assert demo_run() is None and list_runs() == []
    with pytest.raises(RunError):
        open_run("demo")


def test_deleting(run):
    other = create_run(RunConfig())
    run.save_epoch(1, WEIGHTS, PROBS)
    run.delete()
    assert [item for item in list_runs() if not item.read_only] == [other]
    with pytest.raises(RunError):
        open_run(run.id)
