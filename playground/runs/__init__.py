"""Runs on disk: a run is a folder, and these modules alone know what is in it."""

from playground.runs.archives import export_zip, import_zip
from playground.runs.feed import Feed
from playground.runs.folder import ACTIVE, RESUMABLE, RunError, RunFolder, Status, write_atomic
from playground.runs.shelf import create, demo_run, list_runs, open_run, runs_folder

__all__ = [
    "ACTIVE",
    "RESUMABLE",
    "Feed",
    "RunError",
    "RunFolder",
    "Status",
    "create",
    "demo_run",
    "export_zip",
    "import_zip",
    "list_runs",
    "open_run",
    "runs_folder",
    "write_atomic",
]
