"""Runs on disk: a run is a folder, and these modules alone know what is in it."""

from playground.runs.archives import export_zip, import_zip
from playground.runs.feed import Feed
from playground.runs.files import RunError, write_atomic
from playground.runs.folder import RunFolder
from playground.runs.shelf import create, demo_run, list_runs, open_run, runs_folder
from playground.runs.status import ACTIVE, RESUMABLE, Status

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
