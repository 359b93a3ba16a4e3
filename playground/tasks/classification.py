"""One label an image."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from playground.events import Scores
from playground.metrics.scores import count_confusion
from playground.tasks.base import Judged, Metric, Outputs, Task

if TYPE_CHECKING:
    from torch import Tensor


class Classification(Task):
    """One label an image: logits (N, K), targets (N,) int64."""

    name = "classification"
    unit, labelled, gives = "image", "whole images", "one label an image"
    target = "label"
    demo = "demo"
    pages = ("evaluate", "predict", "inside", "segment")
    views = {"segment": ("regions",)}  # noqa: RUF012
    architectures = ("cnn",)
    network = "playground.models.cnn:CNN"
    metric = Metric("accuracy", "accuracy", "Accuracy")
    measures = ("loss", "accuracy")
    unused = dict.fromkeys(("upsampling", "skips", "boundary_weight"), "for data sets with a label for each pixel")
    skewed = False
    sides, side = (16, 256), 32
    offered = (16, 24, 28, 32, 48, 64, 96, 128, 192, 256)
    target_dtype = np.int64

    def strata(self, targets: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the labels themselves."""
        return targets

    def count_strata(self, num_classes: int) -> int:
        """Return one for each class."""
        return num_classes

    def target_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return that of one number."""
        return ()

    def guess_score(self, shares: NDArray[np.float64]) -> float:
        """Return the accuracy."""
        return float(shares.max())

    def count_correct(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Return how many images are right."""
        return (logits.argmax(1) == targets).sum()

    def evaluate(self, outputs: Outputs, loss: Callable[["Tensor", "Tensor"], "Tensor"]) -> Judged:
        """Return scores, the confusion matrix and the probabilities (N, K) float16."""
        import torch

        logits, targets = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        preds, probs = logits.argmax(1).cpu().numpy(), logits.softmax(1).half().cpu().numpy()
        truth = targets.cpu().numpy()
        scores = Scores(float(loss(logits, targets)), float((preds == truth).mean()))
        return scores, count_confusion(truth, preds, logits.shape[1]), probs
