"""What it means that nothing is said of a run: what was examined, and what was not."""

from collections.abc import Sequence

from playground.choices import SCHEDULES
from playground.config import RunConfig
from playground.diagnosis.classes import LATE
from playground.diagnosis.rules import ENDGAME, PATIENCE, WINDOW
from playground.diagnosis.run_summary import RunSummary, summarise_run
from playground.events import Change, EpochRow
from playground.runs import Status

SOUND = "Nothing looks wrong in its curves and its confusion matrix."


def explain_silence(
    config: RunConfig, status: Status, epochs: Sequence[EpochRow], changes: Sequence[Change] = ()
) -> str:
    """Say what it means that `rules.diagnose` found nothing; the sentence begins with `SOUND` if all is well.

    Args:
        config, status, epochs, changes: as of `rules.diagnose`.
    """
    if SCHEDULES[config.training.schedule].probes:
        return "Not examined: a range test is made to diverge."
    summary = summarise_run(config, status, {}, epochs, changes)
    if summary.guess.accuracy >= 1:
        return "Not examined: all images are of one class."
    if summary.start <= 0:
        return "Not examined: it has no figures of the network before its first step."
    if not summary.judged and summary.over:
        return "Not examined: it has no figures of an epoch" + (" since the last change." if changes else ".")
    if len(summary.judged) < 2 and not summary.over:
        return "Too early to tell" + (" since the last change." if changes else ".")
    if untold := _untold(summary):
        return f"{SOUND} Too {'short' if summary.over else 'early'} to tell: {', '.join(untold)}."
    return SOUND


def _untold(summary: RunSummary) -> list[str]:
    """Return what so few epochs cannot show; it is in the order in which it can be told."""
    count, active = len(summary.judged), not summary.over
    wanted = {
        "whether it learns": active and summary.warming_up,
        "whether classes are left out": active and summary.task.skewed and summary.share < LATE,
        "overfitting": count <= PATIENCE,
        "oscillation": count < WINDOW - 2,
        "underfitting": count < PATIENCE or (active and summary.share < ENDGAME),
    }
    return [name for name, early in wanted.items() if early]
