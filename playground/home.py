"""The one folder under which everything that is written lives."""

import os
from pathlib import Path

from platformdirs import user_data_path

from playground.errors import PlaygroundError


class HomeError(PlaygroundError, OSError):
    """The folder cannot be made, read or written to; the message is one line, fit to be shown."""


def home() -> Path:
    """Return the playground's folder, made if it is not there: PLAYGROUND_HOME, or the platform's user data folder.

    The environment is read at each call, so a test or a worker can set it at any time. A folder that can only be read
    will do for looking at what is in it.

    Raises:
        HomeError: there cannot be a folder at that place, or it cannot be read.
    """
    chosen = os.environ.get("PLAYGROUND_HOME")
    path = Path(chosen).expanduser().absolute() if chosen else user_data_path("cnn-playground", appauthor=False)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"{path} cannot be made ({error.strerror}); set PLAYGROUND_HOME to another folder") from None
    if not os.access(path, os.R_OK | os.X_OK):
        raise HomeError(f"{path} cannot be read; set PLAYGROUND_HOME to another folder")
    return path


def is_writable() -> bool:
    """Whether something can be written in the home."""
    return os.access(home(), os.W_OK | os.X_OK)


def check_writable() -> None:
    """Raise HomeError if nothing can be written in the home."""
    if not is_writable():
        raise HomeError(f"nothing can be written in {home()}; set PLAYGROUND_HOME to another folder")


def subfolder(name: str) -> Path:
    """Return a folder in the home, made if need be; it may be missing where nothing can be written."""
    path = home() / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        if is_writable():
            raise
    return path
