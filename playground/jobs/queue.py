"""The runs that wait for a worker: one small file for each, home/queue/<run id>, with its number.

Numbers only grow: each is the time in nanoseconds since 1970, or one more than the last where a clock was set back. So
they tell who came first, and one wish for a run from the next.

The queue is an index that can be thrown away: what counts is the state `queued` in a run's own status.
"""

import contextlib
import os
import time
from pathlib import Path

from playground.home import home, subfolder
from playground.runs.files import write_essential

LAST = ".last"
"""The file of the number that was given out last."""


def queue_folder() -> Path:
    """Return the folder of the markers, made if it is not there; it may be missing where nothing can be written."""
    return subfolder("queue")


def put_in_queue(run_id: str) -> None:
    """Put a run at the end of the queue, in one step: a reader never sees an empty marker."""
    last = max(_number(queue_folder() / LAST) or 0, 0)
    number = str(max(time.time_ns(), last + 1))
    for name in (LAST, run_id):
        write_essential(queue_folder() / name, number.encode())


def remove_from_queue(run_id: str) -> None:
    """Take a run out of the queue, if it is in it."""
    (queue_folder() / run_id).unlink(missing_ok=True)


def read_number(run_id: str) -> int | None:
    """Return the run's number in the queue; None if it is not in it."""
    return _number(home() / "queue" / run_id)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except OSError:
        return None
    except ValueError:
        return 0


def list_waiting() -> dict[str, int]:
    """Return `{run id: its number}`, first come first."""
    times: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(home() / "queue"):
            if not name.startswith(".") and (when := read_number(name)) is not None:
                times[name] = when
    return dict(sorted(times.items(), key=lambda item: (item[1], item[0])))
