"""The small files of a run: replaced as a whole, read through a model, and damaged when they do not fit it."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from playground.runs.rows import first_fault

Stored = TypeVar("Stored")
Migrate = Callable[[dict[str, Any]], dict[str, Any]]


FORMAT = 1
"""Of about.json and status.json; whoever gives a field another meaning raises it and extends the migrations."""


class RunError(ValueError):
    """A run that is not there, is damaged or cannot do what is asked; the message is one line."""


class DamagedError(RunError):
    """A file of a run that cannot be read; the message says which one and why."""


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file as a whole: write beside it, sync, rename. On an error nothing is left behind."""
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


def one_line(what: object) -> str:
    """Say it in one line of at most 80 characters."""
    return "".join(c if c.isprintable() else " " for c in str(what)[:80])
