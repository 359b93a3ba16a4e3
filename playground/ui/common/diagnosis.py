"""Cards that say in plain words what may be wrong with a run."""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground import diagnosis
from playground.comparison import curves
from playground.config import KNOBS, ConfigError
from playground.data import catalog, store
from playground.data.catalog import DataError
from playground.data.splits import take_turns
from playground.diagnosis import Finding
from playground.errors import PlaygroundError
from playground.runs import RunError, RunFolder
from playground.tasks import TASKS
from playground.ui.common.escape import escape
from playground.ui.common.run_views import View
from playground.ui.pages.inside.context import key_of_weights, open_test_set

if TYPE_CHECKING:
    from playground.interpret.dead_units import UnitHealth

LOOKS = {"error": ("red", "error"), "warning": ("orange", "warning"), "info": ("blue", "info")}
EXAMINED = 500
"""Test images that the units are examined on; a unit that is flat for all of them may be called dead."""


@st.cache_resource(max_entries=256, show_spinner=False)
def _findings(path: str, version: int, _view: View) -> list[Finding]:
    config, feed = _view.run.config, _view.feed
    try:
        classes = _view.run.dataset.classes
    except RunError:
        classes = ()
    counts = count_classes(config.data.dataset)
    with _view.lock:
        return diagnosis.diagnose(config, feed.status, feed.progress, feed.epochs, feed.changes, classes, counts)


@st.cache_data(max_entries=256, show_spinner=False)
def count_classes(dataset: str) -> tuple[int, ...]:
    """Return how many training images each class of a data set has; nothing where that is not known here."""
    try:
        info = catalog.find_info(dataset)
        if TASKS[info.task].target == "mask" or not (info.bundled or catalog.is_ready(dataset)):
            return ()
        targets = np.asarray(store.open_arrays(dataset).train_targets, np.int64)
    except (DataError, OSError):
        return ()
    return tuple(np.bincount(targets, minlength=info.num_classes).tolist())


def find_findings(view: View) -> list[Finding]:
    """Return what a run's rows give away; nothing for one whose config cannot be read."""
    try:
        return _findings(str(view.run.path), view.feed.version, view)
    except (ConfigError, RunError):
        return []


@st.cache_resource(max_entries=64, show_spinner="Looking at the units …")
def _units(key: str, _run: RunFolder, epoch: int) -> "tuple[list[UnitHealth], list[UnitHealth]]":
    return examine_run(_run, epoch)


def examine_run(run: RunFolder, epoch: int) -> "tuple[list[UnitHealth], list[UnitHealth]]":
    """Examine a run's units on test images of all classes: with its first weights, and with those after an epoch.

    Raises:
        DataError, RunError, InferenceError, InterpretError: they cannot be examined; the first line says why.
    """
    from playground.inference.load import find_dataset, load_model
    from playground.interpret.dead_units import examine_layers
    from playground.interpret.network import Budget

    _, mean, std = find_dataset(run)
    data = open_test_set(run)
    rows = take_turns(np.asarray(data.test_targets), EXAMINED)
    images = np.asarray(data.test_images[rows])
    first, last = (
        examine_layers(load_model(run, e), images, mean, std, Budget(seconds=5)) for e in (run.epochs()[0], epoch)
    )
    return first, last


def _examined(view: View, key: str) -> "tuple[list[UnitHealth], list[UnitHealth]] | None":
    """Return the units with the first weights and with those of the last kept epoch; None where they are not known.

    It takes torch and two passes over images, so it is done when a person asks.
    """
    epochs = view.run.epochs()
    if not epochs or st.session_state.get(f"{key}_units") != (view.run.id, epochs[-1]):
        return None
    try:
        return _units(key_of_weights(view.run, epochs[-1]), view.run, epochs[-1])
    except PlaygroundError as error:
        st.caption(f"Dead units cannot be looked for: {escape(str(error))}")
        return None


def card(finding: Finding) -> None:
    """Draw one finding."""
    colour, icon = LOOKS[finding.severity]
    with st.container(border=True, gap="xsmall"):
        st.markdown(f":{colour}[:material/{icon}: **{finding.title}**] · {escape(finding.evidence)}")
        st.caption(f":material/tune: **{KNOBS[finding.knob].label}** — {finding.advice}")


def _ask(key: str, run: RunFolder) -> None:
    st.session_state[f"{key}_units"] = (run.id, run.epochs()[-1])


def draw_cards(view: View, *, key: str) -> None:
    """Draw what may be wrong with a run, or that nothing is; and a button that examines its units.

    Args:
        view: the run, as it is read.
        key: tells these cards from others on the page.
    """
    found, feed = find_findings(view), view.feed
    units = _examined(view, key)
    if units:
        found = found + diagnosis.examine_units(*units, view.run.epochs()[-1], found)
    for finding in found:
        card(finding)
    if not any(row.epoch > 0 for row in feed.epochs):
        if not found:
            text = "Too early to tell." if feed.status.active else "Not examined: it has no figures of an epoch."
            st.caption(f":material/hourglass_empty: {text}")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if not found:
            text = diagnosis.explain_silence(view.run.config, view.status, feed.epochs, feed.changes)
            icon = "check_circle" if text.startswith(diagnosis.SOUND) else "hourglass_empty"
            st.caption(f":material/{icon}: {text}", width="content")
        if "inside" not in curves.find_task(view.run.config, feed.epochs).pages or not view.run.epochs():
            return
        if units:
            st.caption(diagnosis.summarise_units(*units), width="content")
            return
        st.caption("Its units were not examined.", width="content")
        st.button(
            "Look for dead units",
            icon=":material/search:",
            key=f"{key}_examine",
            type="tertiary",
            on_click=_ask,
            args=(key, view.run),
            help=f"Runs {EXAMINED} test images of all classes through the first and the latest weights, and looks "
            "for units that died or were saturated meanwhile.",
        )
