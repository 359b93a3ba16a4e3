"""What the service asks of whatever runs compute on: this machine (`local`), or another place that offers the same."""

from collections.abc import Sequence
from typing import Protocol

from playground.jobs.slots import Slot
from playground.runs import RunFolder


class Worker(Protocol):
    """A worker that an executor has started, as far as `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Return the exit code once it has ended (minus the signal that killed it), else None."""
        ...

    def terminate(self) -> None:
        """Ask it to end; nothing happens if it has."""
        ...

    def kill(self) -> None:
        """End it without asking."""
        ...


class Executor(Protocol):
    """Where runs compute."""

    @property
    def cores(self) -> int:
        """How many CPU cores it has."""
        ...

    @property
    def gpus(self) -> Sequence[str]:
        """The names of its GPUs, such as "cuda:0"."""
        ...

    def start(self, run: RunFolder, slot: Slot) -> Worker:
        """Start a worker for the run, which takes it off the queue itself.

        Raises:
            OSError: it cannot be started.
        """
        ...

    def send(self, run: RunFolder, command: str) -> None:
        """Ask something of the run's worker, whoever started it, such as "interrupt" or "stop"."""
        ...

    def is_alive(self, run: RunFolder) -> bool:
        """Return whether a worker is at the run, whoever started it."""
        ...
