"""What killed processes left in the home is swept; what lives is not touched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from playground import locks
from playground.config import RunConfig
from playground.data import store
from playground.jobs import client
from playground.jobs.cleanup import clean_home
from playground.runs import create_run, runs_folder
from playground.runs.registry import draft_folder

ROOT = Path(__file__).parent.parent


def old(path: Path, seconds: float = 7200) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def write(path: Path, seconds: float = 7200) -> Path:
    path.write_bytes(b"half a file")
    return old(path, seconds)


def everything(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*")}


def test_what_was_left_goes_and_what_lives_stays(home):
    run = create_run(RunConfig())
    (run.path / "checkpoints").mkdir(exist_ok=True)
    (home / "studies").mkdir()
    (home / "data" / ".locks").mkdir(parents=True)
    kept = everything(home)
    for folder in ("runs/.new-abcdefgh", "studies/.new-abcdefgh", "data/.pets.new", "data/.pets.gone"):
        (home / folder).mkdir()
        (home / folder / "config.json").write_text("{}")
        old(home / folder)
    for folder in ("runs", "studies"):
        (home / folder / ".deleted-20260101-000000-00000a-0123abcd").mkdir()
    write(home / ".reserve-a_b4c6d8")
    write(run.path / ".status.json-abcd1234")
    write(run.path / "checkpoints" / ".epoch-0001.safetensors-abcd1234")
    write(runs_folder() / ".failed-20260101-000000-00000b")
    clean_home()
    assert everything(home) == kept


def test_what_is_being_made_is_left_alone(home):
    run = create_run(RunConfig())
    young = write(run.path / ".status.json-abcd1234", seconds=10)
    failed = write(runs_folder() / f".failed-{run.id}")
    (home / "data" / ".locks").mkdir(parents=True)
    making = home / "data" / ".pets.new"
    making.mkdir()
    with draft_folder() as draft, store.locked("pets"):
        old(draft)
        old(making)
        clean_home()
        assert draft.exists() and making.exists()
    assert young.exists() and failed.exists()
    clean_home()
    assert not draft.exists() and not making.exists()


def test_a_killed_maker_leaves_nothing_once_a_service_starts(home):
    code = "import time\nfrom playground.runs.registry import draft_folder\nwith draft_folder() as draft:\n"
    code += "    print(draft, flush=True)\n    time.sleep(60)"
    maker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert maker.stdout
    draft = Path(maker.stdout.readline().strip())
    maker.send_signal(signal.SIGKILL)
    maker.communicate(timeout=30)
    old(draft)
    with client.hold_presence():
        deadline = time.monotonic() + 60
        while draft.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not draft.exists()
    ended = locks.take(home / client.SERVICE, wait=30)
    assert ended
    ended.close()
