"""The one folder under which everything that is written lives."""

import os
from pathlib import Path

from platformdirs import user_data_path

from playground.errors import PlaygroundError


class HomeError(PlaygroundError, OSError):
    """The folder cannot be made or written to; the message is one line, fit to be shown."""


def home() -> Path:
    """Return the playground's folder, made if it is not there: PLAYGROUND_HOME, or the platform's user data folder.

    The environment is read at each call, so a test or a worker can set it at any time.

    Raises:
        HomeError: there cannot be a folder at that place, or nothing can be written in it.
    """
    chosen = os.environ.get("PLAYGROUND_HOME")
    path = Path(chosen).expanduser().absolute() if chosen else user_data_path("cnn-playground", appauthor=False)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"{path} cannot be made ({error.strerror}); set PLAYGROUND_HOME to another folder") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise HomeError(f"nothing can be written in {path}; set PLAYGROUND_HOME to another folder")
    return path
