"""Which waiting run may start, and where: arithmetic only.

A run on the CPU takes its threads out of the machine's cores; a run on a GPU takes that GPU. Whoever came first starts
first, with one exception: while a run waits because it does not fit, smaller ones behind it may start, but only for its
first `PATIENCE` seconds in the queue. After that nobody overtakes it, so it gets its room too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from playground.runs import RunFolder

PATIENCE = 600.0
"""Seconds for which a run that does not fit lets smaller ones go ahead."""


@dataclass(frozen=True)
class Slot:
    """Where a run computes: "cpu" or a GPU's name, and with how many CPU threads."""

    device: str
    threads: int


@dataclass(frozen=True)
class ResourceRequest:
    """What a run in the queue wants.

    Attributes:
        device: "auto", "cpu", "mps", "cuda" (any), "cuda:1" …
        threads: CPU threads that it wants.
        waited: seconds in the queue.
    """

    run_id: str
    device: str
    threads: int
    waited: float = 0.0


def read_request(run: RunFolder, cores: int, waited: float = 0.0) -> ResourceRequest:
    """Return what a run wants.

    Where and with how many threads it began is kept when it resumes: its sums, and so its weights, depend on them.

    Raises:
        RunError, ConfigError: its config cannot be read.
    """
    status, training = run.status(), run.config.training
    threads = status.threads or training.threads or min(4, cores)
    return ResourceRequest(run.id, status.device or training.device, threads, waited)


def place_request(run: ResourceRequest, busy: Sequence[Slot], cores: int, gpus: Sequence[str]) -> Slot | None:
    """Return the slot a run can have now, or None if it has to wait.

    A GPU that this machine lacks is granted at once: the worker then says what is wrong.
    """
    taken = {slot.device for slot in busy}
    free_gpu = next((gpu for gpu in gpus if gpu not in taken), None)
    if run.device == "cpu" or (run.device == "auto" and free_gpu is None):
        on_cpu = [slot.threads for slot in busy if slot.device == "cpu"]
        # A run that wants more than there is runs alone.
        fits = not on_cpu or sum(on_cpu) + run.threads <= cores
        return Slot("cpu", run.threads) if fits else None
    if run.device == "auto" or (run.device == "cuda" and gpus):
        return Slot(free_gpu, run.threads) if free_gpu else None
    return None if run.device in taken and run.device in gpus else Slot(run.device, run.threads)


def explain_wait(run: ResourceRequest, busy: Sequence[Slot], cores: int, gpus: Sequence[str]) -> str:
    """Say in one line why a run waits."""
    if place_request(run, busy, cores, gpus):
        return "waits behind a run that waits for more room"
    if run.device not in ("auto", "cpu"):
        return f"waits for {'a GPU' if run.device == 'cuda' else run.device}, where another run is at work"
    # A run that wants more than there is runs alone, and a paused one that goes on asks nobody.
    taken = min(cores, sum(slot.threads for slot in busy if slot.device == "cpu"))
    wanted = f"{run.threads} {'core' if run.threads == 1 else 'cores'}"
    room = f"wants {wanted}, and runs at work use {taken} of {cores}"
    return f"{room}; with fewer threads each, runs go side by side" if run.threads > 1 else room


def choose_next(
    waiting: Iterable[ResourceRequest], busy: Sequence[Slot], cores: int, gpus: Sequence[str]
) -> tuple[str, Slot] | None:
    """Return the id of the run to start now and its slot; None if all have to wait. `waiting` is first come first."""
    for run in waiting:
        if slot := place_request(run, busy, cores, gpus):
            return run.run_id, slot
        if run.waited > PATIENCE:
            return None
    return None
