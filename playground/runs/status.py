"""Where a run stands: status.json."""

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from playground.events import Count, EpochRow, Fraction, NotNegative, Seconds, best_row
from playground.runs.rows import from_lines

State = Literal[
    "queued",
    "preparing",
    "running",
    "paused",
    "finished",
    "stopped",
    "interrupted",
    "diverged",
    "failed",
    "died",
    "damaged",
]
ACTIVE = frozenset({"queued", "preparing", "running", "paused"})
RESUMABLE = frozenset({"paused", "interrupted", "stopped", "died", "failed"})
METRICS = {"accuracy": "accuracy", "iou": "mean IoU"}
SPLITS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: queued, preparing, running, paused, finished, stopped, interrupted, diverged, failed, died (its
            status says it works and its lock says nobody does), or damaged (a file of the run cannot be read).
        message: one line for a person: progress of a download, or why it failed.
        seconds: time spent training, evaluation included.
        metric: what the run is judged by: "accuracy", or "iou" (the mean over the classes) where it labels pixels.
        best_epoch: the epoch with the highest score on the images held back for validation; where none are, the
            latest, since choosing by the test images would flatter the run.
        best_score: the metric at that epoch on `best_split`, as a fraction.
        best_split: "val"; or "test" where no images are held back.
        test_score: the metric at that epoch on the test images.
        threads: CPU threads it computes with; fixed at the first start, because sums depend on it.
        started, finished: seconds since 1970, or None.
    """

    state: State
    message: Annotated[str, Field(max_length=1000)] = ""
    epoch: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    step: Count = 0
    epochs: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    total_steps: Count = 0
    seconds: Seconds = 0.0
    images_per_second: NotNegative = 0.0
    metric: Literal["accuracy", "iou"] = "accuracy"
    best_epoch: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    best_score: Fraction | None = None
    best_split: Literal["val", "test"] = "val"
    test_score: Fraction | None = None
    parameters: Count = 0
    device: Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:[0-9]{1,2})?)?$")] = ""
    threads: Annotated[int, Field(ge=0, le=4096)] = 0
    started: Seconds | None = None
    finished: Seconds | None = None
    format: Literal[1] = field(default=1, kw_only=True)

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def best_label(self) -> str:
        """What `best_score` is, in words: "validation accuracy"."""
        return f"{SPLITS[self.best_split]} {METRICS[self.metric]}"


STATUS: TypeAdapter[Status] = TypeAdapter(Status)


def find_best_fields(row: EpochRow) -> dict[str, Any]:
    """Return the fields of a status that say which epoch is the best, and how good it is."""
    return {
        "metric": row.judged.metric,
        "best_epoch": row.epoch,
        "best_score": row.judged.score,
        "best_split": "val" if row.val else "test",
        "test_score": row.test.score,
    }


def migrate_status(stored: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
    """Bring the object of format 0 into today's: it knew neither the metric nor the split of its best figure.

    Args:
        best: `find_best_fields` of the run's best epoch, told again from its rows; empty where it has none.
    """
    kept = {key: value for key, value in stored.items() if not key.endswith("_accuracy") and key != "best_epoch"}
    if "state" not in stored:  # it would be queued, and a finished run would start again
        raise ValueError("it has no state")
    return kept | (best or {"test_score": stored.get("test_accuracy")}) | {"format": 1}


SETTLED_SECONDS = 3.0
"""A file that was changed longer ago has another time once it is changed again, even on disks with coarse clocks."""


def read_best(metrics: Path) -> dict[str, Any]:
    """Return `find_best_fields` of a run's rows in metrics.jsonl; remembered for as long as that is the same.

    Runs of format 0 ask each time that somebody looks where they stand.
    """
    try:
        stat = metrics.stat()
        if time.time() - max(stat.st_mtime, stat.st_ctime) < SETTLED_SECONDS:
            return _read_best(metrics)
        return _remembered_best(metrics, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    except OSError:
        return {}


def _read_best(metrics: Path) -> dict[str, Any]:
    lines = metrics.read_bytes().splitlines()
    found = from_lines(b"\n".join(line for line in lines if line.startswith(b'{"type":"epoch"')))
    # A later row of the same epoch is that of a resume, which took the earlier one back.
    best = best_row(list({row.epoch: row for row in found if isinstance(row, EpochRow)}.values()))
    return find_best_fields(best) if best else {}


@lru_cache(maxsize=4096)
def _remembered_best(metrics: Path, *_same: int) -> dict[str, Any]:
    return _read_best(metrics)
