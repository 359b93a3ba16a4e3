"""Dead and saturated units, from an examination of the weights: told only where they cost something."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from playground.diagnosis.finding import Finding, percent

if TYPE_CHECKING:
    from playground.interpret.dead_units import UnitHealth

FLAT_UNITS = 0.5
"""Dead or saturated: this share of a layer's units. Healthy networks have up to half of a layer's units dead, and with
batch normalisation and dropout just over: these are units too many, not units missing."""
GROWN = 0.2
"""… of which this share of the layer's units has become so while it trained; those that began so tell nothing."""
HURT = frozenset({"too slow", "oscillating", "underfitting"})
"""The kinds of findings that dead or saturated units can be the cause of. Without one they cost nothing."""
EXPLAINED = frozenset({"weight_decay", "optimizer", "activation"})
"""Knobs of findings that name a cause already; a second card would contradict the first."""


def can_explain(found: Sequence[Finding]) -> bool:
    """Say whether flat units could be why: the run is the worse for something, and no finding says for what."""
    return any(one.kind in HURT for one in found) and not any(one.knob in EXPLAINED for one in found)


def examine_units(
    before: "Sequence[UnitHealth]", after: "Sequence[UnitHealth]", epoch: int, found: Sequence[Finding]
) -> list[Finding]:
    """Return the layer in which most units died or were saturated while it trained, if the run is the worse for it.

    Args:
        before, after: what `interpret.dead_units.examine_layers` found with the first weights and with those after
            `epoch`, on the same images of all classes.
        found: what the run's rows gave away.
    """
    if not can_explain(found):
        return []
    began = {layer.layer: _share(layer) for layer in before}
    worst = max(after, key=_share, default=None)
    if worst is None or _share(worst) < FLAT_UNITS or _share(worst) - began.get(worst.layer, 0.0) < GROWN:
        return []
    more = sum(_share(layer) >= FLAT_UNITS for layer in after) - 1
    others = f", and in {more} more layer{'s' if more > 1 else ''} it is as bad" if more else ""
    evidence = (
        f"In {worst.layer}, after epoch {epoch}, {worst.count} of {len(worst.flat)} units are {worst.word} for every "
        f"one of {worst.images:,} images of all classes"
    )
    if worst.word == "saturated":
        evidence += f", and {percent(float(worst.share.mean()))} of all values lie where the curve is flat{others}."
        # Beside a finding that asks for smaller steps the same is asked for: they are what drove the values there.
        knob = "learning_rate" if any(one.knob == "learning_rate" for one in found) else "activation"
        advice = (
            "Smaller steps leave the values where the curve is steep, and so does batch normalisation."
            if knob == "learning_rate"
            else "ReLU has no flat end above; batch normalisation keeps the values where the curve is steep."
        )
        return [Finding("saturation", f"Saturation in {worst.layer}", evidence, knob, advice)]
    advice = "Take smaller steps, or leaky ReLU, whose units cannot die."
    return [Finding("dead units", f"Dead units in {worst.layer}", f"{evidence}{others}.", "learning_rate", advice)]


def summarise_units(before: "Sequence[UnitHealth]", after: "Sequence[UnitHealth]") -> str:
    """Say how many units are flat in the layer with most of them, and how many were before the first step."""
    worst = max(after, key=_share, default=None)
    if worst is None or not _share(worst):
        return "Of its units none is dead or saturated."
    first = next((layer.count for layer in before if layer.layer == worst.layer), 0)
    return f"Most units are {worst.word} in {worst.layer}: {worst.count} of {len(worst.flat)}, and {first} at first."


def _share(layer: "UnitHealth") -> float:
    """Return the share of a layer's units that are flat; of saturated ones that of the values, if it is larger."""
    units = layer.count / len(layer.flat) if len(layer.flat) else 0.0
    # A unit that lies flat for most images learns from few: half of all values is as bad as some units wholly.
    return max(units, float(layer.share.mean())) if layer.word == "saturated" and len(layer.flat) else units
