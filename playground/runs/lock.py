"""The lock of a run: held by its worker for its whole life, and taken away by the kernel when the worker dies."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import portalocker
from portalocker import LockException, LockFlags

ATTEMPTS = 50


def is_held(path: Path) -> bool:
    """Say whether somebody holds the lock."""
    try:
        with path.open("rb") as file:
            portalocker.lock(file, LockFlags.SHARED | LockFlags.NON_BLOCKING)
            portalocker.unlock(file)
    except LockException:
        return True
    except OSError:
        return False
    return False


@contextmanager
def hold(path: Path) -> Generator[bool]:
    """Hold the lock inside; False where another process holds it."""
    with path.open("a+b") as file:
        yield _lock(file)


def _lock(file: IO[bytes]) -> bool:
    for attempt in range(ATTEMPTS):
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
            return True
        except LockException:
            # A reader that looks whether we live holds it for microseconds; a worker holds it for good.
            if attempt < ATTEMPTS - 1:
                time.sleep(0.01)
    return False
