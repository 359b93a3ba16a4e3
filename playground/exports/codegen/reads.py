"""Which settings the exporter has read: one that it does not know would be missing in the script without a word."""

from typing import Any

from pydantic import BaseModel

from playground.choices import LOSSES, OPTIMIZERS
from playground.exports.codegen.values import of_knob
from playground.exports.context import ExportContext, ExportError
from playground.tasks import TASKS

NO_WEIGHT = {
    "dataset": "the script reads the run's images",
    "device": "the script takes the one that the run was given",
    "threads": "the script takes as many as the run was given",
}
"""Settings that change no weight by themselves, and why."""


class Reads:
    """A config, or a group of it, that notes the names of the settings that are read.

    Args:
        of: the config or the group; names: where they are noted.
        named: whether its numbers know which setting they are.
    """

    def __init__(self, of: BaseModel, names: set[str], named: bool = True) -> None:
        self._of, self._names, self._named = of, names, named

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        if isinstance(value, BaseModel):
            return Reads(value, self._names, self._named)
        self._names.add(name)
        return of_knob(value, name) if self._named else value


def refuse_unknown(facts: ExportContext, names: set[str]) -> None:
    """Refuse a run with a setting that is not at its default, would do something, and was not read.

    Args:
        facts: the run, with the config itself; names: what was read.

    Raises:
        ExportError: it has one; one line that names it.
    """
    known = names | NO_WEIGHT.keys() | _without_effect(facts)
    for _, group in facts.config:
        for name, field in type(group).model_fields.items():
            if name not in known and getattr(group, name) != field.default:
                raise ExportError(
                    f"{facts.name} cannot be exported as a program yet: the exporter does not know the setting "
                    f"{field.title or name} ({name}), so the weights would be others"
                )


def _without_effect(facts: ExportContext) -> set[str]:
    """Return the settings that do nothing beside the others' values."""
    training, data = facts.config.training, facts.config.data
    loss, optimizer = LOSSES[training.loss], OPTIMIZERS[training.optimizer]
    idle = {
        "momentum": not optimizer.uses_momentum or bool(optimizer.for_hidden),
        "batch_size": optimizer.full_batch,
        "class_weights": not loss.averages,
        "boundary_weight": not loss.averages,
        "label_smoothing": not loss.smooths,
        "validation_share": data.folds > 0,
    }
    return {name for name, holds in idle.items() if holds} | TASKS[facts.dataset.task].unused.keys()
