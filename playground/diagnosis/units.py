"""Dead and saturated units, from an examination of the weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from playground.diagnosis.finding import Finding, percent

if TYPE_CHECKING:
    from playground.interpret.health import Health

FLAT_UNITS = 0.25
"""Dead or saturated: this share of a layer's units. A few dead ones are usual and cost little."""


def examine_units(health: "Sequence[Health]", epoch: int) -> list[Finding]:
    """Return the layers of which many units are dead or saturated.

    Args:
        health: what `interpret.health.health` found with the weights after `epoch`.
    """
    found = []
    for layer in health:
        count, units = layer.count, len(layer.flat)
        # A unit that lies flat for most images learns from few: half of all values is as bad as some units wholly.
        values = float(layer.share.mean()) if layer.word == "saturated" and units else 0.0
        if not units or (count / units < FLAT_UNITS and values < 0.5):
            continue
        numbers = f"{count} of {units} units are {layer.word} for every one of {layer.images:,} test images"
        if layer.word == "saturated":
            numbers += f", and {percent(values)} of all values lie where the curve is flat"
            title, knob = "Saturation", "batch_norm"
            advice = "Batch normalisation keeps the values where the curve is steep; ReLU has no flat end above."
        else:
            title, knob = "Dead units", "learning_rate"
            advice = "Take smaller steps, or leaky ReLU, whose units cannot die."
        kind = "saturation" if layer.word == "saturated" else "dead units"
        evidence = f"In {layer.layer}, after epoch {epoch}, {numbers}."
        found.append(Finding(kind, f"{title} in {layer.layer}", evidence, knob, advice))
    return found
