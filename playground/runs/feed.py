"""Reading a run's rows as they come, and telling which of them count."""

import contextlib
from typing import Any

from pydantic_core import from_json

from playground.runs.folder import RunFolder
from playground.runs.status import Status


def parse_rows(chunk: bytes) -> list[dict[str, Any]]:
    """Parse whole lines; a damaged line is passed over."""
    lines = chunk.splitlines()
    try:  # all at once is several times as quick as line by line, and lines are seldom damaged
        found = from_json(b"[" + b",".join(line for line in lines if line) + b"]")
        found = found if len(found) == len(lines) else _one_by_one(lines)
    except ValueError:
        found = _one_by_one(lines)
    return [row for row in found if isinstance(row, dict) and "type" in row]


def _one_by_one(lines: list[bytes]) -> list[Any]:
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(from_json(line))
    return found


class Feed:
    """A reader that keeps up with a run: each `update` reads only what is new.

    Attributes:
        rows: all rows that count so far.
        progress: columns of the progress rows, {"step": […], "loss": […], …}.
        epochs: the epoch rows; changes: the change rows.
        status: the status at the last update.
        version: grows with each update that found something.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._offset = 0  # always where a line begins, so a torn tail that is cut off was never read past
        self.rows: list[dict[str, Any]] = []
        self.progress: dict[str, list[Any]] = {}
        self._new_progress: list[dict[str, Any]] = []
        self.epochs: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.status = Status()
        self.version = 0

    def update(self) -> bool:
        """Read what is new; True if anything is, rows or status."""
        status, new = self.run.status(), self._read()
        for row in new:
            self._take(row)
        for key in self._new_progress[0] if self._new_progress else ():
            if key != "type":  # a column at a time: quicker than a row at a time
                self.progress.setdefault(key, []).extend([row.get(key) for row in self._new_progress])
        self._new_progress = []
        changed = bool(new) or status != self.status
        self.status = status
        self.version += changed
        return changed

    def _read(self) -> list[dict[str, Any]]:
        try:
            with (self.run.path / "metrics.jsonl").open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
        except FileNotFoundError:
            return []
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        return parse_rows(whole)

    def _take(self, row: dict[str, Any]) -> None:
        if row["type"] == "resumed":
            kept = [old for old in self.rows if old["type"] == "resumed" or old.get("step", 0) <= row["step"]]
            self.rows, self.progress, self.epochs, self.changes = [], {}, [], []
            self._new_progress = []
            for old in kept:
                self._sort_in(old)
        self._sort_in(row)

    def _sort_in(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if row["type"] == "progress":
            self._new_progress.append(row)
        elif row["type"] == "epoch":
            self.epochs.append(row)
        elif row["type"] == "change":
            self.changes.append(row)
