"""What it means that nothing is said of a run: what was examined, and what was not."""

from collections.abc import Sequence

from playground.choices import SCHEDULES
from playground.config import RunConfig
from playground.diagnosis.classes import LATE
from playground.diagnosis.rules import ENDGAME, PATIENCE, WINDOW
from playground.diagnosis.run_summary import Story, tell
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
    story = tell(config, status, {}, epochs, changes)
    if story.guess.accuracy >= 1:
        return "Not examined: all images are of one class."
    if story.start <= 0:
        return "Not examined: it has no figures of the network before its first step."
    if not story.judged and story.over:
        return "Not examined: it has no figures of an epoch" + (" since the last change." if changes else ".")
    if len(story.judged) < 2 and not story.over:
        return "Too early to tell" + (" since the last change." if changes else ".")
    if untold := _untold(story):
        return f"{SOUND} Too {'short' if story.over else 'early'} to tell: {', '.join(untold)}."
    return SOUND


def _untold(story: Story) -> list[str]:
    """Return what so few epochs cannot show; it is in the order in which it can be told."""
    count, active = len(story.judged), not story.over
    wanted = {
        "whether it learns": active and story.warming_up,
        "whether classes are left out": active and story.task.skewed and story.share < LATE,
        "overfitting": count <= PATIENCE,
        "oscillation": count < WINDOW - 2,
        "underfitting": count < PATIENCE or (active and story.share < ENDGAME),
    }
    return [name for name, early in wanted.items() if early]
