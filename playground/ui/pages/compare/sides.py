"""The two runs that are looked at more closely, each at its best or its last epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from playground.comparison import curves
from playground.runs import RunError, RunFolder
from playground.tasks import TASKS, Task
from playground.ui.common.escape import escape
from playground.ui.common.run_views import View
from playground.ui.pages.compare.chosen_runs import PAIR


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        letter: "A" or "B"; name: the run's label.
        epoch: after which it is judged.
        probs: (N, num_classes) float32 over the test images of its `predictions_dataset`; None where none are kept, or
            where pixels are labelled.
        counts: its confusion matrix as training counted it.
        task: what it is asked for; masks: (n, H, W) uint8 of the first test images, None where none are kept.
    """

    letter: str
    name: str
    run: RunFolder
    epoch: int
    probs: np.ndarray | None
    counts: np.ndarray
    task: Task = TASKS["classification"]
    masks: np.ndarray | None = None


@st.cache_resource(max_entries=32, show_spinner=False)
def _predictions(path: str, epoch: int, written: int, masks: bool) -> np.ndarray:
    run = RunFolder(Path(path))
    return run.masks(epoch) if masks else run.predictions(epoch)


def look_at(view: View, letter: str, name: str, best: bool) -> Side | None:
    """Return a run at its best or its last epoch; None before its first one. Damaged predictions count as none."""
    rows = {row.epoch: row for row in view.feed.epochs}
    if not rows:
        return None
    top = view.status.best_epoch
    epoch: int = top if best and top is not None and top in rows else max(rows)
    kept = [one for one in view.run.predicted_epochs() if one in rows]
    if kept and epoch not in kept:  # long runs thin out what they keep
        distance = [abs(one - epoch) for one in kept]
        epoch = kept[distance.index(min(distance))]
    said, task = None, curves.find_task(view.run.config, view.feed.epochs)
    if kept:
        try:
            written = view.run.prediction_file(epoch).stat().st_mtime_ns
            said = _predictions(str(view.run.path), epoch, written, task.target == "mask")
        except (RunError, OSError) as error:
            st.caption(f":material/warning: {escape(str(error))}")
    counts = np.array(rows[epoch].confusion, np.int64)
    probs, masks = (None, said) if task.target == "mask" else (said, None)
    return Side(letter, name, view.run, epoch, probs, counts, task, masks)


def choose(views: Sequence[View], names: Sequence[str]) -> tuple[Side | None, Side | None]:
    """Let a person choose A and B among the runs, and whether their best or their last epochs are compared."""
    ids, state = [view.run.id for view in views], st.session_state
    for i, key in enumerate(PAIR):
        if state.get(key) not in ids or (i and state[key] == state[PAIR[0]]):
            state[key] = next((run_id for run_id in ids if not i or run_id != state[PAIR[0]]), ids[0])
    labels = dict(zip(ids, names, strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="compare_pair"):
        for letter, key in zip("AB", PAIR, strict=True):
            options = ids if letter == "A" else [run_id for run_id in ids if run_id != state[PAIR[0]]]
            st.selectbox(
                letter,
                options,
                format_func=lambda run_id: labels.get(run_id, run_id),
                key=key,
                persist_state="session",
                help="One of the two runs that are held against each other.",
            )
        best = (
            st.segmented_control(
                "After",
                ["Best epoch", "Last epoch"],
                key="compare_which",
                default="Best epoch",
                required=True,
                persist_state="session",
                help="The best is the one of the highest validation accuracy, or test accuracy if none is held back; "
                "of runs that label pixels, of the highest mean IoU.",
            )
            != "Last epoch"
        )
    chosen = [ids.index(state[key]) for key in PAIR]
    a, b = (look_at(views[i], letter, names[i], best) for letter, i in zip("AB", chosen, strict=True))
    return a, b
