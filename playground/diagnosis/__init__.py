"""What may be wrong with a run, in plain words, with the number that gave it away and a knob that helps."""

from playground.diagnosis.finding import Finding
from playground.diagnosis.rules import diagnose, find_overfitting
from playground.diagnosis.silence import SOUND, explain_silence
from playground.diagnosis.units import can_explain, examine_units, summarise_units

__all__ = [
    "SOUND",
    "Finding",
    "can_explain",
    "diagnose",
    "examine_units",
    "explain_silence",
    "find_overfitting",
    "summarise_units",
]
