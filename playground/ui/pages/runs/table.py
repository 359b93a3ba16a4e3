"""The shelf of runs as rows: read once, kept while nothing changes, so that ten thousand stay quick."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass

import streamlit as st

from playground.config import KNOBS, RunConfig, diff
from playground.data.store import title_of
from playground.people import may_change
from playground.runs import METRICS, RESUMABLE, DamagedError, RunFolder, Status
from playground.runs.about import About

KEPT_ROWS = 20_000
GROUPS: dict[str, frozenset[str]] = {
    "All": frozenset(),
    "At work": frozenset({"queued", "preparing", "running", "paused"}),
    "Finished": frozenset({"finished"}),
    "Ended early": frozenset({"stopped", "interrupted", "diverged", "failed", "died", "damaged"}),
}
"""What the states are filtered by; no states mean all."""


@dataclass(frozen=True)
class Row:
    """What the shelf says of a run.

    Attributes:
        knobs: the knobs that differ from the default, in words; for a damaged config, what is wrong with it.
        best, test: the metric on the validation and the test images after the epoch that validation chose, as
            fractions; of a run that holds no images back, nothing and the test score of its last epoch.
        metric: "accuracy" or "mean IoU".
        state: one of `BADGES`.
    """

    id: str
    name: str
    note: str
    created: float
    read_only: bool
    knobs: tuple[str, ...]
    state: str
    message: str
    epoch: int
    epochs: int
    seconds: float
    metric: str
    best: float | None
    test: float | None
    parameters: int
    owner: str

    def may_change(self, by: str) -> bool:
        """Whether a person may change it."""
        return not self.read_only and may_change(self.owner, by)

    @property
    def damaged(self) -> bool:
        return self.state == "damaged"

    @property
    def active(self) -> bool:
        return self.state in GROUPS["At work"]

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE and not self.read_only

    @property
    def text(self) -> str:
        """All that a search looks at, in small letters."""
        return "\n".join((self.name, self.note, self.id, self.state, *self.knobs)).lower()


def knob_words(config: RunConfig) -> tuple[str, ...]:
    """Say which knobs differ from the default: "learning rate 0.01", "batch norm", "no flip"."""
    words = []
    for name, (_, value) in diff(RunConfig(), config).items():
        plain = name.replace("_", " ")
        if name == "dataset":
            words.append(f"data set {title_of(value)}")
        elif isinstance(value, bool):
            words.append(plain if value else f"no {plain}")
        else:
            words.append(f"{plain} {f'{value:g}' if isinstance(value, float) else KNOBS[name].format(value)}")
    return tuple(words)


def _read(run: RunFolder) -> Row:
    status, about, knobs = run.status(), About(), ()
    with suppress(DamagedError):
        about = run.about
    if damage := run.damage:
        status = Status("damaged", damage)
    else:
        knobs = knob_words(run.config)
    return Row(
        id=run.id,
        name=about.name or run.id,
        note=about.note,
        created=about.created,
        read_only=run.read_only,
        knobs=knobs,
        state=status.state,
        message=status.message,
        epoch=status.epoch,
        epochs=status.epochs,
        seconds=status.seconds,
        metric=METRICS[status.metric],
        best=status.best_score if status.best_split == "val" else None,
        test=status.test_score,
        parameters=status.parameters,
        owner=about.owner,
    )


@st.cache_resource(max_entries=1, show_spinner=False)
def _known() -> dict[str, tuple[tuple[int, ...], Row]]:
    """What was read, by folder, with the times of the files it was read from; shared by all who look."""
    return {}


def _written(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def row(run: RunFolder) -> Row:
    """Return a run's row; read again only if its files changed, or if its worker may have died since."""
    known, path = _known(), str(run.path)
    # Nothing changes a config; but it may be damaged or taken away.
    stamp = tuple(_written(f"{path}/{name}.json") for name in ("status", "about", "config"))
    found = known.get(path)
    if found and found[0] == stamp and not found[1].active:
        return found[1]
    fresh = _read(run)
    if len(known) >= KEPT_ROWS:
        known.clear()
    known[path] = (stamp, fresh)
    return fresh


SORTS: dict[str, Callable[[Row], tuple] | None] = {
    "Newest": None,
    "Best validation": lambda row: (-(row.best if row.best is not None else -1), row.name.lower()),
    "Name": lambda row: (row.name.lower(),),
    "Longest": lambda row: (-row.seconds,),
    "Most parameters": lambda row: (-row.parameters,),
}


def select(runs: Sequence[RunFolder], text: str = "", group: str = "All", sort: str = "Newest") -> list[RunFolder]:
    """Return the runs that pass the filters, sorted. Reads nothing while there is no filter and the newest come first.

    Args:
        runs: newest first.
        text: all of its words are looked for in name, note, knobs and state.
        group: a key of `GROUPS`.
        sort: a key of `SORTS`.
    """
    words, states, key = text.lower().split(), GROUPS[group], SORTS[sort]
    if not words and not states and key is None:
        return list(runs)
    with st.spinner("Reading the runs …") if len(runs) - len(_known()) > 500 else nullcontext():
        rows = [row(run) for run in runs]
    kept = [
        (run, found)
        for run, found in zip(runs, rows, strict=True)
        if (not states or found.state in states) and (not words or all(word in found.text for word in words))
    ]
    if key is not None:
        kept.sort(key=lambda pair: key(pair[1]))
    return [run for run, _ in kept]
