"""What hurts segmentation, and the knobs that help: one experiment each, with the figure that should move."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playground.config import RunConfig, from_flat
from playground.events import EpochRow
from playground.metrics.mask_scores import compute_mask_metrics

SCALES: Mapping[str, tuple[float, ...]] = {"around": (1.0, 0.75, 1.25), "smaller": (1.0, 0.75, 0.5)}
"""The sizes at which a network may be asked where several are fused, as factors on the picture's own."""


@dataclass(frozen=True)
class Remedy:
    """A difficulty, and what is done about it.

    Attributes:
        without, remedied: the knobs of the two runs that are compared; all others stay as they are.
        metric: which of `MASK_METRICS` should rise.
        at_test: the remedy is in how a trained network is asked, and one run shows it.
    """

    title: str
    problem: str
    remedy: str
    metric: str
    without: Mapping[str, Any]
    remedied: Mapping[str, Any]
    at_test: bool = False

    def configs(self, base: RunConfig) -> tuple[RunConfig, RunConfig]:
        """Return the config without and with the remedy."""
        return from_flat(self.without, base), from_flat(self.remedied, base)


REMEDIES: Mapping[str, Remedy] = {
    "boundary": Remedy(
        "Blurred boundaries",
        "Most pixels lie inside of regions, so a network is right nearly everywhere and still draws edges badly.",
        "Let pixels at a boundary count for more in the loss.",
        "boundary_f1",
        {"boundary_weight": 0.0},
        {"boundary_weight": 4.0},
    ),
    "detail": Remedy(
        "Lost detail",
        "On its way down through the poolings a network forgets where exactly things are; thin and small parts go.",
        "Hand the early, finer maps to the late blocks by skip connections, and keep the resolution high at the start.",
        "boundary_f1",
        {"skips": False, "stride": 2},
        {"skips": True, "stride": 1},
    ),
    "imbalance": Remedy(
        "Rare classes",
        "Where one class covers most pixels, calling everything that class is nearly right; rare ones are lost.",
        "Weigh each class by how rare it is (median frequency), and let the overlap of each class count (Dice).",
        "worst_iou",
        {"class_weights": False, "loss": "cross_entropy"},
        {"class_weights": True, "loss": "cross_entropy_dice"},
    ),
    "blur": Remedy(
        "Blur and size",
        "A blurred or differently sized picture shows the network edges and shapes at a scale it was not trained on.",
        "Ask it at several sizes and average what it says: objects are of the size it knows at one of them, and a "
        "badly blurred picture is sharper when it is small. Where nothing was wrong, sizes that are too small hurt.",
        "iou",
        {},
        {},
        at_test=True,
    ),
}


def read_mask_metrics(row: EpochRow) -> dict[str, float]:
    """Return the figures of an epoch on the test images."""
    return compute_mask_metrics(row.confusion, row.test.boundary_f1)
