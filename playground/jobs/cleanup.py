"""What nobody needs any more in the home: runs that were deleted a week ago, and what killed processes left."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from playground import locks
from playground.home import home
from playground.runs.trash import sweep_trash

DRAFT_SECONDS = 60.0
"""What becomes a run takes its lock in less; what becomes a study is one in less."""
TEMPORARY_SECONDS = 3600.0
_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}")  # as `write_atomic` calls what it is about to rename
_HALF_DELETED = re.compile(r"\.deleted-\d{8}-\d{6}-[0-9a-f]{6}-[0-9a-f]{8}")  # studies; runs of older days
_DATASET = re.compile(r"\.(.+)\.(new|gone)")


def clean_home() -> None:
    """Delete it. What cannot be deleted stays, and hurts nobody."""
    sweep_trash()
    for kind in ("runs", "studies"):
        for path in _inside(home() / kind):
            draft = path.name.startswith(".new-") and _age(path) > DRAFT_SECONDS and not locks.is_held(path / "lock")
            if draft or _HALF_DELETED.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(".failed-") and not path.with_name(path.name.removeprefix(".failed-")).exists():
                _unlink(path)
            else:
                _sweep_temporary(path, path / "checkpoints", path / "predictions")
    for path in _inside(home() / "data"):
        name = _DATASET.fullmatch(path.name)
        if name and not locks.is_held(home() / "data" / ".locks" / f"{name[1]}.lock"):
            shutil.rmtree(path, ignore_errors=True)
    _sweep_temporary(home())


def _sweep_temporary(*folders: Path) -> None:
    for folder in folders:
        for path in _inside(folder):
            if _TEMPORARY.fullmatch(path.name) and path.is_file() and _age(path) > TEMPORARY_SECONDS:
                _unlink(path)


def _inside(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from [folder / name for name in os.listdir(folder)]


def _age(path: Path) -> float:
    """Return the seconds since it was written last; 0 when it is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
