"""What may be wrong with a run, in plain words, with the number that gave it away and a knob that helps."""

from playground.diagnosis.finding import Finding
from playground.diagnosis.rules import diagnose, overfitting_since
from playground.diagnosis.silence import SOUND, explain_silence
from playground.diagnosis.units import examine_units, may_explain, summarise_units

__all__ = [
    "SOUND",
    "Finding",
    "diagnose",
    "examine_units",
    "explain_silence",
    "may_explain",
    "overfitting_since",
    "summarise_units",
]
