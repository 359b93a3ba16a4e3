"""When a run reports what it measured, and what it has measured since it last did."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from playground.training.meters import Meter

REPORT_SECONDS = 1.0
"""A slow run reports at least this often."""


class Reports:
    """The reports of a run, of which it alone keeps count.

    Attributes:
        every: a step that this divides has a report.
        since: the seconds of work at the last report, or at the epoch's begin.
    """

    def __init__(self, every: int) -> None:
        self.every, self.since = every, 0.0
        self._asked = True  # for one at the next step; the very first has one, so that a curve begins at once
        self._meter = Meter()  # since the last report
        self._totals = np.zeros(3)  # of this epoch, up to the last report
        self._again: frozenset[int] = frozenset()  # steps that had reports before the run was killed
        self._again_until = 0  # up to it those alone are reported

    def repeat(self, steps: Iterable[int]) -> None:
        """Report at these steps, and at no others up to the last of them."""
        self._again = frozenset(steps)
        self._again_until = max(self._again, default=0)

    def ask(self) -> None:
        """Report at the next step."""
        self._asked = True

    def is_due(self, step: int, seconds: float) -> bool:
        """Return whether to report at a step, after so many seconds of work."""
        if step <= self._again_until:
            return step in self._again
        return seconds - self.since > REPORT_SECONDS or self._asked or step % self.every == 0

    def start_timing(self, seconds: float) -> None:
        """Count the time of the next report from here."""
        self.since = seconds

    def add(self, step: int, loss: Tensor, hits: Tensor, images: int) -> None:
        """Add a batch's mean loss and hits, both on the device, and its number of images."""
        self._meter.add(step, loss, hits, images)

    def read(self) -> tuple[np.ndarray, int | None]:
        """Return [sum of losses, hits, images] since the last report and the first step whose loss is not finite."""
        return self._meter.read()

    def close(self, sums: np.ndarray) -> None:
        """Begin anew after a report of what was read."""
        self._totals, self._meter, self._asked = self._totals + sums, Meter(), False

    def close_epoch(self, rest: np.ndarray) -> np.ndarray:
        """Return [sum of losses, hits, images] of the epoch, given what was read of its end, and begin anew."""
        totals = self._totals + rest
        self._totals, self._meter = np.zeros(3), Meter()
        return totals

    def to_facts(self, within: bool) -> dict[str, Any]:
        """Return what a snapshot keeps; of an epoch's figures nothing unless it is taken within one."""
        nothing = [0.0, 0.0, 0.0]
        return {
            "totals": self._totals.tolist() if within else nothing,
            "since_report": self.read()[0].tolist() if within else nothing,
            "reported": self.since,
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Go on from a snapshot's facts."""
        self._totals = np.array(facts["totals"], float).reshape(3)
        # States of older versions have it in the totals.
        self._meter = Meter(np.array(facts.get("since_report", [0.0] * 3), float).reshape(3))
        self.since = float(facts.get("reported", facts["seconds"]))
        self._asked = int(facts["step"]) == 0
