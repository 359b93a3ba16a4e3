"""Ctrl-C: what it does at each moment, and never with a traceback.

    quit_at_once()              from now on it ends the process, without a word: there is nothing to save
    with raising(): …           inside it is a KeyboardInterrupt, for there is something to put in order
    with deferred(): …          inside it waits for the end, for one thing must not be without the other

In the middle of an import a KeyboardInterrupt would come out as anything: some libraries turn it into an error of their
own, some print it and go on.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

CTRL_C = 130
"""The exit code of what was ended by Ctrl-C, as shells have it."""
AGAIN_SECONDS = 0.05


def quit_at_once() -> None:
    """Let Ctrl-C end this process at once, with its exit code; only what was printed is still written."""
    _handle(_quit)


@contextlib.contextmanager
def raising() -> Generator[None]:
    """Let Ctrl-C be a KeyboardInterrupt, as soon as no import is under way."""
    with _handled(raise_between_imports):
        yield


@contextlib.contextmanager
def deferred() -> Generator[None]:
    """Put off Ctrl-C to the end, where it does what it did before."""
    came: list[int] = []
    try:
        with _handled(lambda number, frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(signal.SIGINT)


def raise_between_imports(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not out of an import: then look again in a moment."""
    if not _imports(frame):
        raise KeyboardInterrupt
    again = threading.Timer(AGAIN_SECONDS, signal.raise_signal, (signal.SIGINT,))
    again.daemon = True
    again.start()


def _imports(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _quit(number: int, frame: FrameType | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or written to at this moment
            stream.flush()
    os._exit(CTRL_C)


def _handle(handler: Callable[[int, FrameType | None], Any]) -> Any:
    """Set the handler, where this may be done: in the main thread."""
    with contextlib.suppress(ValueError):
        return signal.signal(signal.SIGINT, handler)
    return None


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], Any]) -> Generator[None]:
    before = _handle(handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
