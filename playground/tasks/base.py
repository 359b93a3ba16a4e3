"""What a task says of itself, and what it does while a network trains."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.config import TrainingConfig
from playground.events import Scores
from playground.metrics.baseline import Baseline, compute_baseline

if TYPE_CHECKING:
    from torch import Tensor

Outputs = Iterable[tuple["Tensor", "Tensor"]]
"""Logits and targets, a batch at a time."""
Judged = tuple[Scores, NDArray[np.int64], np.ndarray]
"""Scores, the confusion matrix (K, K), and the predictions that are kept."""


@dataclass(frozen=True)
class Metric:
    """What runs are judged by, a fraction.

    Attributes:
        key: the name of its field in `events.Scores`.
        name, title: how it is called within a sentence, and alone.
    """

    key: str
    name: str
    title: str


class Task(ABC):
    """A task: its words, its shapes, and the steps of training that depend on it.

    Attributes:
        name: what data sets and files call it.
        unit, labelled: what has a label ("image"), and what a network labels ("whole images").
        gives: what a data set of it has: "one label an image".
        target: what a target is, and a prediction with it. A *label* is one number an image, and probabilities are
            predicted; a *mask* has a number for each pixel, `IGNORE` where there is no class, and masks are predicted.
        demo: the folder of its bundled run.
        pages: those that show its runs; at the first it is at home.
        views: of pages that do not show all views to every task, those that they do, the first unasked.
        architectures: what `ModelConfig.architecture` may name, the one that *auto* stands for first.
        network: the class of its networks, "module:class".
        metric: what its runs are judged by. Training images are judged by accuracy, whatever the task.
        measures: the fields of `events.Scores` that it fills for validation and test images.
        unused: settings that it has no use for, and why.
        skewed: whether one class may cover nearly all, so that guessing it is nearly right.
        sides: the smallest and the largest (long) side in pixels that images of one's own are resized to; side: the one
            that is taken unasked; offered: those on the page.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    labelled: ClassVar[str]
    gives: ClassVar[str]
    target: ClassVar[Literal["label", "mask"]]
    demo: ClassVar[str]
    pages: ClassVar[tuple[str, ...]]
    views: ClassVar[Mapping[str, tuple[str, ...]]]
    architectures: ClassVar[tuple[str, ...]]
    network: ClassVar[str]
    metric: ClassVar[Metric]
    measures: ClassVar[tuple[str, ...]]
    unused: ClassVar[Mapping[str, str]]
    skewed: ClassVar[bool]
    sides: ClassVar[tuple[int, int]]
    side: ClassVar[int]
    offered: ClassVar[tuple[int, ...]]

    @abstractmethod
    def strata(self, targets: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return what a split keeps in proportion, a number for each image (N,)."""

    @abstractmethod
    def count_strata(self, num_classes: int) -> int:
        """Return how many kinds of images a split tells apart."""

    @abstractmethod
    def target_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the shape of one target, for images of a shape (C, H, W)."""

    @property
    @abstractmethod
    def target_dtype(self) -> type[np.integer]:
        """The type in which targets are kept."""

    @abstractmethod
    def guess_score(self, shares: NDArray[np.float64]) -> float:
        """Return the metric of calling everything the most common class, given the classes' shares (K,)."""

    def guess(self, training: TrainingConfig, confusion: ArrayLike) -> Baseline:
        """Return what guessing gets, given the counts over the test set (K, K), row = true class."""
        counts = np.asarray(confusion).sum(axis=1)
        # Images are taken to be as common in one class as in another; pixels seldom are.
        shares = counts / counts.sum() if self.skewed and counts.any() else np.full(len(counts), 1 / len(counts))
        return compute_baseline(training, shares, self.guess_score(shares))

    @abstractmethod
    def count_correct(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Return how many images of a batch are right, as a fraction of one where parts of it are."""

    @abstractmethod
    def evaluate(self, outputs: Outputs, loss: Callable[["Tensor", "Tensor"], "Tensor"]) -> Judged:
        """Judge a network by its outputs over a split."""
