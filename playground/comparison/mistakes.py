"""Two runs on the same test images: which one gets right what the other gets wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from playground.runs import RunError


@dataclass(frozen=True)
class PredictionComparison:
    """What two runs A and B make of the same test images. All are row numbers of the test set.

    Attributes:
        both: images that both get right, how many.
        only_a, only_b: that one gets right and the other wrong, those first where they disagree most.
        same_mistake: both wrong, with the same guess, how many.
        different_mistakes: both wrong, with two guesses, the most confident first.
        p: McNemar's test, exact: how often luck alone divides `only_a` and `only_b` at least this unevenly.
    """

    both: int
    only_a: NDArray[np.int64]
    only_b: NDArray[np.int64]
    same_mistake: int
    different_mistakes: NDArray[np.int64]
    p: float

    @property
    def images(self) -> int:
        return self.both + len(self.only_a) + len(self.only_b) + self.same_mistake + len(self.different_mistakes)


def compare_predictions(
    probs_a: NDArray[np.floating], probs_b: NDArray[np.floating], targets: ArrayLike
) -> PredictionComparison:
    """Compare two runs image by image.

    Args:
        probs_a, probs_b: (N, num_classes) in [0, 1]; targets: (N,) the true classes.

    Raises:
        RunError: they are not of the same images and classes.
    """
    targets = np.asarray(targets, np.int64)
    if probs_a.shape != probs_b.shape or len(targets) != len(probs_a):
        raise RunError("the two runs were not judged on the same test images, so they cannot be compared one by one")
    guess_a, guess_b = probs_a.argmax(1), probs_b.argmax(1)
    right_a, right_b = guess_a == targets, guess_b == targets
    rows = np.arange(len(targets))
    margin = probs_a[rows, targets].astype(float) - probs_b[rows, targets]
    sure = probs_a.max(1).astype(float) + probs_b.max(1)
    only_a, only_b = np.flatnonzero(right_a & ~right_b), np.flatnonzero(right_b & ~right_a)
    both_wrong = ~right_a & ~right_b
    apart = np.flatnonzero(both_wrong & (guess_a != guess_b))
    return PredictionComparison(
        both=int((right_a & right_b).sum()),
        only_a=only_a[np.argsort(-margin[only_a], kind="stable")],
        only_b=only_b[np.argsort(margin[only_b], kind="stable")],
        same_mistake=int((both_wrong & (guess_a == guess_b)).sum()),
        different_mistakes=apart[np.argsort(-sure[apart], kind="stable")],
        p=run_mcnemar_test(len(only_a), len(only_b)),
    )


def run_mcnemar_test(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947).

    If both were equally good, each image that one alone gets right would fall to either like a fair coin.
    """
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)
