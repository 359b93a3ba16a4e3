"""Choosing what a page is about: a run, and an epoch of it."""

import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from playground import runs
from playground.config import ConfigError
from playground.data.catalog import DataError
from playground.runs import RunError, RunFolder, Status, list_runs, open_run, usable_runs
from playground.tasks import TASKS, Task, of_page
from playground.ui.common import session, url
from playground.ui.common.escape import escape
from playground.ui.pages.runs import table

NOTHING: Mapping[str, url.Part] = {}
OFFERED = 200
"""Runs in a run picker, the newest; older ones are opened from the shelf."""
HOLD = 3.0
"""Seconds for which an epoch slider that a person has moved is left alone, whatever epochs come in meanwhile."""


def find_default_run(task: Task) -> str:
    """Return the run that is shown unasked: the one on the Train page, or the demo, or the newest with weights."""
    if shown := session.RUN.get():
        with contextlib.suppress(RunError):
            run = open_run(shown)
            if run.epochs() and find_task(run) is task:
                return shown
    if demo := runs.demo_run(task.name):
        return demo.id
    newest = itertools.islice(usable_runs(), OFFERED)
    return next((run.id for run in newest if run.epochs() and find_task(run) is task), "")


@st.cache_data(max_entries=20_000, show_spinner=False)
def _task(path: str) -> str:
    # The config of a run never changes, and its data set keeps its task.
    return RunFolder(Path(path)).dataset.task


def find_task(run: RunFolder) -> Task:
    """Return a run's task; what most are asked for, where its data set is not known here."""
    try:
        return TASKS[_task(str(run.path))]
    except (RunError, ConfigError, DataError):
        return TASKS["classification"]


def format_percent(share: float | None, digits: int = 1) -> str:
    """Write a fraction for people: 0.813 as "81.3 %"; nothing for None."""
    return "" if share is None else f"{100 * share:.{digits}f} %"


def format_score(status: Status) -> str:
    """Return what a run is known by, with the metric and the split: "validation accuracy 81.3 %"."""
    return "" if status.best_score is None else f"{status.best_label} {format_percent(status.best_score)}"


def format_ago(moment: float | None) -> str:
    """Write how long ago a moment is, roughly: "3 min ago"."""
    if not moment:
        return ""
    seconds = max(0.0, time.time() - moment)
    for unit, size in (("day", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''} ago"
    return "just now"


# Runs


def _describe(run: RunFolder) -> str:
    status = run.status()
    # While it trains its accuracy would change the label at each look, and the browser knows a choice by its label.
    best = "" if status.active else format_score(status)
    return " · ".join(part for part in (run.name, status.state, best) if part)


def label_runs(offered: list[RunFolder]) -> dict[str, str]:
    """Return {id: label}, no two labels the same: the browser knows a choice by its label alone."""
    labels: dict[str, str] = {}
    for run in offered:
        label = _describe(run)
        labels[run.id] = f"{label} ({run.id})" if label in labels.values() else label
    return labels


def _remember(state: str, widget: str, known: list[str]) -> None:
    if st.session_state[widget] in known:  # not so if a label changed between the drawing and the click
        st.session_state[state] = st.session_state[widget]


def pick_run(label: str, state: str, *, tasks: Sequence[Task] = (), help: str | None = None) -> RunFolder | None:
    """Let a person choose a run, newest first, the bundled ones last; None if there is none.

    Args:
        label: what it is for.
        state: the key of the session under which the run's id is kept; set it beforehand to choose for the person.
        tasks: offer the runs of these alone; of all if there are none.
        help: a tooltip.
    """
    tasks = tasks or list(TASKS.values())
    known = list_runs()
    chosen = next((run for run in known if run.id == st.session_state.get(state)), None)
    bundled = [run for run in known if run.read_only]
    offered = [run for run in known[:OFFERED] if find_task(run) in tasks and not table.row(run).damaged]
    if chosen and (other := find_task(chosen)) not in tasks:
        where = f"it is shown on the page {other.pages[0].capitalize()}"
        st.info(f"{escape(chosen.name)} labels {other.labelled}; {where}.", icon=":material/info:")
        chosen = None
    more = [run for run in [*bundled, chosen] if run and run not in offered and not table.row(run).damaged]
    offered += [run for run in more if find_task(run) in tasks]
    if not offered:
        what = " or ".join(task.labelled for task in tasks)
        st.info(f"There is no run that labels {what} yet; train one.", icon=":material/info:")
        return None
    labels, widget = label_runs(offered), f"{state}_widget"
    # Labels follow the runs' states, so the widget's own memory of a label would go stale: the id is what is kept.
    st.session_state[state] = st.session_state[widget] = (chosen or offered[0]).id
    st.selectbox(
        label,
        list(labels),
        format_func=lambda run_id: labels.get(run_id, run_id),
        key=widget,
        on_change=_remember,
        args=(state, widget, list(labels)),
        help=help,
    )
    return open_run(st.session_state[state])


def choose_epoch(state: str, epoch: int | None) -> None:
    """Set the slider for the person, before it is drawn: to an epoch, or with None to follow the end."""
    st.session_state[state] = epoch
    st.session_state[f"{state}_turn"] = st.session_state.get(f"{state}_turn", 0) + 1


def pick_epoch(run: RunFolder, state: str) -> int | None:
    """Let a person choose one of the kept epochs; None while there is none.

    Until one is chosen, or when the last is, the choice follows the end while the run trains.

    Args:
        run: The run.
        state: the key of the session under which the epoch is kept; None in it follows the end.
    """
    epochs = run.epochs()
    if not epochs:
        return None
    chosen = st.session_state.get(state)
    if isinstance(chosen, int) and chosen not in epochs:  # long runs thin out what they keep
        distance = [abs(epoch - chosen) for epoch in epochs]
        chosen = st.session_state[state] = epochs[distance.index(min(distance))]
    if len(epochs) == 1:
        st.caption(f"Epoch {epochs[0]}, the only one so far")
        return epochs[0]
    offered = _held(run, state, epochs) or epochs
    shown = offered[-1] if chosen is None else chosen
    # A new slider for each new epoch: to move an old one from here, several times a second perhaps, would race with the
    # browser, which reports back where it stood before.
    widget = f"{state}_{run.id}_{offered[-1]}_{st.session_state.get(f'{state}_turn', 0)}"

    def remember() -> None:
        epoch = st.session_state[widget]
        st.session_state[state] = None if epoch == offered[-1] else epoch
        st.session_state[f"{state}_held"] = (time.monotonic() + HOLD, run.id, offered)

    st.select_slider(
        "Epoch",
        offered,
        shown,
        key=widget,
        on_change=remember,
        help="The weights after so many passes over the training images; 0 is the untrained network. "
        "At the right end it follows a run that trains.",
    )
    return shown


def _held(run: RunFolder, state: str, epochs: list[int]) -> list[int] | None:
    """Return the epochs of the slider that a person may be dragging: a new one would take it out of their hand."""
    until, run_id, offered = st.session_state.get(f"{state}_held", (0.0, "", []))
    stands = run_id == run.id and set(offered) <= set(epochs) and st.session_state.get(state) in (None, *offered)
    # Once the run has ended nothing draws the slider again, so it must be the last one.
    return offered if stands and time.monotonic() < until and run.status().active else None


# A page about one run at one epoch, under the keys "PAGE_run" and "PAGE_epoch" of the session


def follow_url(page: str, parts: Mapping[str, url.Part] = NOTHING) -> bool:
    """Take run and epoch from the URL when it was changed from outside: a link, another page, back and forward.

    Before one was chosen, the run is the default of the task that is at home on the page, or of another that it shows.

    Args:
        page: its name.
        parts: what else the URL tells of.

    Returns:
        Whether the URL was taken.
    """
    params = st.query_params.to_dict()
    taken = url.take_changed(page) and bool(params)
    if taken:
        url.take_parts(parts)
        if named := params.get("run"):
            try:
                st.session_state[f"{page}_run"] = open_run(named).id
            except RunError as error:
                st.error(escape(str(error)), icon=":material/error:")
        epoch = params.get("epoch", "")
        choose_epoch(f"{page}_epoch", int(epoch) if epoch.isdecimal() and len(epoch) < 5 else None)
    if not st.session_state.get(f"{page}_run"):
        st.session_state[f"{page}_run"] = next(filter(None, map(find_default_run, of_page(page))), "")
    return taken


def write_url(page: str, run: RunFolder, parts: Mapping[str, url.Part] = NOTHING) -> None:
    """Mirror the choice in the URL, so that a link shows the same; see `follow_url`."""
    query = {"run": run.id}
    if (epoch := st.session_state.get(f"{page}_epoch")) is not None:
        query["epoch"] = str(epoch)
    url.write_address(page, query | url.read_parts(parts))
