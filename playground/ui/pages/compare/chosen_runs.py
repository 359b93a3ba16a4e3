"""Which runs are compared, and how: what the session keeps, and its place in the URL."""

from collections.abc import Sequence

import streamlit as st

from playground import runs
from playground.comparison import curves, settings
from playground.config import ConfigError, flatten
from playground.plots.compare import AXES, MAX_RUNS
from playground.runs import RunError, RunFolder
from playground.ui.common import pickers, run_views, url
from playground.ui.common.escape import escape
from playground.ui.common.run_views import LABELS, View
from playground.ui.pages.compare.table import knob_value
from playground.ui.pages.runs import table

RUNS = "compare_runs"
MEASURES = {
    "test_accuracy": "Test accuracy",
    "val_accuracy": "Validation accuracy",
    "train_accuracy": "Training accuracy",
    "test_iou": "Test mean IoU",
    "val_iou": "Validation mean IoU",
    "test_boundary_f1": "Test boundary F1",
    "test_loss": "Test loss",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
}
VIEWS = {"pair": ("Two runs", "compare"), "luck": ("Significance", "casino"), "diagnosis": ("Diagnosis", "stethoscope")}
CHOICES = {"axis": tuple(AXES), "measure": tuple(MEASURES), "view": tuple(VIEWS)}
DEFAULTS = {"axis": "epoch", "view": "pair"}
"""Of the measure it depends on the runs, see `measures`."""
USUAL = "compare_usual"
"""The key of the session under which the measure is kept that is drawn unasked."""
PAIR = ("compare_a", "compare_b")
"""Keys of the session that hold the ids of the two runs that are looked at more closely."""


def follow_url() -> None:
    """Take runs and settings from the URL when it was changed from outside: a link, another page, back and forward."""
    params, state = st.query_params.to_dict(), st.session_state
    if url.take_changed("compare") and params:
        if "runs" in params:
            _take_runs([part for part in params["runs"].split(",") if part])
        for name, allowed in CHOICES.items():
            if params.get(name) in allowed:
                state[f"compare_{name}"] = params[name]
        if "measure" in params:
            state.pop(USUAL, None)  # asked for, even if it was the one drawn unasked till now
        for key, run_id in zip(PAIR, params.get("pair", "").split(","), strict=False):
            state[key] = run_id
    for name, value in DEFAULTS.items():
        state.setdefault(f"compare_{name}", value)
    if RUNS not in state:
        newest, demo = run_views.find_latest_finished(), runs.demo_run()
        state[RUNS] = [run.id for run in dict.fromkeys((newest, demo)) if run]


def _take_runs(named: Sequence[str]) -> None:
    known = []
    for run_id in dict.fromkeys(named):
        try:
            known.append(runs.open_run(run_id).id)
        except RunError as error:
            st.error(escape(str(error)), icon=":material/link_off:")
    if len(known) > MAX_RUNS:
        st.error(f"The link names {len(known)} runs; the first {MAX_RUNS} are shown.", icon=":material/link_off:")
    st.session_state[RUNS] = known[:MAX_RUNS]


def write_url(chosen: Sequence[RunFolder]) -> None:
    """Mirror the choice in the URL, so that a link shows the same; what is at its default is left out."""
    state = st.session_state
    query = {"runs": ",".join(run.id for run in chosen)} if chosen else {}
    usual = DEFAULTS | {"measure": state.get(USUAL)}
    query |= {
        name: state[f"compare_{name}"] for name in CHOICES if state.get(f"compare_{name}") not in (None, usual[name])
    }
    if len(chosen) > 2 and all(state.get(key) for key in PAIR):
        query["pair"] = ",".join(state[key] for key in PAIR)
    url.write_address("compare", query)


def measures(views: Sequence[View]) -> list[str]:
    """Return the measures that one of the runs has; the one that is drawn is among them.

    Unasked it is what the runs are judged by: the mean IoU if all of them label pixels, else the accuracy.
    """
    state, found = st.session_state, [curves.list_curves(view.run.config, view.feed.epochs) for view in views]
    offered = [name for name in MEASURES if any(name in names for names in found)]
    usual = "test_iou" if all("test_iou" in names for names in found) else "test_accuracy"
    drawn, before = state.get("compare_measure"), state.get(USUAL)
    if drawn not in offered or (drawn == before and before != usual):
        state["compare_measure"] = usual
    state[USUAL] = usual
    return offered


def present() -> list[RunFolder]:
    """Return the chosen runs that can be read; of the others say so, and choose them no more."""
    found = []
    for run_id in st.session_state[RUNS]:
        try:
            run = runs.open_run(run_id)
            run.config  # noqa: B018 - a run without knobs cannot be compared
            found.append(run)
        except (RunError, ConfigError) as error:
            st.error(escape(f"{run_id[:64]}: {error}"), icon=":material/error:")
    st.session_state[RUNS] = [run.id for run in found]
    return found


def _remember(known: Sequence[str]) -> None:
    st.session_state[RUNS] = [run_id for run_id in st.session_state["compare_picker"] if run_id in known]


def picker() -> None:
    """Let a person choose the runs: the newest, the demo, and those that are chosen already."""
    everything = runs.list_runs()
    chosen = set(st.session_state[RUNS])
    wanted = [run for i, run in enumerate(everything) if i < pickers.OFFERED or run.read_only or run.id in chosen]
    offered = [run for run in wanted if not table.row(run).damaged]
    labels = pickers.label_runs(offered)
    # As in the pickers of one run: labels follow the runs' states, so it is the ids that are kept.
    st.session_state["compare_picker"] = st.session_state[RUNS]
    st.multiselect(
        "Runs to compare",
        list(labels),
        format_func=lambda run_id: labels.get(run_id, run_id),
        key="compare_picker",
        on_change=_remember,
        args=(list(labels),),
        max_selections=MAX_RUNS,
        placeholder="Choose runs",
        help=f"Up to {MAX_RUNS}. Older runs are chosen on the Runs page: select them there and press Compare.",
    )


def names(chosen: Sequence[RunFolder]) -> list[str]:
    """Return a short label for each run, no two the same: its name, or for a run without one what sets it apart."""
    apart = settings.find_differences([run.config for run in chosen])
    found: list[str] = []
    for run in chosen:
        label = run.name
        if label == run.id and apart:
            flat = flatten(run.config)
            words = [f"{LABELS[name].lower()} {knob_value(name, flat[name])}" for name in list(apart)[:3]]
            label = ", ".join(words)
        found.append(label if label not in found else f"{label} ({run.id[-6:]})")
    return found


def numbers(chosen: Sequence[RunFolder]) -> list[int]:
    """Return the number of each run's colour, which it keeps for as long as it is chosen."""
    kept = curves.assign_colours(st.session_state.get("compare_colours", {}), [run.id for run in chosen])
    st.session_state["compare_colours"] = kept
    return [kept[run.id] for run in chosen]
