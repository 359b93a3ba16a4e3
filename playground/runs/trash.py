"""Deleted runs lie in the runs folder under another name for a week: until then a deletion can be undone."""

import os
import re
import shutil
import time
from dataclasses import dataclass

from playground.home import check_writable
from playground.people import MACHINE, may_change
from playground.runs.files import RunError, writing
from playground.runs.folder import TRASHED, RunFolder
from playground.runs.registry import runs_folder

KEPT_DAYS = 7
_NAME = re.compile(rf"{re.escape(TRASHED)}(\d{{1,12}})-([A-Za-z0-9][A-Za-z0-9_-]{{0,63}})")


@dataclass(frozen=True)
class Trashed:
    """A run in the trash: its folder as it lies there, the id that it had, and when it was deleted (Unix time)."""

    run: RunFolder
    id: str
    deleted: float

    @property
    def name(self) -> str:
        """What it is called; its id where it has no name."""
        return self.id if self.run.name == self.run.id else self.run.name


def list_trash(by: str = MACHINE) -> list[Trashed]:
    """Return the deleted runs that a person may bring back, the one deleted last first."""
    return [each for each in _everything() if may_change(each.run.owner, by)]


def restore_run(run_id: str, by: str = MACHINE) -> RunFolder:
    """Bring a deleted run back, as it was.

    Raises:
        RunError: it is not in the trash, or somebody else's, or there is a run of its id again.
    """
    found = next((each for each in _everything() if each.id == run_id), None)
    if found is None:
        raise RunError(f"there is no run {run_id[:64]!r} in the trash; deleted runs are kept for {KEPT_DAYS} days")
    found.run.check_owner(by)
    place = runs_folder() / run_id
    if place.exists():
        raise RunError(f"there is a run {run_id} again, so the deleted one cannot take its place")
    with writing(place):
        os.replace(found.run.path, place)
    return RunFolder(place)


def empty_trash(by: str = MACHINE) -> int:
    """Delete for good what a person may bring back; return how many runs that were.

    Raises:
        HomeError: nothing can be written.
    """
    check_writable()
    doomed = list_trash(by)
    for each in doomed:
        shutil.rmtree(each.run.path, ignore_errors=True)
    return len(doomed)


def sweep_trash() -> None:
    """Delete for good what has been in the trash for long enough."""
    for each in _everything():
        if time.time() - each.deleted > KEPT_DAYS * 86400:
            shutil.rmtree(each.run.path, ignore_errors=True)


def _everything() -> list[Trashed]:
    folder = runs_folder()
    names = [match for name in (os.listdir(folder) if folder.exists() else ()) if (match := _NAME.fullmatch(name))]
    found = [Trashed(RunFolder(folder / match[0]), match[2], float(match[1])) for match in names]
    return sorted(found, key=lambda each: (each.deleted, each.id), reverse=True)
