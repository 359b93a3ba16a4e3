"""The runs that wait for a worker: one small file for each, home/queue/<run id>, with the time it was put there.

The queue is an index that can be thrown away: what counts is the state `queued` in a run's own status.
"""

import contextlib
import os
import time
from pathlib import Path

from playground.home import home


def queue_folder() -> Path:
    """Return the folder of the markers, made if it is not there."""
    folder = home() / "queue"
    folder.mkdir(exist_ok=True)
    return folder


def put(run_id: str) -> None:
    """Put a run at the end of the queue, in one step: a reader never sees an empty marker."""
    draft = queue_folder() / f".{run_id}-{os.getpid()}-{time.monotonic_ns()}"
    draft.write_text(str(time.time_ns()))
    os.replace(draft, queue_folder() / run_id)


def remove(run_id: str) -> None:
    """Take a run out of the queue, if it is in it."""
    (queue_folder() / run_id).unlink(missing_ok=True)


def queued_at(run_id: str) -> int | None:
    """When the run was put into the queue, in nanoseconds since 1970; None if it is not in it."""
    try:
        return int((queue_folder() / run_id).read_text())
    except OSError:
        return None
    except ValueError:
        return 0


def waiting() -> dict[str, int]:
    """Return `{run id: when it was put there}`, first come first."""
    times: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(home() / "queue"):
            if not name.startswith(".") and (when := queued_at(name)) is not None:
                times[name] = when
    return dict(sorted(times.items(), key=lambda item: (item[1], item[0])))
