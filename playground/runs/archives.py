"""A run as a zip: to keep, to hand on, to take in. What comes in is checked before anything is written."""

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from playground.config import ConfigError, from_json
from playground.events import Change, Diverged, Progress, Scores
from playground.people import MACHINE
from playground.runs.feed import parse_rows
from playground.runs.files import RunError
from playground.runs.folder import RunFolder, read_json
from playground.runs.shelf import runs_folder
from playground.runs.status import Status
from playground.zips import open_zip

MAX_BYTES = 2 * 1024**3
MAX_FILES = 5000
MAX_RATIO = 100
"""Weights hardly shrink: what unpacks to more than this many times its size is made to fill a disk."""
SMALL = 2**20
"""Bytes that a zip may unpack to at any ratio; short texts shrink well."""
_TENSORS = re.compile(r"(checkpoints|predictions)/epoch-\d{4}\.safetensors|resume\.safetensors")
_OVER = {"finished", "stopped", "interrupted", "diverged", "failed"}
_TEXTS = {"config.json", "about.json", "status.json", "metrics.jsonl"}


@dataclass
class _About:
    name: str = ""
    note: str = ""
    parent: str | None = None
    created: float = 0.0
    predictions_dataset: str = ""
    study: str | None = None
    member: int | None = None
    owner: str = ""


@dataclass
class _EpochRow:
    epoch: int
    step: int
    seconds: float
    train: Scores | None
    val: Scores | None
    test: Scores
    confusion: list[list[int]]


@dataclass
class _Resumed:
    step: int


_OBJECTS = {"about.json": TypeAdapter(_About), "status.json": TypeAdapter(Status)}
_ROWS = {
    "progress": TypeAdapter(Progress),
    "epoch": TypeAdapter(_EpochRow),
    "change": TypeAdapter(Change),
    "diverged": TypeAdapter(Diverged),
    "resumed": TypeAdapter(_Resumed),
}


def export_zip(run: RunFolder) -> bytes:
    """Pack a run: config, name, status, rows, weights and predictions; not its owner, lock, commands or log."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(run.path.rglob("*")):
            name = path.relative_to(run.path).as_posix()
            if name in _TEXTS or _TENSORS.fullmatch(name):
                with contextlib.suppress(FileNotFoundError):  # a run that goes on may have just thinned it out
                    if name == "about.json":
                        about = {key: value for key, value in read_json(path).items() if key != "owner"}
                        archive.writestr(f"{run.id}/{name}", json.dumps(about, indent=1))
                    else:
                        archive.write(path, f"{run.id}/{name}")
    return buffer.getvalue()


def import_zip(file: BinaryIO | Path, owner: str = MACHINE) -> RunFolder:
    """Take in a run that `export_zip` packed, under a new id, for a person. Other files in the zip are refused.

    Raises:
        RunError: not a zip, not a run, too large, or a part of it is damaged; one line, and nothing is kept.
    """
    try:
        with open_zip(file, MAX_FILES) as archive:
            members = _members(archive.entries)
            draft = Path(tempfile.mkdtemp(dir=runs_folder(), prefix=".new-"))
            try:
                for name, info in members.items():
                    content = archive.read(info)
                    _check(name, content)
                    (draft / name).parent.mkdir(exist_ok=True)
                    (draft / name).write_bytes(content)
                return _adopt(draft, owner)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    except RunError:
        raise
    except ValueError as error:  # a ZipError, or what is not found in the parts until they are together
        raise RunError(f"this is no readable zip ({_short(error)}); take one that the Runs page downloaded") from None
    except OSError as error:
        raise RunError(f"this zip cannot be taken in ({error.strerror or _short(error)})") from None


def _members(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return {name within the run: entry}, looking at names and sizes alone."""
    entries = [info for info in entries if not info.is_dir()]
    size, packed = (sum(getattr(info, name) for info in entries) for name in ("file_size", "compress_size"))
    if len(entries) > MAX_FILES or size > min(MAX_BYTES, MAX_RATIO * packed + SMALL):
        raise RunError(f"this zip unpacks to too much for a run: at most {MAX_FILES} files and {MAX_BYTES >> 30} GiB")
    config = next((info.filename for info in entries if info.filename.split("/")[-1] == "config.json"), None)
    if config is None:
        raise RunError("this zip holds no config.json, so it is no run; take one that the Runs page downloaded")
    top = config.removesuffix("config.json")
    members = {}
    for info in entries:
        name = info.filename.removeprefix(top)
        if (name not in _TEXTS and not _TENSORS.fullmatch(name)) or name in members:
            raise RunError(f"this zip holds {info.filename[:80]!r}, which is no part of a run; nothing was taken in")
        members[name] = info
    return members


def _check(name: str, content: bytes) -> None:
    """Refuse a part that cannot be read back."""
    try:
        if name.endswith(".safetensors"):
            for key, tensor in load_tensors(content).items():
                if not name.startswith("resume") and not np.isfinite(tensor).all():
                    raise ValueError(f"{key} holds numbers that are not finite")
        elif name == "config.json":
            from_json(content)
        elif name == "metrics.jsonl":
            for row in parse_rows(content[: content.rfind(b"\n") + 1]):
                if row["type"] in _ROWS:
                    _ROWS[row["type"]].validate_json(json.dumps(row), strict=True)
        else:
            _OBJECTS[name].validate_json(content, strict=True)
    except ConfigError as error:
        raise RunError(f"config.json: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = _short(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": "))
        raise RunError(f"{name} is damaged ({what}); nothing was taken in") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{name} is damaged ({_short(error)}); nothing was taken in") from None


def _short(what: object) -> str:
    """Say it in one line of at most 80 characters."""
    return "".join(c if c.isprintable() else " " for c in str(what)[:80])


def _adopt(draft: Path, owner: str) -> RunFolder:
    """Give the checked folder an owner, an id and a place on the shelf."""
    run_id = time.strftime("%Y%m%d-%H%M%S") + f"-{secrets.token_hex(3)}"
    (draft / "lock").touch()
    draft.chmod(0o755)
    run = RunFolder(draft)
    state = run.status().state
    run.set_status(state=state if state in _OVER else "interrupted")
    run.leave_study()
    run._describe(owner=owner)
    run.rename(run.name if run.name != run.id else "imported run")
    run.mend_tail()
    os.replace(draft, runs_folder() / run_id)
    return RunFolder(runs_folder() / run_id)
