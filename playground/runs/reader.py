"""Reading a run's rows as they come, and telling which of them count."""

import contextlib
from dataclasses import fields
from typing import Any

from playground.events import Change, EpochRow, Progress
from playground.runs.folder import RunFolder
from playground.runs.rows import Resumed, Row, from_lines
from playground.runs.status import Status

_COLUMNS = tuple(field.name for field in fields(Progress) if field.name != "type")


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
        self._classes = -1  # of its data set: not looked for yet; 0 where it is not known
        self.rows: list[Row] = []
        self.progress: dict[str, list[Any]] = {}
        self._new_progress: list[Progress] = []
        self.epochs: list[EpochRow] = []
        self.changes: list[Change] = []
        self.status = Status("queued")
        self.version = 0

    def update(self) -> bool:
        """Read what is new; True if anything is, rows or status."""
        status, new = self.run.status(), self._read()
        for row in new:
            if self._fits(row):
                self._take(row)
        if self._new_progress:
            for key in _COLUMNS:  # a column at a time: quicker than a row at a time
                self.progress.setdefault(key, []).extend([getattr(row, key) for row in self._new_progress])
        self._new_progress = []
        changed = bool(new) or status != self.status
        self.status = status
        self.version += changed
        return changed

    def _read(self) -> list[Row]:
        try:
            with (self.run.path / "metrics.jsonl").open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
        except OSError:
            return []
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        return from_lines(whole)

    def _fits(self, row: Row) -> bool:
        """Say whether an epoch's row is of the run's own classes; one that is not is damaged, and passed over."""
        if not isinstance(row, EpochRow):
            return True
        if self._classes < 0:
            self._classes = 0
            with contextlib.suppress(ValueError):  # nobody here knows the data set
                self._classes = self.run.dataset.num_classes
        return self._classes in (0, len(row.confusion))

    def _take(self, row: Row) -> None:
        if isinstance(row, Resumed):
            kept = [old for old in self.rows if isinstance(old, Resumed) or old.step <= row.step]
            self.rows, self.progress, self.epochs, self.changes = [], {}, [], []
            self._new_progress = []
            for old in kept:
                self._sort_in(old)
        self._sort_in(row)

    def _sort_in(self, row: Row) -> None:
        self.rows.append(row)
        match row:
            case Progress():
                self._new_progress.append(row)
            case EpochRow():
                self.epochs.append(row)
            case Change():
                self.changes.append(row)
