"""The small files of a run: replaced as a whole, read through a model, and damaged when they do not fit it."""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from playground.errors import PlaygroundError, first_fault, one_line
from playground.home import HomeError, check_writable, home

Stored = TypeVar("Stored")
Migrate = Callable[[dict[str, Any]], dict[str, Any]]


FORMAT = 1
"""Of about.json and status.json; whoever gives a field another meaning raises it and extends the migrations."""


class RunError(PlaygroundError, ValueError):
    """A run that is not there, is damaged or cannot do what is asked; the message is one line."""


class DamagedError(RunError):
    """A file of a run that cannot be read; the message says which one and why."""


class WriteError(PlaygroundError, OSError):
    """A file that cannot be written; the message is one line, `errno` says why to programs."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(_cannot(path, error))
        self.errno = error.errno


def _cannot(path: Path, error: OSError) -> str:
    if not is_full(error):
        try:
            check_writable()
        except HomeError as home_error:
            return str(home_error)
        return f"{path} cannot be written ({error.strerror or error})"
    free = "0"
    with contextlib.suppress(OSError):
        free = f"{shutil.disk_usage(path.parent).free / 1e6:,.0f}"
    return f"the disk is full ({free} MB free in {path.parent}); delete runs or data sets"


def is_full(error: OSError) -> bool:
    """Whether there is no room left on the disk, or in the person's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def writing(path: Path) -> Generator[None]:
    """Inside, an OSError becomes a WriteError about the path."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(path, error) from None


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file as a whole: write beside it, sync, rename. On an error nothing is left behind.

    Raises:
        WriteError: it cannot be written; the old one is still there.
    """
    with writing(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


_OWN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


def move_to_new_id(draft: Path, folder: Path) -> Path:
    """Move a finished draft into a folder, under an id that sorts behind all that are there; return its path."""
    while True:
        place = folder / _new_id(folder)
        try:
            os.replace(draft, place)
        except OSError:
            if not place.exists():  # or else another process took the same microsecond
                raise
        else:
            return place


def _new_id(folder: Path) -> str:
    """Return the time to the microsecond, or a number more than the newest there is."""
    now = f"{datetime.fromtimestamp(time.time()):%Y%m%d-%H%M%S-%f}"
    newest = max((name for name in os.listdir(folder) if _OWN_ID.fullmatch(name)), default="")
    if now > newest:
        return now
    # A clock that was set back, as each autumn. Counting is hexadecimal because older ids end so.
    return f"{newest[:15]}-{min(int(newest[16:], 16) + 1, 0xFFFFFF):06x}"


# On a full disk, runs can be stopped all the same, and say why they ended: some room is kept for that.

RESERVE = "reserve"
RESERVE_BYTES = 2**20


def keep_reserve() -> None:
    """See to it that the home has its reserve of room, where the disk has as much to spare."""
    path = home() / RESERVE
    with contextlib.suppress(OSError):
        if not path.exists() and shutil.disk_usage(home()).free > 16 * RESERVE_BYTES:
            write_atomic(path, b"\1" * RESERVE_BYTES)


def write_essential(path: Path, content: bytes) -> None:
    """`write_atomic` of what has to be written on a full disk, too: where a run stands, and what is asked of it."""
    _essential(lambda: write_atomic(path, content))


def append_essential(path: Path, content: bytes) -> None:
    """Append in one write, on a full disk, too.

    Raises:
        WriteError: it cannot be written.
    """

    def append() -> None:
        with writing(path), path.open("ab", buffering=0) as file:
            before = file.tell()
            if file.write(content) < len(content):
                file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _essential(append)


def _essential(write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        if not is_full(error):
            raise
        (home() / RESERVE).unlink(missing_ok=True)
        write()


def parse_stored(name: str, content: bytes, model: TypeAdapter[Stored], migrate: Migrate) -> Stored:
    """Read a JSON object as its model.

    Args:
        migrate: brings an object of an older format into today's; it may change what it is given.

    Raises:
        DamagedError: it is no JSON object, of a format to come, or a value is missing or out of its bounds.
    """
    try:
        stored = from_json(content)
        if not isinstance(stored, dict):
            raise ValueError("it is no JSON object")
        number = stored.get("format", 0)
        if type(number) is not int or not 0 <= number <= FORMAT:
            raise ValueError(f"its format is {number!r}; this version reads formats up to {FORMAT}")
        if number < FORMAT:
            content = json.dumps(migrate(stored)).encode()
        return model.validate_json(content, strict=True)
    except ValidationError as error:
        raise DamagedError(f"{name} is damaged ({first_fault(error)})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{name} is damaged ({one_line(error)})") from None


def read_stored(path: Path, model: TypeAdapter[Stored], migrate: Migrate) -> Stored:
    """Read a file as its model; see `parse_stored`.

    Raises:
        FileNotFoundError: it is not there; DamagedError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror})") from None
    return parse_stored(path.name, content, model, migrate)
