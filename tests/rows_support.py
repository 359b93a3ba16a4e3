"""Rows of runs for the tests: as JSON would hold them, with what a test does not care about filled in."""

import json
from collections.abc import Iterable
from typing import Any

from playground.runs import Row
from playground.runs.rows import from_line

PROGRESS = {"loss": 1.0, "accuracy": 0.5, "learning_rate": 0.01, "grad_norm": 1.0, "weight_norm": 2.0}
CONFUSION = [[int(row == column) for column in range(10)] for row in range(10)]
SCORES = {"loss": 1.0, "accuracy": 0.5}
REST: dict[str, dict[str, Any]] = {
    "progress": {"epoch": 0.5, "step": 1, "seconds": 1.0, "images_per_second": 100.0, **PROGRESS},
    "epoch": {"epoch": 1, "step": 1, "seconds": 1.0, "test": SCORES, "confusion": CONFUSION},
    "change": {"epoch": 0.5, "step": 1, "knob": "dropout", "old": 0.0, "new": 0.5},
    "diverged": {"epoch": 0.5, "step": 1, "what": "the loss is no longer a finite number"},
    "resumed": {"step": -1},
}


def make_row(fields: dict[str, Any]) -> Any:
    """Return the row of these fields, {"type": …} among them."""
    row: Row = from_line(json.dumps(REST[fields["type"]] | fields).encode())
    return row


def make_rows(rows: Iterable[Any], kind: str) -> list[Any]:
    """Return rows of one kind; those that are rows already stay."""
    return [make_row({"type": kind} | row) if isinstance(row, dict) else row for row in rows]
