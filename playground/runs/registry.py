"""All runs of this home: making, listing and finding them."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.config import RunConfig, to_json
from playground.home import subfolder
from playground.people import MACHINE
from playground.runs.about import ABOUT, About, clean_name, clean_note
from playground.runs.files import RunError, move_to_new_id, writing
from playground.runs.folder import DEMO, RunFolder
from playground.runs.status import STATUS, Status
from playground.tasks import TASKS

DRAFT = ".new-"
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def create_run(
    config: RunConfig,
    name: str = "",
    note: str = "",
    parent: str | None = None,
    study: str | None = None,
    member: int | None = None,
    owner: str = MACHINE,
) -> RunFolder:
    """Make a new run folder, state `queued`; it appears as a whole or not at all.

    Args:
        config: its knobs; name, note: what it is called, and what a person wrote about it.
        parent: the id of the run it came from.
        study, member: the id of the study it belongs to, and its number in it.
        owner: the person who makes it.
    """
    about = About(
        clean_name(name), clean_note(note), parent, time.time(), study, member if study else None, owner=owner
    )
    with draft_folder() as draft:
        (draft / "config.json").write_text(to_json(config))
        (draft / "about.json").write_bytes(ABOUT.dump_json(about, indent=1))
        (draft / "status.json").write_bytes(STATUS.dump_json(Status("queued", epochs=config.training.epochs), indent=1))
        return adopt_folder(draft)


@contextmanager
def draft_folder() -> Generator[Path]:
    """Make a folder that is no run yet, and hold its lock, so that nobody sweeps it away; gone after an error.

    Raises:
        WriteError: nothing can be written there.
    """
    with writing(runs_folder()):
        draft = Path(tempfile.mkdtemp(dir=runs_folder(), prefix=DRAFT))
        try:
            with RunFolder(draft).hold():
                yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def adopt_folder(draft: Path) -> RunFolder:
    """Give a draft an id and a place among the runs."""
    draft.chmod(0o755)
    return RunFolder(move_to_new_id(draft, runs_folder()))


def runs_folder() -> Path:
    """Return the folder that holds the runs, made if need be; it may be missing where nothing can be written."""
    return subfolder("runs")


def demo_run(task: str = "classification") -> RunFolder | None:
    """Return the bundled run of a task; None if it is not there."""
    path = DEMO.with_name(TASKS[task].demo)
    return RunFolder(path) if (path / "config.json").exists() else None


def list_runs() -> list[RunFolder]:
    """Return all runs, newest first, the bundled ones last. Reads names only."""
    place = runs_folder()
    found = os.listdir(place) if place.exists() else []
    names = sorted((name for name in found if _SAFE_ID.fullmatch(name)), reverse=True)
    runs = [RunFolder(f"{place}{os.sep}{name}") for name in names]
    return [*runs, *(demo for demo in map(demo_run, TASKS) if demo)]


def usable_runs() -> Iterator[RunFolder]:
    """Yield the runs that are not damaged, newest first, the bundled ones last; each is looked at as it comes."""
    return (run for run in list_runs() if not run.damage)


def find_run(run_id: str) -> RunFolder:
    """Return a run by its id, damaged or not ("demo" and "demo-segmentation" are the bundled ones).

    Raises:
        RunError: there is none.
    """
    for demo in map(demo_run, TASKS):
        if demo and demo.id == run_id:
            return demo
    if _SAFE_ID.fullmatch(run_id) and (runs_folder() / run_id).is_dir():
        return RunFolder(runs_folder() / run_id)
    raise RunError(f"there is no run {run_id[:64]!r}; it may have been deleted")


def open_run(run_id: str) -> RunFolder:
    """Return a run by its id, to look at it or to work with it.

    Raises:
        RunError: there is none, or it is damaged.
    """
    run = find_run(run_id)
    if reason := run.damage:
        raise RunError(f"run {run.name} is damaged: {reason}; it can be deleted on the page Runs")
    return run
