"""Runs on disk: a run is a folder, and these modules alone know what is in it."""

from playground.runs.archive import export_zip, import_runs, import_zip
from playground.runs.files import DamagedError, RunError, write_atomic
from playground.runs.folder import RunFolder
from playground.runs.reader import RunReader
from playground.runs.registry import create_run, demo_run, find_run, list_runs, open_run, runs_folder, usable_runs
from playground.runs.rows import Resumed, Row
from playground.runs.status import ACTIVE, METRICS, RESUMABLE, SPLITS, Status
from playground.runs.trash import empty_trash, list_trash, restore_run

__all__ = [
    "ACTIVE",
    "METRICS",
    "RESUMABLE",
    "SPLITS",
    "DamagedError",
    "Resumed",
    "Row",
    "RunError",
    "RunFolder",
    "RunReader",
    "Status",
    "create_run",
    "demo_run",
    "empty_trash",
    "export_zip",
    "find_run",
    "import_runs",
    "import_zip",
    "list_runs",
    "list_trash",
    "open_run",
    "restore_run",
    "runs_folder",
    "usable_runs",
    "write_atomic",
]
