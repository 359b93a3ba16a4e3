"""The command line, in this process where it can be and in a process of its own where signals matter."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from jobs_support import TINY, kill_all, tiny, wait_for, wait_for_state
from PIL import Image

from playground import cli
from playground.cli.predict import default_run
from playground.config import KNOBS, from_flat
from playground.data import catalog, store
from playground.data.shapes import Difficulty, generate
from playground.jobs import client, fetch
from playground.jobs.process import ROOT
from playground.runs import RunFolder, create_run, list_runs, open_run
from playground.tasks import TASKS

SMALL = [part for name, value in TINY.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(autouse=True)
def data(home, session_home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(session_home))
        store.open_arrays("cifar10-mini")
    (home / "data").mkdir()
    (home / "data" / "cifar10-mini").symlink_to(session_home / "data" / "cifar10-mini")


def refused(capsys, *arguments: str) -> str:
    """Run a command that must be refused in one line with exit code 2; return the line."""
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    err = capsys.readouterr().err
    assert code == 2
    assert err.count("\n") == 1
    return err


def help_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main([*arguments, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_knob_with_its_default(capsys):
    text = " ".join(help_of(capsys, "train").split())
    for knob in KNOBS.values():
        assert f"--{knob.name.replace('_', '-')}" in text
        assert knob.help.split(".")[0][:30] in text.replace("- ", "-") or knob.kind == "text"
    assert "default 0.004" in text
    assert "a whole number from 1 to 11" in text


@pytest.mark.parametrize(
    "command", [[], ["predict"], ["runs"], ["runs", "show"], ["data"], ["data", "fetch"], ["serve"]]
)
def test_every_command_has_help(capsys, command):
    assert "usage: playground" in help_of(capsys, *command)


def test_train_in_the_foreground(capsys):
    assert cli.main(["train", *SMALL, "--name", "first", "--no-flip", "--batch-norm"]) == 0
    run = list_runs()[0]
    assert run.status().state == "finished"
    assert run.name == "first"
    assert run.config == tiny(flip=False)
    out = capsys.readouterr().out
    assert run.id in out
    assert "epoch   2" in out
    assert "test accuracy" in out


def test_presets_files_and_flags_in_that_order(capsys, tmp_path):
    from playground.cli.commands import parser
    from playground.cli.train import _config

    def config(*arguments: str):
        return _config(parser().parse_args(["train", *arguments]))

    assert config("--preset", "article").training.batch_size == 4
    assert config("--no-batch-norm").model.norm == "none"  # as the flag was called
    assert config("--preset", "article", "--batch-norm").model.norm == "batch"
    assert config("--preset", "article", "--batch-size", "8").training.batch_size == 8
    (tmp_path / "config.json").write_text(tiny(seed=7).model_dump_json())
    assert config("--config", str(tmp_path / "config.json")) == tiny(seed=7)
    assert config("--config", str(tmp_path / "config.json"), "--seed", "8") == tiny(seed=8)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--kernel-size", "99"], "a whole number from 1 to 11"),
        (["train", "--optimizer", "magic"], "gradient_descent"),
        (["train", "--dataset", "nope"], "there is no data set nope"),
        (["train", "--channels", "8-8-8-8-8-8", "--padding", "0", "--kernel-size", "9"], "block"),
        (["train", "--config", "/no/such/file"], "No such file"),
        (["train", "--preset", "none"], "invalid choice"),
        (["train", "--resume", "none"], "none"),
        (["train", "--resume", "none", "--epochs", "3"], "leave out --resume"),
        (["train", "--nonsense"], "unrecognized arguments"),
        (["dance"], "invalid choice"),
        ([], "required"),
        (["runs", "show", "none"], "none"),
        (["runs", "delete", "../.."], "there is no run"),
        (["runs", "import", "/no/such/file"], "No such file"),
        (["predict", "x.png"], "there is no network yet"),
        (["data", "fetch", "none"], "there is no data set none"),
        (["data", "import", "/no/such", "--name", "x"], "/no/such"),
        (["data", "delete", "mnist"], "part of the playground"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(capsys, monkeypatch, arguments, expected):
    monkeypatch.setattr("playground.cli.predict.usable_runs", list)
    assert expected in refused(capsys, *arguments)


def test_the_shelf(capsys, tmp_path):
    assert cli.main(["train", *SMALL]) == 0
    run = list_runs()[0]
    assert cli.main(["runs"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(run.id) and "epochs" in line)
    assert "finished" in line
    assert "--channels 4" in line
    assert cli.main(["runs", "rename", run.id, "a new name"]) == 0
    assert cli.main(["runs", "show", run.id]) == 0
    shown = capsys.readouterr().out
    assert "a new name" in shown
    assert "epoch    2" in shown
    assert cli.main(["runs", "export", run.id, str(tmp_path / "run.zip")]) == 0
    assert cli.main(["runs", "delete", run.id]) == 0
    assert run not in list_runs()
    assert cli.main(["runs", "import", str(tmp_path / "run.zip")]) == 0
    again = open_run(capsys.readouterr().out.strip())
    assert again.name == "a new name"


def test_predict(capsys, tmp_path):
    cli.main(["train", *SMALL])
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"nonsense")
    capsys.readouterr()
    run = list_runs()[0]
    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert cli.main(["predict", *names, "--run", run.id, "--epoch", "1", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == names
    assert all(line.count("%") == 2 for line in lines)
    assert cli.main(["predict", str(tmp_path / "c.png"), names[0]]) == 2
    out = capsys.readouterr()
    assert re.search(r"^playground: .+ after epoch \d+$", out.err, re.MULTILINE)
    assert "c.png" in out.err
    assert names[0] in out.out
    assert "epoch" in refused(capsys, "predict", names[0], "--run", run.id, "--epoch", "99").splitlines()[-1]


def kept(state: str, accuracy: float, epochs: int = 2, dataset: str = "cifar10-mini") -> RunFolder:
    """A run that is newer than those before it, though all are made within a second."""
    path = create_run(from_flat({"dataset": dataset}), f"{state} at {accuracy}").path
    run = RunFolder(path.rename(path.with_name(f"20260101-{len(list(path.parent.iterdir())):06d}-abcdef")))
    for epoch in range(epochs):
        run.save_epoch(epoch, {"output.bias": np.zeros(10, np.float16)}, np.full((1, 10), 0.1, np.float16))
    run.set_status(state=state, best_score=accuracy, best_epoch=epochs - 1)
    return run


def test_the_newest_finished_run_that_learned_something_is_asked_and_named(home, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("playground.runs.registry.DEMO", tmp_path / "no-demo")
    assert default_run() is None
    diverged = kept("diverged", 0.6)
    assert default_run() == diverged  # better than nothing
    stopped = kept("stopped", 0.3)
    assert default_run() == stopped
    good = kept("finished", 0.4)
    for state, accuracy in (("finished", 0.1), ("diverged", 0.9), ("stopped", 0.8), ("failed", 0.5)):
        kept(state, accuracy)
    kept("finished", 0.9, epochs=0)
    kept("finished", 0.9, dataset="shapes")  # it labels pixels
    (kept("finished", 0.9).path / "config.json").write_text("{")
    assert default_run() == good
    newer = kept("finished", 0.2)
    assert default_run() == newer


def test_data(capsys, tmp_path):
    assert cli.main(["data"]) == 0
    assert "cifar10-mini" in capsys.readouterr().out
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{i}.png")
    assert cli.main(["data", "import", str(tmp_path / "pets"), "--name", "My pets", "--size", "16"]) == 0
    assert "my-pets: 12 images of 2 classes" in capsys.readouterr().out
    assert cli.main(["data", "delete", "my-pets"]) == 0
    assert "my-pets" in refused(capsys, "data", "delete", "my-pets")


def test_data_with_masks(capsys, tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(
                tmp_path / split / "images" / f"{i}.png"
            )
            Image.fromarray(rng.integers(0, 3, (30, 40), dtype=np.uint8)).save(tmp_path / split / "masks" / f"{i}.png")
    (tmp_path / "test" / "masks" / "odd.png").write_bytes(b"x")
    command = ["data", "import", str(tmp_path), "--size", "40", "--ignore", "2", "--classes", "sky,road"]
    assert cli.main([*command, "--name", "all"]) == 0
    assert cli.main([*command, "--name", "less", "--train-on", "train"]) == 0
    shown = capsys.readouterr()
    assert "all: 7 images of 2 classes, 5 to learn from and 2 to test on" in shown.out
    assert "less: 5 images of 2 classes, 3 to learn from and 2 to test on" in shown.out
    assert "each 40 × 30 pixels, with a label for each pixel" in shown.out
    assert shown.err.splitlines() == ["skipped test/masks/odd.png: It has no image"] * 2
    assert cli.main(["data", "list"]) == 0
    assert " 40 ×  30 px" in capsys.readouterr().out


@pytest.fixture
def nested(tmp_path):
    """Two class folders that hold folders themselves, which may be the classes instead."""
    rng = np.random.default_rng(0)
    for label in ("cats/persian", "cats/siamese", "dogs/poodle", "dogs/pug"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{i}.png")
    (tmp_path / "pets" / "notes.txt").write_text("x")
    (tmp_path / "pets" / "red\x9b31m.txt").write_text("x")  # which would turn the terminal red
    return str(tmp_path / "pets")


def test_data_is_previewed_and_a_doubt_waits_for_its_flag(capsys, nested):
    command = ["data", "import", nested]
    assert cli.main([*command, "--preview"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("understood: one label an image: 2 classes, 10 images to learn from and 2 to test on")
    assert "  cats       5 to learn from       1 to test on" in lines
    assert "doubt: the class folders hold folders themselves (persian, poodle, pug, siamese)" in lines
    assert [line.split()[:2] for line in lines if line.startswith("  --")] == [["--yes", "The"], ["--depth", "1"]]
    assert sorted(lines[-2:]) == [
        "left out notes.txt: Its name is not an image's",
        "left out red�31m.txt: Its name is not an image's",
    ]
    assert "there is a doubt" in refused(capsys, *command, "--name", "pets").splitlines()[-1]
    assert "--name NAME" in refused(capsys, *command)
    assert cli.main([*command, "--name", "upper", "--yes"]) == 0
    assert cli.main([*command, "--name", "lower", "--depth", "1"]) == 0
    assert catalog.find_info("upper").classes == ("cats", "dogs")
    assert catalog.find_info("lower").classes == ("persian", "poodle", "pug", "siamese")
    assert catalog.find_info("upper").size == TASKS["classification"].side


def test_data_is_corrected_by_flags(capsys, nested):
    command = ["data", "import", nested, "--name", "pets", "--yes"]
    corrections = ["--part", "cats/siamese=left out", "--rename", "dogs=hounds", "--size", "24", "--test-share", "0.5"]
    assert cli.main([*command, *corrections]) == 0
    info = catalog.find_info("pets")
    assert (info.classes, info.size, info.train_count, info.test_count) == (("cats", "hounds"), 24, 4, 5)
    command[4] = "other"
    capsys.readouterr()
    for wrong, line in (
        (["--part", "cats=sheep"], "'sheep' is no part of a folder"),
        (["--part", "cats"], "write --part FOLDER=PART"),
        (["--part", "nowhere=class"], "there is no folder nowhere"),
        (["--rename", "dogs=cats"], "two classes would be called cats"),
        (["--ignore", "x"], "neither a whole number nor none"),
        (["--ignore", "3"], "are for masks"),
        (["--depth", "9"], "cannot lie 9 folders deeper"),
    ):
        assert line in refused(capsys, *command, *wrong)


def test_data_draw(capsys):
    command = ["data", "draw", "Easy", "--train", "12", "--test", "10", "--size", "32", "--shapes", "1"]
    assert cli.main([*command, "--occlusion", "0", "--noise", "0", "--contrast", "1", "--seed", "3"]) == 0
    assert "easy: 22 images of 6 classes, 12 to learn from and 10 to test on" in capsys.readouterr().out
    expected = generate(12, 32, 3, Difficulty(1, 0, 0, 1))[1]
    np.testing.assert_array_equal(store.open_arrays("easy").train_targets, expected)
    assert "already" in refused(capsys, *command)
    assert "noise cannot be 3.0; it takes a number from 0 to 0.5" in refused(
        capsys, "data", "draw", "x", "--noise", "3"
    )


def test_a_failed_run_ends_with_1(capsys):
    assert cli.main(["train", *SMALL, "--device", "cuda:9"]) == 1
    assert "cuda:9" in capsys.readouterr().err


def playground(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "playground", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_saves_and_resume_goes_on(home):
    process = playground("train", *SMALL, "--epochs", "500", "--learning-rate", "0.0001")
    run = wait_for(lambda: next((run for run in list_runs() if not run.read_only and len(run.rows()) > 3), None))
    assert run.is_locked()
    assert run.status().state == "running"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert run.status().state == "interrupted"
    assert f"playground train --resume {run.id}" in out
    assert run.load_resume()[1]["step"] == run.status().step
    process = playground("train", "--resume", run.id)
    wait_for(lambda: any(row.type == "resumed" for row in run.rows()))
    wait_for_state(run, "running")
    run.command(do="stop")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert run.status().state == "stopped"


def test_runs_are_led_from_the_command_line(home, capsys):
    run = create_run(tiny(epochs=1000))
    try:
        assert cli.main(["runs", "note", run.id, "for the talk"]) == 0
        assert run.about.note == "for the talk"
        assert cli.main(["runs", "pause", run.id]) == 0
        client.submit_run(run)
        wait_for_state(run, "paused", seconds=60)
        assert cli.main(["runs", "resume", run.id]) == 0
        assert run.status().state == "running"
        assert cli.main(["runs", "stop", run.id]) == 0
        wait_for_state(run, "stopped")
        assert cli.main(["runs", "resume", run.id]) == 0
        wait_for_state(run, "running")
        assert cli.main(["runs", "stop", run.id]) == 0
        wait_for_state(run, "stopped")
        assert "is stopped: there is nothing to stop" in refused(capsys, "runs", "stop", run.id)
        assert "is stopped: there is nothing to pause" in refused(capsys, "runs", "pause", run.id)
    finally:
        kill_all(home)


def test_detached(home, capsys):
    try:
        assert cli.main(["train", *SMALL, "--detach"]) == 0
        run = open_run(capsys.readouterr().out.strip())
        wait_for_state(run, "finished", seconds=60)
    finally:
        kill_all(home)


def test_a_closed_pipe_is_no_error(home):
    create_run(tiny())
    shell = f"{sys.executable} -m playground runs | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_serve_is_streamlit_run(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda path, command: called.append(command))
    monkeypatch.setattr(os, "chdir", lambda path: None)
    monkeypatch.setattr(subprocess, "call", lambda command: 0)
    assert cli.main(["serve", "--port", "9000", "--host", "0.0.0.0"]) == 0
    assert called[0][1:4] == ["-m", "playground.cli.server", "run"]
    assert called[0][-4:] == ["--server.port", "9000", "--server.address", "0.0.0.0"]
    assert cli.main(["serve", "--path", "/cnn/play/"]) == 0
    assert called[1][-2:] == ["--server.baseUrlPath", "cnn/play"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("path", ["a b", "../x", "cnn//play", "http://elsewhere"])
def test_a_path_that_is_none_is_one_line(path, capsys):
    assert cli.main(["serve", "--path", path]) == 2
    assert "such as cnn/play" in capsys.readouterr().err


class TestFetch:
    """Downloads in the background; `load` stands in for the network."""

    def test_idle_done_and_failed(self, monkeypatch):
        assert fetch.read_progress("mnist") == fetch.FetchProgress()
        monkeypatch.setattr(fetch, "load_dataset", lambda name, report: report(fetch.Progress(5, 10, "Downloading")))
        seen = []
        fetch.run_fetch("mnist", seen.append)
        assert fetch.read_progress("mnist").state == "done"
        assert [p.done for p in seen] == [5]

        def fails(name, report):
            report(fetch.Progress(5, 10, "Downloading"))
            raise fetch.DataError("no network")

        monkeypatch.setattr(fetch, "load_dataset", fails)
        with pytest.raises(fetch.DataError):
            fetch.run_fetch("mnist")
        assert fetch.read_progress("mnist") == fetch.FetchProgress("failed", 5, 10, "no network")

    def test_cancel(self, monkeypatch, capsys):
        def forever(name, report):
            report(fetch.Progress(1, 10, "Downloading"))
            assert fetch.read_progress(name).state == "running"
            with pytest.raises(fetch.DataError, match="already"):
                fetch.run_fetch(name)
            fetch.cancel_fetch(name)
            report(fetch.Progress(2, 10, "Downloading"))

        monkeypatch.setattr(fetch, "load_dataset", forever)
        assert cli.main(["data", "fetch", "mnist"]) == 130
        assert fetch.read_progress("mnist").state == "cancelled"
        assert "cancelled" in capsys.readouterr().err

    def test_killed(self, home):
        fetch._write("mnist", fetch.FetchProgress("running", 3, 10, "Downloading"))
        assert fetch.read_progress("mnist").state == "failed"
        assert "killed" in fetch.read_progress("mnist").message

    def test_in_a_process_of_its_own(self, home):
        fetch.start_fetch("cifar10-mini")  # it is there: nothing to do
        assert fetch.read_progress("cifar10-mini").state == "idle"
        with pytest.raises(fetch.DataError):
            fetch.start_fetch("none")
        assert client.count_cores() > 0
