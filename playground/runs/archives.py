"""A run as a zip: to keep, to hand on, to take in. What comes in is checked before anything is written."""

import io
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from playground.config import ConfigError, from_json
from playground.runs.folder import ACTIVE, RunError, RunFolder
from playground.runs.shelf import runs_folder

MAX_BYTES = 2 * 1024**3
MAX_FILES = 5000
_TENSORS = re.compile(r"(checkpoints|predictions)/epoch-\d{4}\.safetensors|resume\.safetensors")
_TEXTS = {"config.json", "about.json", "status.json", "metrics.jsonl"}


def export_zip(run: RunFolder) -> bytes:
    """Pack a run: config, name, status, rows, weights and predictions; not its lock, commands or log."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(run.path.rglob("*")):
            name = path.relative_to(run.path).as_posix()
            if name in _TEXTS or _TENSORS.fullmatch(name):
                archive.write(path, f"{run.id}/{name}")
    return buffer.getvalue()


def import_zip(file: BinaryIO | Path) -> RunFolder:
    """Take in a run that `export_zip` packed, under a new id. Other files in the zip are refused.

    Raises:
        RunError: not a zip, not a run, too large, or a part of it is damaged; one line, and nothing is kept.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            draft = Path(tempfile.mkdtemp(dir=runs_folder(), prefix=".new-"))
            try:
                for name, info in members.items():
                    content = archive.read(info)
                    _check(name, content)
                    (draft / name).parent.mkdir(exist_ok=True)
                    (draft / name).write_bytes(content)
                return _adopt(draft)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    except zipfile.BadZipFile as error:
        raise RunError(f"this is no readable zip ({error}); take one that the Runs page downloaded") from None
    except (NotImplementedError, RuntimeError):
        raise RunError("this zip is encrypted or packed in a way that cannot be read") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return {name within the run: entry}, looking at names and sizes alone."""
    entries = [info for info in archive.infolist() if not info.is_dir()]
    if len(entries) > MAX_FILES or sum(info.file_size for info in entries) > MAX_BYTES:
        raise RunError(f"this zip is too large for a run: at most {MAX_FILES} files and {MAX_BYTES >> 30} GiB")
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
                if name.startswith("checkpoints/") and not np.isfinite(tensor).all():
                    raise ValueError(f"{key} holds numbers that are not finite")
        elif name == "config.json":
            from_json(content)
        elif name.endswith(".json") and not isinstance(json.loads(content), dict):
            raise ValueError("not an object")
    except ConfigError as error:
        raise RunError(f"config.json: {error}") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{name} is damaged ({str(error)[:80]}); nothing was taken in") from None


def _adopt(draft: Path) -> RunFolder:
    """Give the checked folder an id and a place on the shelf."""
    run_id = time.strftime("%Y%m%d-%H%M%S") + f"-{secrets.token_hex(3)}"
    (draft / "lock").touch()
    draft.chmod(0o755)
    run = RunFolder(draft)
    try:
        status = run.status()
        state = "interrupted" if status.state in ACTIVE or status.state == "died" else status.state
        run.set_status(**vars(replace(status, state=state)))
        run.rename(run.name if run.about.get("name") != run.id else "imported run")
        run.mend_tail()
        run.rows()
    except (TypeError, ValueError, KeyError) as error:
        raise RunError(f"status.json or metrics.jsonl is damaged ({str(error)[:80]}); nothing was taken in") from None
    os.replace(draft, runs_folder() / run_id)
    return RunFolder(runs_folder() / run_id)
