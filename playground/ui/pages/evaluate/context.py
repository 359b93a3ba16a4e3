"""What the page judges, read once for everybody who looks at the same.

All caches are bounded and keyed by the run, the epoch, when its file was written, and the data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground.data import catalog
from playground.data.catalog import DataError
from playground.data.store import Arrays
from playground.metrics.predictions import Predictions
from playground.runs import RunError, RunFolder
from playground.runs.predictions import read_predictions
from playground.ui.common import run_views
from playground.ui.pages.inside.context import key_of_weights, open_test_set

if TYPE_CHECKING:
    from playground.metrics.hardest import History
    from playground.metrics.ranking import Ranking


@dataclass(frozen=True, eq=False)
class PageContext:
    """A run at an epoch, and what is known of its answers.

    Attributes:
        classes: the K names.
        counts: (K, K), the confusion matrix: row = true class, column = predicted class.
        answers: the probabilities behind it; None where they are not known.
        data: the data set whose test images they are of; None where it is not on this machine.
        why: one line that says why there are no answers; "" where there are.
        written: changes whenever the epoch's file or the data set does.
    """

    run: RunFolder
    epoch: int
    classes: tuple[str, ...]
    counts: np.ndarray
    answers: Predictions | None
    data: Arrays | None
    why: str
    written: str

    @cached_property
    def key(self) -> str:
        """Changes with whatever is judged."""
        return f"{self.run.path} {self.epoch} {self.written} {hash(self.counts.tobytes())}"

    @property
    def images(self) -> str:
        """What the images are called: "test images of CIFAR-10"."""
        return f"test images of {self.data.info.title}" if self.data and self.answers else "test images"


def load_context(run: RunFolder, epoch: int) -> PageContext:
    """Put together what is judged. Without the images or the predictions the counts are those of the run's own rows.

    Raises:
        RunError: nothing at all is known of this epoch's answers.
    """
    data, answers, why, written = None, None, "", ""
    try:
        data = open_test_set(run)
        written = _written(run, epoch, data)
        answers = _answers(f"{run.path} {epoch} {written}", run, epoch, data)
    except DataError as error:
        why = f"{error}. The numbers below were counted while the run trained."
    except RunError as error:
        why = f"{error}."
    if answers and data:
        return PageContext(run, epoch, data.info.classes, answers.confusion, answers, data, "", written)
    counts = _counted(run, epoch)
    if counts is None:
        raise RunError(why.removesuffix(" The numbers below were counted while the run trained."))
    return PageContext(run, epoch, _names(run, len(counts)), counts, None, data, why, written)


def _written(run: RunFolder, epoch: int, data: Arrays) -> str:
    """Return what changes whenever the file of predictions or the data set does."""
    stamps = []
    for file in (run.prediction_file(epoch), catalog.find_folder(data.info.name) / "info.json"):
        try:
            stamps.append(str(file.stat().st_mtime_ns))
        except OSError:
            stamps.append("none")
    return f"{data.info.name} {' '.join(stamps)}"


@st.cache_resource(max_entries=16, show_spinner=False)
def _answers(key: str, _run: RunFolder, _epoch: int, _data: Arrays) -> Predictions:
    return read_predictions(_run, _epoch, np.array(_data.test_targets, np.int64), _data.info.num_classes)


def _counted(run: RunFolder, epoch: int) -> np.ndarray | None:
    """Return the confusion matrix that training counted after the epoch; None where there is none."""
    for row in run_views.watch_run(run).feed.epochs:
        if row.epoch == epoch:
            return np.asarray(row.confusion, np.int64)
    return None


def _names(run: RunFolder, count: int) -> tuple[str, ...]:
    """Return the classes' names; numbers where the data set is not known here, or has been replaced."""
    try:
        classes = run.dataset.classes
    except RunError:
        classes = ()
    return classes if len(classes) == count else tuple(f"class {k}" for k in range(count))


# What takes more than a moment with a hundred classes or many epochs


def order_classes(scene: PageContext) -> np.ndarray:
    """Return the classes' numbers, those that are mistaken for each other side by side."""
    return _order(scene.key, scene.counts)


@st.cache_resource(max_entries=64, show_spinner=False)
def _order(key: str, _counts: np.ndarray) -> np.ndarray:
    from playground.metrics.confusion import order_by_similarity

    return order_by_similarity(_counts)


def rank_classes(scene: PageContext) -> "tuple[list[Ranking | None], Ranking | None]":
    """Return each class's curves and those of all together."""
    assert scene.answers, "the page asks only where there are answers"
    return _rankings(scene.key, scene.answers)


@st.cache_resource(max_entries=16, show_spinner=False)
def _rankings(key: str, _answers: Predictions) -> "tuple[list[Ranking | None], Ranking | None]":
    from playground.metrics.ranking import rank_all_classes, rank_together

    return rank_all_classes(_answers), rank_together(_answers)


def read_history(scene: PageContext) -> "History":
    """Return what each image was predicted as at each kept epoch; epochs that cannot be read are left out."""
    from playground.metrics.hardest import History

    assert scene.answers and scene.data, "the page asks only where there are answers"
    found: dict[int, np.ndarray] = {}
    for epoch in scene.run.predicted_epochs():
        try:
            key = f"{scene.run.path} {epoch} {_written(scene.run, epoch, scene.data)}"
            found[epoch] = _preds(key, scene.run, epoch, scene.data)
        except RunError:
            continue
    return History(tuple(found), np.stack(list(found.values())), scene.answers.targets)


@st.cache_resource(max_entries=512, show_spinner=False)
def _preds(key: str, _run: RunFolder, _epoch: int, _data: Arrays) -> np.ndarray:
    targets = np.array(_data.test_targets, np.int64)
    return read_predictions(_run, _epoch, targets, _data.info.num_classes).preds.astype(np.int16)


def predict_now(scene: PageContext, rows: Sequence[int]) -> np.ndarray:
    """Ask the network again: its probabilities (n, K) float32 for some test images, on this machine in float32.

    Raises:
        ValueError: it cannot be asked any more; one line.
    """
    return _today(f"{scene.key} {key_of_weights(scene.run, scene.epoch)} {tuple(rows)}", scene, tuple(rows))


@st.cache_resource(max_entries=64, show_spinner=False)
def _today(key: str, _scene: PageContext, _rows: tuple[int, ...]) -> np.ndarray:
    from playground.inference.classify import predict

    assert _scene.data, "the page asks only where there are images"
    return predict(_scene.run, _scene.epoch, np.asarray(_scene.data.test_images[list(_rows)]))


def read_over_time(scene: PageContext, row: int) -> dict[int, np.ndarray]:
    """Return one image's probabilities (K,) at each kept epoch that can be read."""
    assert scene.data, "the page asks only where there are images"
    last = scene.run.predicted_epochs()[-1:]
    return _over_time(f"{scene.run.path} {last} {scene.written} {row}", scene.run, row, len(scene.classes))


@st.cache_resource(max_entries=256, show_spinner=False)
def _over_time(key: str, _run: RunFolder, _row: int, _num_classes: int) -> dict[int, np.ndarray]:
    found = {}
    for epoch in _run.predicted_epochs():
        try:
            probs = _run.predictions(epoch)
        except RunError:
            continue
        if probs.shape[1] == _num_classes and _row < len(probs):
            found[epoch] = probs[_row]
    return found
