"""A home in which nothing can be written can still be looked at, and what would write says so in one line."""

import os
import shutil
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from jobs_support import processes, tiny
from PIL import Image
from ui_support import click, errors, make_run, open_page, run, unpacked

from playground import cli, people
from playground.jobs import client
from playground.runs import RunFolder, create_run, demo_run, export_zip, list_runs, list_trash
from playground.studies import Study, lifecycle, parse_axis
from playground.studies.study import create_study as create_study

__all__ = ["unpacked"]
PAGES = ("home", "train", "runs", "compare", "predict", "inside", "segment", "evaluate", "studies", "data")


DRIVEN = Study("sweep", tiny(), 4, (parse_axis("dropout=0..0.5"),), "tpe")
CANNOT = "nothing can be written in {}; set PLAYGROUND_HOME to another folder"


@contextmanager
def read_only(place: Path) -> Generator[None]:
    """Let nobody write in a folder: permissions do not stop root, under whom tests may run, but a mount does."""
    if os.geteuid():
        folders = [path for path in (place, *place.rglob("*")) if path.is_dir() and not path.is_symlink()]
        for path in folders:
            path.chmod(0o555)
        yield
        for path in folders:
            path.chmod(0o755)
        return
    for command in (["mount", "--bind", place, place], ["mount", "-o", "remount,ro,bind", place]):
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@dataclass
class Filled:
    """What is in the home: a run with weights, one that is queued, one that can go on, one in the trash; studies."""

    home: Path
    run: RunFolder
    queued: RunFolder
    stopped: RunFolder
    trashed: str
    studies: tuple[str, str]
    photo: str
    packed: bytes


@pytest.fixture
def filled(home, unpacked, tmp_path) -> Iterator[Filled]:
    """A home that was in use and can only be read by now."""
    demo = demo_run()
    assert demo
    place = home / "runs" / "20260101-000000-000001"
    shutil.copytree(demo.path, place)
    (place / "lock").touch()
    (home / "data").mkdir()
    (home / "data" / "cifar10-mini").symlink_to(unpacked / "cifar10-mini")
    queued, stopped, doomed = create_run(tiny(), "waits"), make_run("stopped"), make_run()
    packed = export_zip(doomed)
    doomed.delete()
    studies = create_study(Study("seeds", tiny(), 2)).id, create_study(DRIVEN).id
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(photo)
    with read_only(home):
        yield Filled(home, RunFolder(place), queued, stopped, doomed.id, studies, str(photo), packed)
        assert processes(home) == []


def test_every_page_opens(filled):
    for page in PAGES:
        for query in ({}, {"run": filled.run.id}, {"run": filled.queued.id}):
            assert errors(open_page(page, **query)) == [], (page, query)
    for study in filled.studies:
        assert errors(open_page("studies", study=study)) == []
    assert errors(open_page("compare", runs=f"{filled.run.id},{filled.stopped.id}")) == []


def test_every_page_opens_on_an_empty_home(home, monkeypatch):
    """The bundled images are not unpacked then, so pages that need them say so."""
    with read_only(home):
        for page in PAGES:
            assert set(errors(open_page(page))) <= {CANNOT.format(home)}, page
        assert [run.read_only for run in list_runs()] == [True, True]
        assert list_trash() == []


def test_what_would_write_says_so_on_the_pages_and_loses_nothing(filled):
    cannot = [CANNOT.format(filled.home)]
    at = open_page("train")
    at.get_by_key("knob_epochs").set_value(7)
    assert errors(click(at, "play")) == cannot
    assert at.get_by_key("knob_epochs").value == 7

    at = open_page("runs")
    for run_, key in ((filled.run, "act_delete"), (filled.stopped, "act_resume"), (filled.queued, "act_stop")):
        at.session_state["shelf_run"] = run_.id
        assert errors(click(run(at), key)) == cannot, key
    at.session_state["shelf_run"] = filled.run.id
    run(at).text_input(key=f"name_{filled.run.id}").set_value("another")
    assert errors(click(at, f"save_{filled.run.id}")) == cannot
    for key in (f"restore_{filled.trashed}", "shelf_empty"):
        assert errors(click(at, key)) == cannot, key
    at.file_uploader(key="shelf_upload_0").upload("run.zip", filled.packed)
    assert errors(run(at)) == [f"this zip cannot be taken in: {cannot[0]}"]

    assert errors(click(click(open_page("studies"), "study_new"), "study_start")) == cannot
    at = open_page("studies", study=filled.studies[0])
    for key in ("study_stop", "study_delete_yes"):
        assert errors(click(at, key)) == cannot, key

    at = click(open_page("inside", run=filled.run.id, view="edit"), "inside_preset_edge")
    assert errors(click(at, "inside_save")) == cannot

    at = open_page("data")
    assert errors(click(at, "download_mnist")) == cannot
    assert len(list_runs()) == 5 and [each.id for each in list_trash()] == [filled.trashed]


def test_the_command_line_reads_and_refuses_to_write(filled, capsys, tmp_path):
    for command in (
        ["runs", "list"],
        ["runs", "show", filled.run.id],
        ["runs", "trash"],
        ["predict", filled.photo],
        ["predict", filled.photo, "--run", filled.run.id],
        ["runs", "export", filled.run.id, str(tmp_path / "run.zip")],
        ["export", filled.run.id, "--output", str(tmp_path / "script")],
        ["data", "list"],
    ):
        assert cli.main(command) == 0, command
    capsys.readouterr()
    for command in (
        ["train"],
        ["train", "--detach"],
        ["train", "--resume", filled.stopped.id],
        ["sweep", "--knob", "kernel_size=3,5"],
        ["sweep", "--knob", "kernel_size=3,5", "--sampler", "tpe"],
        ["crossval"],
        ["runs", "stop", filled.queued.id],
        ["runs", "pause", filled.queued.id],
        ["runs", "resume", filled.stopped.id],
        ["runs", "rename", filled.run.id, "another"],
        ["runs", "note", filled.run.id, "another"],
        ["runs", "delete", filled.run.id],
        ["runs", "restore", filled.trashed],
        ["runs", "import", str(tmp_path / "run.zip")],
        ["data", "fetch", "mnist"],
        ["data", "draw", "mine"],
    ):
        assert cli.main(command) == 2, command
        said = capsys.readouterr().err
        assert said.startswith("playground: ") and said.endswith(f"{CANNOT.format(filled.home)}\n"), command
        assert said.count("\n") == 1


def test_a_server_starts_no_service_and_says_nothing(filled, monkeypatch, capfd):
    monkeypatch.setattr(client, "KEEP_SECONDS", 0.01)
    with client.hold_presence():
        lifecycle.revive_studies()
        time.sleep(0.2)
        assert not client.is_alive() and processes(filled.home) == []
    assert capfd.readouterr() == ("", "")
    cookie = people.write_cookie(people.make_person())  # it lasts as long as the server
    assert people.read_cookie(cookie)
