"""Where a run stands."""

from dataclasses import dataclass

ACTIVE = frozenset({"queued", "preparing", "running", "paused"})
RESUMABLE = frozenset({"paused", "interrupted", "stopped", "died", "failed"})


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: queued, preparing, running, paused, finished, stopped, interrupted, diverged, failed, or died (its
            status says it works and its lock says nobody does).
        message: one line for a person: progress of a download, or why it failed.
        seconds: time spent training, evaluation included.
        best_accuracy: the best validation accuracy (the test accuracy where nothing is held back), as a fraction.
        test_accuracy: of the last epoch, as a fraction.
        threads: CPU threads it computes with; fixed at the first start, because sums depend on it.
        started, finished: seconds since 1970, or None.
    """

    state: str = "queued"
    message: str = ""
    epoch: int = 0
    step: int = 0
    epochs: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    best_accuracy: float | None = None
    best_epoch: int | None = None
    test_accuracy: float | None = None
    parameters: int = 0
    device: str = ""
    threads: int = 0
    started: float | None = None
    finished: float | None = None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE
