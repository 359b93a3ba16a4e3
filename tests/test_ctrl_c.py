"""Ctrl-C at any moment of a command: no traceback, the exit code 130, and nothing that goes on behind one's back."""

import importlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs_support import kill_all, processes, wait_for
from PIL import Image

from playground import interrupts
from playground.data import store
from playground.runs import list_runs

ROOT = Path(__file__).parent.parent
SMALL = "--images-per-class 8 --epochs 900 --channels 4 --threads 1 --device cpu --validation-share 0.25".split()
COMMANDS = {
    "train": ["train", *SMALL],
    "sweep": ["sweep", "--knob", "kernel_size=3,5", *SMALL],
    "tpe": ["sweep", "--knob", "dropout=0..0.5", "--sampler", "tpe", *SMALL],
    "crossval": ["crossval", "--folds", "2", *SMALL],
    "predict": ["predict", "PHOTO"],
    "draw": ["data", "draw", "mine", "--train", "20000"],
    "serve": ["serve", "--port", "PORT"],
}
START = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter's own start is not ours
print("up", flush=True)
runpy.run_module("playground", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def served(home, session_home, monkeypatch):
    """A home with the images ready; whatever a test starts in it is killed."""
    store.open_arrays("cifar10-mini")
    if not (home / "data").exists():
        (home / "data").mkdir()
        (home / "data" / "cifar10-mini").symlink_to(session_home / "data" / "cifar10-mini")
    monkeypatch.setenv("PLAYGROUND_IDLE_LIMIT", "1")
    yield home
    kill_all(home)


def start(command: list[str], tmp_path: Path) -> "subprocess.Popen[str]":
    """Start a command; it returns when the interpreter is up."""
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        given = {"PHOTO": str(tmp_path / "photo.png"), "PORT": str(free.getsockname()[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", START, *(given.get(word, word) for word in command)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "up\n"
    return process


@pytest.mark.skipif(os.name != "posix", reason="it sends signals as a terminal does")
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("presses", [1, 2])
def test_no_traceback_at_any_moment(served, tmp_path, name, presses):
    moments = random.Random(f"{name} {presses}")
    for longest in (0.3, 1.5, 4.0):
        process = start(COMMANDS[name], tmp_path)
        time.sleep(moments.uniform(0, longest))
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(moments.uniform(0, 0.3))
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err and "Exception ignored" not in err, (longest, err)
        # SIGINT itself in the first milliseconds, which shells call 130, too; or it was done before.
        assert process.returncode in (130, -signal.SIGINT) or (name, process.returncode) == ("predict", 0), (out, err)
        states = [run.status().state for run in list_runs() if not run.read_only]
        assert set(states) <= {"interrupted", "stopped", "queued", "preparing", "running"}
        if name == "train":
            assert set(states) <= {"interrupted"}
    wait_for(lambda: not processes(served))
    assert {run.status().state for run in list_runs() if not run.read_only} <= {"interrupted", "stopped"}


def test_an_import_is_not_broken_off(tmp_path, monkeypatch):
    """What a KeyboardInterrupt becomes in there is the library's affair, which may even swallow it."""
    (tmp_path / "slow_module.py").write_text(
        "import signal\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\n    done = True\n"
        "except KeyboardInterrupt:\n    done = False\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def load() -> None:
        importlib.import_module("slow_module")
        time.sleep(5)  # which it comes to break off

    with pytest.raises(KeyboardInterrupt), interrupts.raising():
        load()
    assert sys.modules["slow_module"].done


def test_what_is_deferred_comes_at_the_end():
    done, before = [], signal.getsignal(signal.SIGINT)

    def press() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    with pytest.raises(KeyboardInterrupt), interrupts.raising(), interrupts.deferred():
        press()
    assert done
    assert signal.getsignal(signal.SIGINT) is before
