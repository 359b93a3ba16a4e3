"""Cards that say in plain words what may be wrong with a run."""

import sys
from typing import TYPE_CHECKING

import streamlit as st

from playground import compare, diagnosis
from playground.config import KNOBS, ConfigError
from playground.diagnosis import Finding
from playground.runs import RunError, RunFolder
from playground.ui.feeds import View
from playground.ui.inside.scene import test_set, weights_key

if TYPE_CHECKING:
    from playground.interpret.health import Health

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
    with _view.lock:
        return diagnosis.diagnose(config, feed.status, feed.progress, feed.epochs, feed.changes, classes)


def findings(view: View) -> list[Finding]:
    """Return what a run's rows give away; nothing for one whose config cannot be read."""
    try:
        return _findings(str(view.run.path), view.feed.version, view)
    except (ConfigError, RunError):
        return []


@st.cache_resource(max_entries=64, show_spinner="Looking at the units …")
def _units(key: str, _run: RunFolder, epoch: int) -> list[Finding]:
    from playground.inference import dataset_of, load_model
    from playground.interpret.health import health
    from playground.interpret.network import Budget

    _, mean, std = dataset_of(_run)
    net, images = load_model(_run, epoch), test_set(_run).test_images[:EXAMINED]
    found: list[Health] = health(net, images, mean, std, Budget(seconds=5))
    return diagnosis.examine_units(found, epoch)


def _examined(view: View, key: str) -> list[Finding] | None:
    """Return what the weights of the last kept epoch give away; None where nobody has asked for it.

    It takes torch and a pass over images, so it is done for a run that is over on a server that has torch at hand, and
    else when a person asks for it. A network that labels pixels is no chain of layers, and cannot be looked into.
    """
    if compare.labels_pixels(view.run.config, view.feed.epochs):
        return []
    epochs, asked = view.run.epochs(), f"{key}_units"
    if not epochs:
        return None
    at_hand = "torch" in sys.modules and view.status.state == "finished"
    if not at_hand and st.session_state.get(asked) != (view.run.id, epochs[-1]):
        return None
    try:
        return _units(weights_key(view.run, epochs[-1]), view.run, epochs[-1])
    except ValueError as error:  # DataError, RunError, InferenceError, InterpretError
        st.caption(f"Dead units cannot be looked for: {str(error).splitlines()[0]}")
        return []


def card(finding: Finding) -> None:
    """Draw one finding."""
    colour, icon = LOOKS[finding.severity]
    with st.container(border=True, gap="xsmall"):
        st.markdown(f":{colour}[:material/{icon}: **{finding.title}**] · {finding.evidence}")
        st.caption(f":material/tune: **{KNOBS[finding.knob].label}** — {finding.advice}")


def _ask(key: str, run: RunFolder) -> None:
    st.session_state[f"{key}_units"] = (run.id, run.epochs()[-1])


def cards(view: View, *, key: str) -> None:
    """Draw what may be wrong with a run, or that nothing is; and a button that examines its units.

    Args:
        view: the run, as it is read.
        key: tells these cards from others on the page.
    """
    units = _examined(view, key)
    found = findings(view) + (units or [])
    for finding in found:
        card(finding)
    trained = any(row.epoch > 0 for row in view.feed.epochs)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if not found and trained:
            st.caption(":material/check_circle: Nothing looks wrong.", width="content")
        if units is None and trained and view.run.epochs():
            st.button(
                "Look for dead units",
                icon=":material/search:",
                key=f"{key}_examine",
                type="tertiary",
                on_click=_ask,
                args=(key, view.run),
                help=f"Runs {EXAMINED} test images through the latest weights; it finds dead and saturated units.",
            )
