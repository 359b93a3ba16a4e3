"""A run is a folder, and this module alone knows what is in it.

    config.json        the knobs (frozen)
    about.json         name and note, which its owner may change; where it comes from; what it needs of its data set
    status.json        where the run stands; replaced as a whole
    metrics.jsonl      one row an event, appended by the run's one writer; a torn last line does not count
    control.jsonl      what people ask of the run; appended by anybody, read by the worker
    lock               held by the worker for its whole life, so that a dead worker is known at once
    resume.safetensors the latest exact state, while the run is not finished
    checkpoints/       epoch-0003.safetensors: the weights after three epochs
    predictions/       epoch-0003.safetensors: the test set's probabilities after three epochs, and a held-back fold's

Files that are replaced are written beside, synced and renamed, so a reader sees the old one or the new one. Each of
the first four is read and written through a model (`config`, `about`, `status`, `rows`) that says what it may hold; the
first three say their format, and older ones are migrated as they are read. A file that does not fit makes the run
*damaged*: it can be listed and deleted, and hurts no other.
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Generator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from playground import locks
from playground.config import ConfigError, RunConfig, from_json
from playground.data import catalog
from playground.data.catalog import DataError, DatasetInfo
from playground.people import MACHINE, may_change, name_person
from playground.runs.about import ABOUT, About, clean_name, clean_note, migrate_about
from playground.runs.files import (
    DamagedError,
    RunError,
    append_essential,
    is_full,
    read_stored,
    write_atomic,
    write_essential,
    writing,
)
from playground.runs.row_reader import RowReader
from playground.runs.rows import Row, to_line
from playground.runs.status import STATUS, Status, migrate_status, read_best
from playground.runs.tensors import TensorFiles

DEMO = Path(__file__).parent.parent / "demo"
TRASHED = ".deleted-"
"""What the name of a deleted run's folder begins with; the time of its deletion and its id follow."""


class RunFolder(TensorFiles):
    """One run on disk. Cheap to make: each part is read when it is asked for."""

    def __init__(self, path: Path | str) -> None:
        self._where = path
        self.id = os.path.basename(path)

    @cached_property
    def path(self) -> Path:
        """The folder. Made when asked for: of ten thousand runs on a shelf, few are looked at."""
        return Path(self._where)

    def __repr__(self) -> str:
        return f"RunFolder({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunFolder) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    # What it is

    @cached_property
    def config(self) -> RunConfig:
        """The knobs.

        Raises:
            RunError: config.json is missing; ConfigError: it is not a config.
        """
        try:
            return from_json((self.path / "config.json").read_bytes())
        except OSError:
            raise RunError(f"run {self.id} has no config.json") from None

    @property
    def read_only(self) -> bool:
        """Whether this is the bundled run, which nobody may change."""
        return self.path in (DEMO, DEMO.with_name(f"{DEMO.name}-segmentation"))

    @property
    def about(self) -> About:
        """Its name, where it comes from and what it needs of its data set; nothing of it where about.json is missing.

        Raises:
            DamagedError: about.json cannot be read.
        """
        try:
            return read_stored(self.path / "about.json", ABOUT, lambda old: migrate_about(old, self._dataset_name()))
        except FileNotFoundError:
            return About()

    def _dataset_name(self) -> str:
        try:
            return self.config.data.dataset
        except ConfigError as error:
            raise DamagedError(f"config.json is damaged ({error})") from None

    @property
    def name(self) -> str:
        """What it is called; its id where it has no name, or none that can be read."""
        with contextlib.suppress(DamagedError):
            return self.about.name or self.id
        return self.id

    @property
    def dataset(self) -> DatasetInfo:
        """What it was trained on, with the mean and deviation that its images were normalised with, where known.

        Raises:
            RunError: the run does not say, as those of older days, and its data set is not known here.
        """
        if known := self.about.dataset:
            return known
        try:
            return catalog.find_info(self.config.data.dataset)
        except DataError as error:
            raise RunError(f"{self.name} does not carry what its data set is like, and {error}") from None

    def num_classes(self) -> int:
        """Return how many classes its data set has; 0 where nobody here knows the data set."""
        with contextlib.suppress(ValueError):
            return self.dataset.num_classes
        return 0

    @property
    def damage(self) -> str:
        """Why the run cannot be read, in one line; empty when it can."""
        try:
            _ = self.config, self.about
        except (RunError, ConfigError) as error:
            return str(error)
        status = self._stored_status()
        return status.message if status.state == "damaged" else ""

    @property
    def owner(self) -> str:
        """The person who may change it; see `playground.people`."""
        with contextlib.suppress(DamagedError):
            return self.about.owner
        return MACHINE

    def check_owner(self, by: str) -> None:
        """Raise RunError if the run is somebody else's, so that this person may only look at it."""
        if by != MACHINE and not may_change(self.owner, by):
            whose = f"run {self.name} belongs to {name_person(self.owner)}"
            raise RunError(f"{whose}, who alone may change it; duplicate it to have one of your own")

    def rename(self, name: str, by: str = MACHINE) -> None:
        self.check_owner(by)
        self.describe(name=clean_name(name))

    def annotate(self, note: str, by: str = MACHINE) -> None:
        self.check_owner(by)
        self.describe(note=clean_note(note))

    def leave_study(self) -> None:
        """Be a run by itself."""
        if self.about.study:
            self.describe(study=None, member=None)

    def describe(self, **changes: Any) -> None:
        """Replace fields of `about`."""
        if self.read_only:
            raise RunError("the bundled demo run cannot be changed; duplicate it to make it yours")
        write_atomic(self.path / "about.json", ABOUT.dump_json(replace(self.about, **changes), indent=1))

    # Where it stands

    def status(self) -> Status:
        """Read the status; a run that says it works while nobody holds its lock has died."""
        status = self._stored_status()
        if status.state in ("preparing", "running") and not self.is_locked():
            # The worker writes its last status before it lets go of the lock: read again to tell an end from a death.
            status = self._stored_status()
            if status.state in ("preparing", "running"):
                status = replace(status, state="died", message=status.message or "its worker was killed; it can resume")
        if status.state in ("queued", "died") and (why := self._failure()):
            status = replace(status, state="failed", message=why)
        return status

    def fail(self, message: str) -> None:
        """Say that the run failed and why; beside its folder, where nothing can be written in it."""
        try:
            self.set_status(state="failed", message=message, finished=time.time())
        except OSError as error:
            if is_full(error):
                raise
            why = f"{message}; nothing can be written in its folder ({error})" if str(error) not in message else message
            write_essential(self._failure_path(), why.encode())

    def _failure_path(self) -> Path:
        return self.path.with_name(f".failed-{self.id}")

    def _failure(self) -> str:
        try:
            return self._failure_path().read_text(errors="replace")[:1000]
        except OSError:
            return ""

    def _stored_status(self) -> Status:
        try:
            rows = self.path / "metrics.jsonl"
            return read_stored(self.path / "status.json", STATUS, lambda old: migrate_status(old, read_best(rows)))
        except FileNotFoundError:
            return Status("damaged", "status.json is missing")
        except DamagedError as error:
            return Status("damaged", str(error))

    def set_status(self, **changes: Any) -> Status:
        """Replace fields of the status (the worker's and the queue's job)."""
        status = replace(self._stored_status(), **changes)
        status = replace(status, message=status.message[:1000])
        write_essential(self.path / "status.json", STATUS.dump_json(status, indent=1))
        with contextlib.suppress(OSError):
            self._failure_path().unlink(missing_ok=True)
        return status

    def is_locked(self) -> bool:
        """Whether a worker lives: it holds the lock, and the kernel takes it away when the worker dies."""
        return locks.is_held(self.path / "lock")

    @contextlib.contextmanager
    def hold(self) -> Generator[None]:
        """Hold the run's lock: whoever writes the run does it inside.

        Raises:
            RunError: another process holds it; WriteError: nobody can hold it here.
        """
        # Whoever looks whether a worker lives holds it for microseconds; a worker holds it for good.
        with writing(self.path / "lock"):
            lock = locks.take(self.path / "lock", wait=0.5)
        if lock is None:
            raise RunError(f"run {self.id} is already being worked on")
        with lock:
            yield

    # What it measured

    def append(self, row: Row) -> None:
        """Append one row to metrics.jsonl. One `write` of a whole line: a reader never sees half of it as a row.

        Raises:
            OSError: the disk is full; the row is not there, those before it are.
        """
        line = to_line(row)
        with writing(self.path / "metrics.jsonl"):
            with (self.path / "metrics.jsonl").open("ab", buffering=0) as file:
                whole = file.write(line) == len(line)
            if not whole:
                self.mend_tail()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def mend_tail(self) -> None:
        """Cut off a last line that a killed writer left unfinished, so that the next row starts on its own line."""
        path = self.path / "metrics.jsonl"
        if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)

    def rows(self) -> list[Row]:
        """Return all rows that count: after a resume, rows past the point it resumed from do not."""
        reader = RowReader(self.path / "metrics.jsonl", self.num_classes)
        reader.read_new()
        return reader.rows

    # What people ask of it

    def command(self, *, by: str = MACHINE, **fields: Any) -> None:
        """Ask something of the worker at the wish of a person: `do="pause"`, or `set={"learning_rate": 1e-3}`."""
        self.check_owner(by)
        if self.read_only:
            raise RunError("the bundled demo run is finished; duplicate it to train it again")
        append_essential(self.path / "control.jsonl", json.dumps(fields).encode() + b"\n")

    def delete(self, by: str = MACHINE) -> None:
        """Put the folder into the trash, at the wish of a person; see `playground.runs.trash`.

        Raises:
            RunError: it is the demo, or somebody else's, or a worker is at it.
        """
        self.check_owner(by)
        if self.read_only:
            raise RunError("the bundled demo run cannot be deleted")
        if self.is_locked():
            raise RunError(f"run {self.name} is being worked on; stop it first")
        with writing(self.path):  # a rename: it is gone at once and as a whole
            os.replace(self.path, self.path.with_name(f"{TRASHED}{time.time():.0f}-{self.id}"))
