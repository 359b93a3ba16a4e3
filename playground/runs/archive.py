"""Runs as a zip: to keep, to hand on, to take in. What comes in is checked before anything is written."""

import contextlib
import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from playground.config import ConfigError, from_json, to_json
from playground.errors import one_line
from playground.events import EpochRow
from playground.people import MACHINE
from playground.runs.about import ABOUT, clean_name
from playground.runs.files import DamagedError, RunError, WriteError, parse_stored, write_atomic
from playground.runs.folder import RunFolder
from playground.runs.registry import adopt_folder, draft_folder
from playground.runs.rows import from_line, names_kind, to_line
from playground.runs.status import STATUS, Status, migrate_status
from playground.zips import open_zip

MAX_BYTES = 2 * 1024**3
MAX_FILES = 5000
MAX_RUNS = 100
MAX_RATIO = 100
"""Weights hardly shrink: what unpacks to more than this many times its size is made to fill a disk."""
SMALL = 2**20
"""Bytes that a zip may unpack to at any ratio; short texts shrink well."""
_LIMITS = f"at most {MAX_FILES:,} files and {MAX_BYTES >> 30} GiB"
_TENSORS = re.compile(r"(checkpoints|predictions)/epoch-\d{4}\.safetensors|resume\.safetensors")
_OVER = {"finished", "stopped", "interrupted", "diverged", "failed"}
_TEXTS = {"config.json", "about.json", "status.json", "metrics.jsonl"}


def export_zip(*runs: RunFolder) -> bytes:
    """Pack runs: config, name, status, rows, weights and predictions; not their owner, lock, commands or log.

    Raises:
        RunError: they are more than `import_runs` takes in.
    """
    packed = [
        (run, path, name)
        for run in runs
        for path in sorted(run.path.rglob("*"))
        if (name := path.relative_to(run.path).as_posix()) in _TEXTS or _TENSORS.fullmatch(name)
    ]
    with contextlib.suppress(FileNotFoundError):  # a run that goes on may have just thinned it out
        if len(packed) > MAX_FILES or sum(path.stat().st_size for _, path, _ in packed) > MAX_BYTES:
            raise RunError(f"{len(runs)} runs are too much for one zip ({_LIMITS}); take fewer of them")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for run, path, name in packed:
            with contextlib.suppress(FileNotFoundError):
                if name == "about.json":
                    archive.writestr(f"{run.id}/{name}", ABOUT.dump_json(replace(run.about, owner=MACHINE)))
                else:
                    archive.write(path, f"{run.id}/{name}")
    return buffer.getvalue()


def import_zip(file: BinaryIO | Path, owner: str = MACHINE) -> RunFolder:
    """Take in a zip of one run; see `import_runs`."""
    taken = import_runs(file, owner, most=1)
    return taken[0]


def import_runs(file: BinaryIO | Path, owner: str = MACHINE, most: int = MAX_RUNS) -> list[RunFolder]:
    """Take in the runs that `export_zip` packed, under new ids, for a person. Other files in the zip are refused.

    Args:
        most: how many it may hold.

    Raises:
        RunError: not a zip, no run, too large, or a part of it is damaged; one line, and nothing is kept.
    """
    try:
        with open_zip(file, MAX_FILES) as archive, contextlib.ExitStack() as drafts:
            made = []
            for members in _members(archive.entries, most):
                draft = drafts.enter_context(draft_folder())
                for name, info in members.items():
                    content = archive.read(info)
                    content = _checked(name, content)
                    (draft / name).parent.mkdir(exist_ok=True)
                    (draft / name).write_bytes(content)
                _prepare(RunFolder(draft), owner)
                made.append(draft)
            return [adopt_folder(draft) for draft in made]
    except RunError:
        raise
    except WriteError as error:
        raise RunError(f"this zip cannot be taken in: {error}") from None
    except ValueError as error:  # a ZipError, or what is not found in the parts until they are together
        raise RunError(f"this is no readable zip ({one_line(error)}); take one that the Runs page downloaded") from None
    except OSError as error:
        raise RunError(f"this zip cannot be taken in ({error.strerror or one_line(error)})") from None


def _members(entries: list[zipfile.ZipInfo], most: int) -> list[dict[str, zipfile.ZipInfo]]:
    """Return {name within the run: entry} of each run, looking at names and sizes alone."""
    entries = [info for info in entries if not info.is_dir()]
    size, packed = (sum(getattr(info, name) for info in entries) for name in ("file_size", "compress_size"))
    if len(entries) > MAX_FILES or size > min(MAX_BYTES, MAX_RATIO * packed + SMALL):
        raise RunError(f"this zip unpacks to too much for a run ({_LIMITS})")
    configs = [info.filename for info in entries if info.filename.split("/")[-1] == "config.json"]
    if not configs:
        raise RunError("this zip holds no config.json, so it is no run; take one that the Runs page downloaded")
    tops = {name.removesuffix("config.json") for name in configs}
    members: dict[str, dict[str, zipfile.ZipInfo]] = {
        top: {} for top in sorted(tops) if not any(top.startswith(other) for other in tops - {top})
    }
    if len(members) > most:
        raise RunError(f"this zip holds {len(members)} runs, and at most {most} are taken in at once")
    for info in entries:
        top, name = next(((top, rest) for top in members if (rest := _within(info.filename, top))), ("", ""))
        if not name or name in members[top]:
            raise RunError(f"this zip holds {info.filename[:80]!r}, which is no part of a run; nothing was taken in")
        members[top][name] = info
    return list(members.values())


def _within(name: str, top: str) -> str:
    """Return the name of a part within the run that lies in this folder, or nothing if it is no part of it."""
    rest = name.removeprefix(top) if name.startswith(top) else ""
    return rest if rest in _TEXTS or _TENSORS.fullmatch(rest) else ""


def _checked(name: str, content: bytes) -> bytes:
    """Return a part as it is to lie here: texts anew, so that they hold nothing that was not looked at.

    about.json is looked at later, beside the config.

    Raises:
        RunError: it cannot be read back.
    """
    try:
        if name.endswith(".safetensors"):
            for key, tensor in load_tensors(content).items():
                if not name.startswith("resume") and not np.isfinite(tensor).all():
                    raise ValueError(f"{key} holds numbers that are not finite")
        elif name == "config.json":
            return to_json(from_json(content)).encode()
        elif name == "metrics.jsonl":
            lines = content[: content.rfind(b"\n") + 1].splitlines()
            return b"".join(to_line(from_line(line)) for line in lines if names_kind(line))
        elif name == "status.json":
            parse_stored(name, content, STATUS, lambda old: migrate_status(old, {}))
        return content
    except ConfigError as error:
        raise RunError(f"config.json: {error}; nothing was taken in") from None
    except DamagedError as error:
        raise RunError(f"{error}; nothing was taken in") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{name} is damaged ({one_line(error)}); nothing was taken in") from None


def _check_together(run: RunFolder) -> None:
    """Refuse parts that do not fit one another: all have to speak of the same classes."""
    if reason := run.damage:
        raise RunError(f"{reason}; nothing was taken in")
    dataset = run.about.dataset
    if dataset and dataset.name != run.config.data.dataset:
        raise RunError("about.json is of another data set than config.json; nothing was taken in")
    counts = {len(row.confusion) for row in run.rows() if isinstance(row, EpochRow)}
    with contextlib.suppress(RunError):  # a set of somebody's own, in a zip of older days
        counts.add(run.dataset.num_classes)
    for epoch in run.predicted_epochs():
        try:
            counts.add(run.predictions(epoch).shape[1])
        except RunError:
            try:
                run.masks(epoch)
            except RunError as error:
                raise RunError(f"{error}; nothing was taken in") from None
    if len(counts) > 1:
        raise RunError(
            f"its confusion matrices, predictions and data set have {' and '.join(map(str, sorted(counts)))} classes; "
            "nothing was taken in"
        )


def _prepare(run: RunFolder, owner: str) -> None:
    """Make a run of its own of the checked folder."""
    if not (run.path / "status.json").exists():
        write_atomic(run.path / "status.json", STATUS.dump_json(Status("interrupted")))
    _check_together(run)
    state = run.status().state
    run.set_status(state=state if state in _OVER else "interrupted")
    name = clean_name(run.about.name) or "imported run"
    run.describe(name=name, study=None, member=None, owner=owner)
