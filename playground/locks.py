"""Locks on files that the kernel releases when their process ends, however it ends."""

import os
import time
from pathlib import Path
from typing import IO

import portalocker

_EXCLUSIVE = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
_SHARED = portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING


def take(path: Path, *, shared: bool = False, wait: float = 0.0) -> IO[bytes] | None:
    """Lock a file and return it open: the lock lasts as long as the file is open. None if others hold it.

    Args:
        shared: share the lock with others that share it, instead of having it alone.
        wait: seconds to go on trying.
    """
    deadline = time.monotonic() + wait
    file = path.open("a+b")
    while True:
        try:
            portalocker.lock(file, _SHARED if shared else _EXCLUSIVE)
            if is_current(file, path):
                return file
            file.close()  # deleted since it was opened: others would lock the one that is there now
            file = path.open("a+b")
        except portalocker.LockException:
            if time.monotonic() >= deadline:
                file.close()
                return None
            time.sleep(0.01)


def is_current(file: IO[bytes], path: Path) -> bool:
    """Whether the open file is still the one at that path: a lock on a file that was deleted keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


def is_held(path: Path) -> bool:
    """Whether some process has the lock alone. Where there is no file, nobody has; looking makes none."""
    try:
        with path.open("rb") as file:
            portalocker.lock(file, _SHARED)
    except portalocker.LockException:
        return True
    except OSError:
        return False
    return False


def is_shared(path: Path) -> bool:
    """Whether any process has the lock, alone or shared."""
    file = take(path)
    if file:
        file.close()
    return file is None
