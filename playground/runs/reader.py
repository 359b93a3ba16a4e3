"""Following a run: its rows and its status as they come."""

from playground.runs.folder import RunFolder
from playground.runs.row_reader import RowReader
from playground.runs.status import Status


class RunReader(RowReader):
    """A reader that keeps up with a run: each `update` reads only what is new.

    Attributes:
        status: the status at the last update.
        version: grows with each update that found something.
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run.path / "metrics.jsonl", run.num_classes)
        self.run = run
        self.status = Status("queued")
        self.version = 0

    def update(self) -> bool:
        """Read what is new; True if anything is, rows or status."""
        status = self.run.status()  # before the rows: those of an end that it tells are then there
        changed = self.read_new() or status != self.status
        self.status = status
        self.version += changed
        return changed
