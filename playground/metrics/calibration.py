"""Whether a network is right as often as it says: reliability diagram and expected calibration error."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Reliability:
    """The answers sorted into bins of equal width by their confidence.

    Attributes:
        edges: (M + 1,) from 0 to 1; bin m holds confidences above edge m, up to and with edge m + 1.
        counts: (M,) how many answers are in each bin; right: (M,) how many of them are right.
        confidence: (M,) their mean confidence, 0 for an empty bin.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        """The share of right answers in each bin, 0 for an empty one."""
        return self.right / np.maximum(self.counts, 1)

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """Accuracy less confidence: below 0 the network is too sure of itself."""
        return self.accuracy - self.confidence

    @property
    def error(self) -> float:
        """The expected calibration error: Σ n_b/N |acc_b - conf_b|, in [0, 1] (Guo et al. 2017, equation 3)."""
        return float(self.counts @ np.abs(self.gaps) / max(self.counts.sum(), 1))

    @property
    def largest_gap(self) -> float:
        """The maximum calibration error: the largest |acc_b - conf_b| (Guo et al. 2017, equation 4)."""
        return float(np.abs(self.gaps).max(initial=0))


def compute_reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Reliability:
    """Sort answers into bins, as Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.

    Args:
        confidence: (N,) in [0, 1], the probability of the class that was answered.
        right: (N,) bool, whether it was right.
        bins: how many bins of equal width.
    """
    sure, hits = np.asarray(confidence, float), np.asarray(right, bool)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    means = np.bincount(place, sure, minlength=bins) / np.maximum(counts, 1)
    return Reliability(edges, counts, np.bincount(place[hits], minlength=bins), means)
