"""Which images are hard: by their loss at one epoch, and by how the answer wavered over the epochs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from playground.metrics.predictions import Predictions


@dataclass(frozen=True, eq=False)
class History:
    """What each image was taken for at each epoch.

    Attributes:
        epochs: the E epochs, in order.
        preds: (E, N) the predicted classes; targets: (N,) the true ones.
    """

    epochs: tuple[int, ...]
    preds: NDArray[np.integer]
    targets: NDArray[np.int64]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer was right, (E, N)."""
        return self.preds == self.targets

    @cached_property
    def flips(self) -> NDArray[np.int64]:
        """How often each image's predicted class changed from one epoch to the next, (N,)."""
        return (self.preds[1:] != self.preds[:-1]).sum(axis=0)

    @cached_property
    def forgotten(self) -> NDArray[np.int64]:
        """How often a right answer turned wrong at the next epoch, (N,).

        Toneva et al., "An empirical study of example forgetting during deep neural network learning", ICLR 2019, who
        count it for the training images at each look; here for the test images from one kept epoch to the next.
        """
        return (self.right[:-1] & ~self.right[1:]).sum(axis=0)

    @property
    def never_right(self) -> int:
        """How many images were never answered rightly."""
        return int((~self.right.any(axis=0)).sum()) if self.epochs else 0


def order_by_loss(answers: Predictions) -> NDArray[np.int64]:
    """Order the images by their loss, -ln of the true class's probability, the highest first.

    Where 16 bits hold no difference any more, the image with the surer answer comes first.
    """
    return np.lexsort((-answers.confidence, answers.true_probs))


def order_by_count(counts: NDArray[np.integer], answers: Predictions) -> NDArray[np.int64]:
    """Order the images that have a count at all, the highest first, and those alike by their loss."""
    order = order_by_loss(answers)
    order = order[counts[order] > 0]
    return order[np.argsort(-counts[order], kind="stable")]
