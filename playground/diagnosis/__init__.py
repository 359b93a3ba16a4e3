"""What may be wrong with a run, in plain words, with the number that gave it away and a knob that helps."""

from playground.diagnosis.finding import Finding
from playground.diagnosis.rules import diagnose, overfitting_since, too_early
from playground.diagnosis.units import examine_units, may_explain

__all__ = ["Finding", "diagnose", "examine_units", "may_explain", "overfitting_since", "too_early"]
