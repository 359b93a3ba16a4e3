"""All runs of this home: making, listing and finding them."""

import json
import os
import re
import secrets
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from playground.config import RunConfig
from playground.home import home
from playground.people import MACHINE
from playground.runs.files import RunError
from playground.runs.folder import DEMO, RunFolder
from playground.runs.status import Status

TASKS = ("classification", "segmentation")
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def create(
    config: RunConfig,
    name: str = "",
    note: str = "",
    parent: str | None = None,
    study: str | None = None,
    member: int | None = None,
    owner: str = MACHINE,
) -> RunFolder:
    """Make a new run folder, state `queued`; it appears as a whole or not at all.

    Args:
        config: its knobs; name, note: what it is called, and what a person wrote about it.
        parent: the id of the run it came from.
        study, member: the id of the study it belongs to, and its number in it.
        owner: the person who makes it.
    """
    now = time.time()
    run_id = time.strftime("%Y%m%d-%H%M%S", time.localtime(now)) + f"-{secrets.token_hex(3)}"
    folder = runs_folder()
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    about = {"name": " ".join(name.split())[:100], "note": note, "parent": parent, "created": now}
    about |= {"study": study, "member": member} if study else {}
    about |= {"owner": owner} if owner else {}
    (draft / "config.json").write_text(config.model_dump_json(indent=1) + "\n")
    (draft / "about.json").write_text(json.dumps(about, indent=1))
    (draft / "status.json").write_text(json.dumps(asdict(Status(epochs=config.training.epochs))))
    (draft / "lock").touch()
    draft.chmod(0o755)
    os.replace(draft, folder / run_id)
    return RunFolder(folder / run_id)


def runs_folder() -> Path:
    """Return the folder that holds the runs, made if need be."""
    folder = home() / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def demo_run(task: str = "classification") -> RunFolder | None:
    """Return the bundled run of a task; None if it is not there."""
    path = DEMO if task == "classification" else DEMO.with_name(f"{DEMO.name}-{task}")
    return RunFolder(path) if (path / "config.json").exists() else None


def list_runs() -> list[RunFolder]:
    """Return all runs, newest first, the bundled ones last. Reads names only."""
    folder = runs_folder()
    with os.scandir(folder) as entries:
        names = sorted((e.name for e in entries if _SAFE_ID.fullmatch(e.name)), reverse=True)
    runs = [RunFolder(f"{folder}{os.sep}{name}") for name in names]
    return [*runs, *(demo for demo in map(demo_run, TASKS) if demo)]


def open_run(run_id: str) -> RunFolder:
    """Return a run by its id ("demo" and "demo-segmentation" are the bundled ones).

    Raises:
        RunError: there is none.
    """
    for demo in map(demo_run, TASKS):
        if demo and demo.id == run_id:
            return demo
    if _SAFE_ID.fullmatch(run_id) and (runs_folder() / run_id / "config.json").exists():
        return RunFolder(runs_folder() / run_id)
    raise RunError(f"there is no run {run_id[:64]!r}; it may have been deleted")
