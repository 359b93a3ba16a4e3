"""What is said of a run."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing that may be wrong.

    Attributes:
        kind: "diverging", "too slow", "oscillating", "overfitting", "underfitting", "never predicted", "dead units"
            or "saturation".
        title: a few words.
        evidence: the measured numbers that triggered it, with their epoch.
        knob: the name of a knob that would help, one of `config.KNOBS`.
        advice: what to do with it.
        severity: "error" where the run is lost, "info" where it only could be better.
        epoch: where it began, if that can be told.
    """

    kind: str
    title: str
    evidence: str
    knob: str
    advice: str
    severity: Severity = "warning"
    epoch: float | None = None


def percent(share: float) -> str:
    """Write a fraction for people: 0.813 as "81.3 %"."""
    return f"{100 * share:.1f} %"
