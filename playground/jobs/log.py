"""The service's log, which is what it prints."""

import contextlib
import time


def log(text: str) -> None:
    """Write a line to the service's log."""
    with contextlib.suppress(OSError):  # the log's disk may be full
        print(time.strftime("%Y-%m-%d %H:%M:%S"), text, flush=True)
