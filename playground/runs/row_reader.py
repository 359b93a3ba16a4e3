"""Reading rows as they come, and telling which of them count."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from playground.events import Change, EpochRow, Progress
from playground.runs.rows import Resumed, Row, from_lines

_COLUMNS = tuple(field.name for field in fields(Progress) if field.name != "type")


class RowReader:
    """A reader that keeps up with a metrics.jsonl: each `read_new` reads only what is new.

    Attributes:
        rows: all rows that count so far.
        progress: columns of the progress rows, {"step": […], "loss": […], …}.
        epochs: the epoch rows; changes: the change rows.
    """

    def __init__(self, path: Path, num_classes: Callable[[], int]) -> None:
        """Read a file from its beginning.

        Args:
            num_classes: says how many classes the run's data set has, 0 where it is not known; asked at most once.
        """
        self._path, self._num_classes = path, num_classes
        self._offset = 0  # always where a line begins, so a torn tail that is cut off was never read past
        self._classes: int | None = None
        self.rows: list[Row] = []
        self.progress: dict[str, list[Any]] = {}
        self._new_progress: list[Progress] = []
        self.epochs: list[EpochRow] = []
        self.changes: list[Change] = []

    def read_new(self) -> bool:
        """Read what is new; True if any row is."""
        new = self._read()
        for row in new:
            if self._fits(row):
                self._take(row)
        if self._new_progress:
            for key in _COLUMNS:  # a column at a time: quicker than a row at a time
                self.progress.setdefault(key, []).extend([getattr(row, key) for row in self._new_progress])
        self._new_progress = []
        return bool(new)

    def _read(self) -> list[Row]:
        try:
            with self._path.open("rb") as file:
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
        if self._classes is None:
            self._classes = self._num_classes()
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
