"""Named settings of the knobs: the article's, good ones, and ones that fail in a way worth seeing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playground.config import RunConfig, flatten, from_flat
from playground.data import catalog

KEPT = ("dataset", "device", "threads")
"""Knobs that say where and on what to train; a preset leaves them alone."""


@dataclass(frozen=True)
class Preset:
    """A title and the knobs that it sets; it says its own values, so that it stays what it is if a default changes."""

    name: str
    title: str
    help: str
    knobs: Mapping[str, Any]

    @property
    def config(self) -> RunConfig:
        """The preset on the default data set."""
        return from_flat(self.knobs)

    def apply(self, current: RunConfig) -> RunConfig:
        """Return the preset with the current device and data set; but with its own set, if it has one of its own.

        A preset does not stay on a data set of another task than its own.
        """
        values = flatten(current)
        kept = {name: values[name] for name in KEPT}
        if catalog.task_of(kept["dataset"]) is not catalog.task_of(self.config.data.dataset):
            del kept["dataset"]
        return from_flat({**kept, **self.knobs})


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "article",
            "The article's",
            "Of the article “Deep learning in practice: image segmentation”, which this playground grew out of: three "
            "blocks and plain SGD with momentum, four images a step. It learns steadily, and slowly: "
            "most of the time goes into very many very small steps.",
            {
                "flip": False,
                "norm": "none",
                "optimizer": "momentum",
                "learning_rate": 0.001,
                "momentum": 0.9,
                "schedule": "constant",
                "weight_decay": 0.0,
                "batch_size": 4,
                "epochs": 10,
            },
        ),
        Preset(
            "fastest",
            "Soonest to 70 %",
            "The article's network with Muon and a one-cycle schedule: a single epoch over all of CIFAR-10 takes it to "
            "the accuracy that the article's training reaches in four.",
            {
                "flip": False,
                "norm": "none",
                "validation_share": 0.02,
                "label_smoothing": 0.1,
                "optimizer": "muon",
                "learning_rate": 0.015,
                "momentum": 0.85,
                "weight_decay": 0.1,
                "batch_size": 128,
                "epochs": 1,
            },
        ),
        Preset(
            "good",
            "Good and small",
            "Two convolutions a block, batch normalisation, flips and shifts, Muon. An epoch takes longer, and teaches "
            "more. The bundled demo run is this one on all of CIFAR-10.",
            {
                "channels": (24, 48, 96),
                "convs_per_block": 2,
                "norm": "batch",
                "fc_width": 0,
                "flip": True,
                "shift": 4,
                "optimizer": "muon",
                "learning_rate": 0.01,
                "weight_decay": 0.05,
                "batch_size": 128,
                "epochs": 24,
            },
        ),
        Preset(
            "pixels",
            "Pixels: a U-Net",
            "A label for each pixel of drawn shapes: four blocks of two convolutions down and up again, with skip "
            "connections. In a minute it tells discs, squares, triangles, stars and crosses apart by their outlines.",
            {
                "dataset": "shapes",
                "channels": (16, 32, 48, 64),
                "convs_per_block": 2,
                "norm": "batch",
                "flip": True,
                "loss": "cross_entropy_dice",
                "optimizer": "muon",
                "learning_rate": 0.02,
                "batch_size": 16,
                "epochs": 5,
            },
        ),
        Preset(
            "too_fast",
            "Fails: learning rate too high",
            "A learning rate a thousand times the article's. The loss jumps up instead of down, and soon is no number.",
            {
                "flip": False,
                "norm": "none",
                "optimizer": "momentum",
                "learning_rate": 1.0,
                "schedule": "constant",
                "weight_decay": 0.0,
                "batch_size": 32,
                "epochs": 3,
            },
        ),
        Preset(
            "saturated",
            "Fails: saturated (sigmoid)",
            "Sigmoids in five layers under plain SGD. Each passes on a quarter of the gradient at most, so the first "
            "layers never wake up: the loss stays at ln 10 = 2.30.",
            {
                "flip": False,
                "norm": "none",
                "activation": "sigmoid",
                "channels": (16, 32, 64, 64),
                "optimizer": "sgd",
                "learning_rate": 0.01,
                "schedule": "constant",
                "weight_decay": 0.0,
                "batch_size": 32,
                "epochs": 5,
            },
        ),
    )
}
