"""Runs as the pages read them: one reader a run and one figure a change, however many people watch."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from playground import plots
from playground.config import KNOBS, ConfigError, RunConfig, from_flat
from playground.runs import RunFolder, RunReader, Status, list_runs

FRESH = 0.1
"""Seconds for which what was read is new enough for the next viewer."""
LABELS = {name: knob.label.split(" (")[0] for name, knob in KNOBS.items()}


@dataclass
class View:
    """What one reader knows of a run, taken under its lock, so that the columns fit together."""

    run: RunFolder
    feed: RunReader
    lock: threading.Lock = field(default_factory=threading.Lock)
    read_at: float = -1.0

    def update(self) -> int:
        """Read what is new, unless somebody just did; returns the version."""
        with self.lock:
            if time.monotonic() - self.read_at > FRESH:
                self.feed.update()
                self.read_at = time.monotonic()
            return self.feed.version

    @property
    def status(self) -> Status:
        return self.feed.status

    @property
    def config(self) -> RunConfig:
        """The run's knobs, with the values they were changed to on the way."""
        changed = {row.knob: row.new for row in self.feed.changes}
        try:
            return from_flat(changed, self.run.config)
        except ConfigError:
            return self.run.config

    @property
    def images_per_second(self) -> float:
        """How fast it has trained lately; 0 before its first report."""
        lately = self.feed.progress.get("images_per_second", [])[-plots.STEADY :]
        return float(plots.take_running_median(np.asarray(lately, float))[-1]) if len(lately) else 0.0

    @property
    def latest_epoch(self) -> float:
        """Passes over the training images, as a fraction."""
        return max([*self.feed.progress.get("epoch", [])[-1:], *(row.epoch for row in self.feed.epochs[-1:]), 0.0])

    def figures(self, **options: Any) -> dict[str, plots.Figure]:
        """Return the four curves; see `plots.draw_curves`."""
        with self.lock:
            return plots.draw_curves(
                self.feed.progress,
                self.feed.epochs,
                self.feed.changes,
                total_epochs=self.status.epochs or self.run.config.training.epochs,
                revision=self.run.id,
                labels=LABELS,
                **options,
            )


@st.cache_resource(max_entries=64, show_spinner=False)
def _view(path: str) -> View:
    run = RunFolder(Path(path))
    return View(run, RunReader(run))


def watch_run(run: RunFolder) -> View:
    """Return the run's reader, up to date."""
    view = _view(str(run.path))
    view.update()
    return view


@st.cache_resource(max_entries=64, show_spinner=False)
def _figures(path: str, version: int, options: tuple[tuple[str, Any], ...]) -> dict[str, plots.Figure]:
    return _view(path).figures(**dict(options))


def draw_figures(view: View, **options: Any) -> tuple[dict[str, plots.Figure], str]:
    """Return the run's curves and what changes whenever they do."""
    version, chosen = view.feed.version, tuple(sorted(options.items()))
    return _figures(str(view.run.path), version, chosen), f"{view.run.id} {version} {chosen}"


def find_latest_run(owner: str, active: bool = False) -> RunFolder | None:
    """Return a person's newest run, those of studies aside; or the newest that waits, works or is paused."""
    mine = [run for run in list_runs()[:200] if not run.read_only and run.owner == owner and not run.damage]
    wanted = [run for run in mine if (run.status().active if active else not run.about.study)]
    return max(wanted, key=lambda run: run.about.created, default=None)


def find_latest_finished() -> RunFolder | None:
    """Return the newest finished run."""
    return next((run for run in list_runs()[:50] if run.status().state == "finished" and not run.damage), None)
