"""What one can choose from: one table for each kind of choice, and one entry in it for each choice.

Whatever differs between two choices stands in their entries, so another one is one more entry: config, form, training,
arithmetic, diagnosis and export read the tables. This is ground floor: nothing of playground is imported here, and
torch within functions alone, for the form opens without it.
"""

from playground.choices.activations import ACTIVATIONS, Activation
from playground.choices.augmentations import AUGMENTATIONS, Augmentation
from playground.choices.losses import LOSSES, Loss, Term
from playground.choices.norms import NORMS, Norm, norm_of
from playground.choices.optimizers import OPTIMIZERS, Optimizer
from playground.choices.poolings import POOLINGS, Pooling
from playground.choices.schedules import SCHEDULES, Schedule

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATIONS",
    "LOSSES",
    "NORMS",
    "OPTIMIZERS",
    "POOLINGS",
    "SCHEDULES",
    "TABLES",
    "Activation",
    "Augmentation",
    "Loss",
    "Norm",
    "Optimizer",
    "Pooling",
    "Schedule",
    "Term",
    "norm_of",
    "title_of",
]

TABLES = (ACTIVATIONS, AUGMENTATIONS, LOSSES, NORMS, OPTIMIZERS, POOLINGS, SCHEDULES)


def title_of(name: str) -> str | None:
    """Return what a choice is called on the screen; None if it is in none of the tables."""
    return next((table[name].title for table in TABLES if name in table), None)
