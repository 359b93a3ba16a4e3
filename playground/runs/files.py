"""The small files of a run: replaced as a whole."""

import contextlib
import os
import tempfile
from pathlib import Path


class RunError(ValueError):
    """A run that is not there, is damaged or cannot do what is asked; the message is one line."""


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
