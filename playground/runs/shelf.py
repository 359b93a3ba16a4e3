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
from playground.runs.folder import DEMO, RunError, RunFolder
from playground.runs.status import Status

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def create(
    config: RunConfig,
    name: str = "",
    note: str = "",
    parent: str | None = None,
    study: str | None = None,
    member: int | None = None,
) -> RunFolder:
    """Make a new run folder, state `queued`; it appears as a whole or not at all.

    Args:
        config: its knobs; name, note: what it is called, and what a person wrote about it.
        parent: the id of the run it came from.
        study, member: the id of the study it belongs to, and its number in it.
    """
    now = time.time()
    run_id = time.strftime("%Y%m%d-%H%M%S", time.localtime(now)) + f"-{secrets.token_hex(3)}"
    folder = runs_folder()
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    about = {"name": " ".join(name.split())[:100], "note": note, "parent": parent, "created": now}
    about |= {"study": study, "member": member} if study else {}
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


def demo_run() -> RunFolder | None:
    """Return the bundled run."""
    return RunFolder(DEMO) if (DEMO / "config.json").exists() else None


def list_runs() -> list[RunFolder]:
    """Return all runs, newest first, the bundled one last. Reads names only."""
    with os.scandir(runs_folder()) as entries:
        names = sorted((e.name for e in entries if _SAFE_ID.fullmatch(e.name)), reverse=True)
    runs = [RunFolder(runs_folder() / name) for name in names]
    demo = demo_run()
    return [*runs, demo] if demo else runs


def open_run(run_id: str) -> RunFolder:
    """Return a run by its id ("demo" is the bundled one).

    Raises:
        RunError: there is none.
    """
    if run_id == DEMO.name and (demo := demo_run()):
        return demo
    if _SAFE_ID.fullmatch(run_id) and (runs_folder() / run_id / "config.json").exists():
        return RunFolder(runs_folder() / run_id)
    raise RunError(f"there is no run {run_id[:64]!r}; it may have been deleted")
