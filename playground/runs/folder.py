"""A run is a folder, and this module alone knows what is in it.

    config.json        the knobs (frozen)
    about.json         name and note, which its owner may change; the owner; parent, study and number in it
    status.json        where the run stands; replaced as a whole
    metrics.jsonl      one row an event, appended by the run's one writer; a torn last line does not count
    control.jsonl      what people ask of the run; appended by anybody, read by the worker
    lock               held by the worker for its whole life, so that a dead worker is known at once
    resume.safetensors the latest exact state, while the run is not finished
    checkpoints/       epoch-0003.safetensors: the weights after three epochs
    predictions/       epoch-0003.safetensors: the test set's probabilities after three epochs, and a held-back fold's

Files that are replaced are written beside, synced and renamed, so a reader sees the old one or the new one.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Generator, Mapping
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import portalocker
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from playground.config import RunConfig, from_json
from playground.people import MACHINE, may_change, name_of
from playground.runs.files import RunError, write_atomic
from playground.runs.status import Status

KEPT_EPOCHS = 64
"""A run keeps at most about this many checkpoints; past that every other one goes, evenly over the run."""

DEMO = Path(__file__).parent.parent / "demo"


_NOBODY = {"name": "", "note": "", "parent": None, "created": 0.0, "study": None, "member": None, "owner": ""}
_STATUS_FIELDS = {field.name for field in fields(Status)}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing or damaged file reads as empty."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


class RunFolder:
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
    def about(self) -> dict[str, Any]:
        """Name, note, parent (a run's id or None), creation time (seconds since 1970), study (its id) and member."""
        about = _NOBODY | read_json(self.path / "about.json")
        return about | {"name": about["name"] or self.id}

    @property
    def name(self) -> str:
        return self.about["name"]

    @property
    def owner(self) -> str:
        """The person who may change it; see `playground.people`."""
        owner = self.about["owner"]
        return owner if isinstance(owner, str) else MACHINE

    def check_owner(self, by: str) -> None:
        """Raise RunError if the run is somebody else's, so that this person may only look at it."""
        if by != MACHINE and not may_change(self.owner, by):
            whose = f"run {self.name} belongs to {name_of(self.owner)}"
            raise RunError(f"{whose}, who alone may change it; duplicate it to have one of your own")

    def rename(self, name: str, by: str = MACHINE) -> None:
        self.check_owner(by)
        self._describe(name=" ".join(name.split())[:100])

    def annotate(self, note: str, by: str = MACHINE) -> None:
        self.check_owner(by)
        self._describe(note=note.strip()[:2000])

    def leave_study(self) -> None:
        """Be a run by itself."""
        if self.about["study"]:
            self._describe(study=None, member=None)

    def _describe(self, **changes: str | None) -> None:
        if self.read_only:
            raise RunError("the bundled demo run cannot be changed; duplicate it to make it yours")
        write_atomic(self.path / "about.json", json.dumps(self.about | changes, indent=1).encode())

    # Where it stands

    def status(self) -> Status:
        """Read the status; a run that says it works while nobody holds its lock has died."""
        status = self._stored_status()
        if status.state in ("preparing", "running") and not self.is_locked():
            # The worker writes its last status before it lets go of the lock: read again to tell an end from a death.
            status = self._stored_status()
            if status.state in ("preparing", "running"):
                status = replace(status, state="died", message=status.message or "its worker was killed; it can resume")
        return status

    def _stored_status(self) -> Status:
        stored = {key: value for key, value in read_json(self.path / "status.json").items() if key in _STATUS_FIELDS}
        # Not the default, which is "queued": a finished run would be started again.
        return Status(**stored) if stored else Status("failed", "status.json is damaged; the rest of the run is kept")

    def set_status(self, **changes: Any) -> Status:
        """Replace fields of the status (the worker's and the queue's job)."""
        status = replace(self._stored_status(), **changes)
        write_atomic(self.path / "status.json", json.dumps(asdict(status), indent=1).encode())
        return status

    def is_locked(self) -> bool:
        """Whether a worker lives: it holds the lock, and the kernel takes it away when the worker dies."""
        try:
            with (self.path / "lock").open("rb") as file:
                portalocker.lock(file, portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING)
                portalocker.unlock(file)
        except portalocker.LockException:
            return True
        except OSError:
            return False
        return False

    @contextlib.contextmanager
    def hold(self) -> Generator[None]:
        """Hold the run's lock: whoever writes the run does it inside.

        Raises:
            RunError: another process holds it.
        """
        with (self.path / "lock").open("a+b") as file:
            for attempt in range(50):
                try:
                    portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
                    break
                except portalocker.LockException:
                    # A reader that looks whether we live holds it for microseconds; a worker holds it for good.
                    if attempt == 49:
                        raise RunError(f"run {self.id} is already being worked on") from None
                    time.sleep(0.01)
            yield

    # What it measured

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one row to metrics.jsonl. One `write` of a whole line: a reader never sees half of it as a row.

        Raises:
            OSError: the disk is full; the row is not there, those before it are.
        """
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        with (self.path / "metrics.jsonl").open("ab", buffering=0) as file:
            whole = file.write(line) == len(line)
        if not whole:
            self.mend_tail()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / "metrics.jsonl"))

    def mend_tail(self) -> None:
        """Cut off a last line that a killed writer left unfinished, so that the next row starts on its own line."""
        path = self.path / "metrics.jsonl"
        if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows that count: after a resume, rows past the point it resumed from do not."""
        from playground.runs.feed import Feed  # which reads folders

        feed = Feed(self)
        feed.update()
        return feed.rows

    # What people ask of it

    def command(self, *, by: str = MACHINE, **fields: Any) -> None:
        """Ask something of the worker at the wish of a person: `do="pause"`, or `set={"learning_rate": 1e-3}`."""
        self.check_owner(by)
        if self.read_only:
            raise RunError("the bundled demo run is finished; duplicate it to train it again")
        with (self.path / "control.jsonl").open("ab", buffering=0) as file:
            file.write(json.dumps(fields).encode() + b"\n")

    # What it kept

    def _tensors(self, kind: str, epoch: int) -> Path:
        return self.path / kind / f"epoch-{epoch:04d}.safetensors"

    def _epochs(self, kind: str) -> list[int]:
        try:
            names = os.listdir(self.path / kind)
        except OSError:
            return []
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(r"epoch-(\d{4})\.safetensors", name)))

    def epochs(self) -> list[int]:
        """Epochs whose weights are kept, in order."""
        return self._epochs("checkpoints")

    def predicted_epochs(self) -> list[int]:
        """Epochs whose test-set probabilities are kept, in order."""
        return self._epochs("predictions")

    def checkpoint(self, epoch: int) -> Path:
        """The file of weights after an epoch, whether it is there or not."""
        return self._tensors("checkpoints", epoch)

    def prediction_file(self, epoch: int) -> Path:
        """The file of what was predicted for the test images after an epoch, whether it is there or not."""
        return self._tensors("predictions", epoch)

    def weights(self, epoch: int) -> dict[str, np.ndarray]:
        """Read the weights after an epoch, as float32.

        Raises:
            RunError: there are none, or the file is damaged.
        """
        return {name: array.astype(np.float32) for name, array in self._load(self.checkpoint(epoch)).items()}

    def predictions(self, epoch: int) -> np.ndarray:
        """Read the test set's probabilities after an epoch: (N, num_classes) float32, rows in the test set's order.

        Raises:
            RunError: there are none, or the file is damaged.
        """
        return self._probs("probs", epoch)

    def masks(self, epoch: int) -> np.ndarray:
        """Read what was predicted for the first test images after an epoch: (n, H, W) uint8, a class for each pixel.

        Raises:
            RunError: there are none, or the file is damaged.
        """
        tensors = self._load(self._tensors("predictions", epoch))
        if "masks" not in tensors or tensors["masks"].ndim != 3:
            raise RunError(f"run {self.id}: epoch {epoch} has no masks; the run gives one label an image")
        return tensors["masks"]

    def validation_predictions(self, epoch: int) -> np.ndarray:
        """Read the held-back fold's probabilities after an epoch: (N, num_classes) float32, in the order of its rows.

        Raises:
            RunError: the run has no folds, there are none, or the file is damaged.
        """
        if not self.config.data.folds:
            raise RunError(f"run {self.id} has no folds; the predictions of a validation share are not kept")
        return self._probs("val_probs", epoch)

    def _probs(self, name: str, epoch: int) -> np.ndarray:
        tensors = self._load(self._tensors("predictions", epoch))
        if "masks" in tensors:
            raise RunError(f"{self.name} labels pixels, and keeps masks in place of probabilities")
        if name not in tensors or tensors[name].ndim != 2:
            raise RunError(f"run {self.id}: the predictions of epoch {epoch} are damaged")
        return tensors[name].astype(np.float32)

    @property
    def predictions_dataset(self) -> str:
        """The data set whose test images the predictions are of: the run's own, or for the demo the bundled part."""
        return self.about.get("predictions_dataset") or self.config.data.dataset

    def _load(self, path: Path) -> dict[str, np.ndarray]:
        where = f"{path.parent.name}/{path.name}"
        try:
            return load_tensors(path.read_bytes())
        except FileNotFoundError:
            raise RunError(f"run {self.id} has no {where}; it keeps epochs {_ranges(self.epochs())}") from None
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise RunError(
                f"run {self.id}: {where} is damaged ({type(error).__name__}); choose another epoch"
            ) from None

    def save_epoch(
        self, epoch: int, weights: Mapping[str, np.ndarray], probs: np.ndarray, val_probs: np.ndarray | None = None
    ) -> None:
        """Keep an epoch's weights and the test set's (and the fold's) probabilities, and thin out what is kept."""
        predictions = {"masks" if probs.dtype == np.uint8 else "probs": probs} | (
            {} if val_probs is None else {"val_probs": val_probs}
        )
        for kind, tensors in (("checkpoints", dict(weights)), ("predictions", predictions)):
            (self.path / kind).mkdir(exist_ok=True)
            write_atomic(self._tensors(kind, epoch), save_tensors(tensors))
        self._thin()

    def _thin(self) -> None:
        """Halve the kept epochs when there are too many; the first, the best and the latest stay."""
        kept = self.epochs()
        if len(kept) <= KEPT_EPOCHS:
            return
        gap = 2
        while len([e for e in kept if e % gap == 0]) > KEPT_EPOCHS // 2:
            gap *= 2
        keep = {kept[0], kept[-1], self.status().best_epoch}
        for epoch in kept:
            if epoch % gap and epoch not in keep:
                self._tensors("checkpoints", epoch).unlink(missing_ok=True)
                self._tensors("predictions", epoch).unlink(missing_ok=True)

    def save_resume(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Keep the exact state to resume from."""
        # Not ascontiguousarray, which gives a number without dimensions one.
        content = save_tensors({k: np.asarray(v, order="C") for k, v in tensors.items()}, {"facts": json.dumps(facts)})
        write_atomic(self.path / "resume.safetensors", content)

    def load_resume(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Read the exact state to resume from, as (tensors, facts); None when the run never got that far.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / "resume.safetensors"
        if not path.exists():
            return None
        try:
            content = path.read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return load_tensors(content), json.loads(header["__metadata__"]["facts"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"run {self.id}: resume.safetensors is damaged ({type(error).__name__})") from None

    def drop_resume(self) -> None:
        """Forget the state to resume from: the run is finished."""
        (self.path / "resume.safetensors").unlink(missing_ok=True)

    def delete(self, by: str = MACHINE) -> None:
        """Delete the folder, at the wish of a person.

        Raises:
            RunError: it is the demo, or somebody else's, or a worker is at it.
        """
        self.check_owner(by)
        if self.read_only:
            raise RunError("the bundled demo run cannot be deleted")
        if self.is_locked():
            raise RunError(f"run {self.name} is being worked on; stop it first")
        # Renamed first, so that it is gone at once and as a whole, whatever interrupts the deletion.
        doomed = self.path.with_name(f".deleted-{self.id}-{secrets.token_hex(4)}")
        os.replace(self.path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _ranges(numbers: list[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "none yet"
