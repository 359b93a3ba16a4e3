"""Classes that a network never predicts."""

from collections.abc import Sequence
from statistics import mean

from playground.choices import LOSSES
from playground.diagnosis.finding import Finding
from playground.diagnosis.run_summary import FEW_STEPS, RunSummary

LATE = 0.5
"""Where pixels are labelled, rare classes are learned late: this share of a run is waited for."""


def find_never_predicted(summary: RunSummary, classes: Sequence[str], class_counts: Sequence[int]) -> list[Finding]:
    """Find classes that have test images and were not predicted once, in the last two epochs.

    A network that labels pixels takes all for the most common class at first, and the others come late.
    """
    counted = [row for row in summary.rows if row.confusion]
    early = len(counted) < 2 or counted[-1].step < FEW_STEPS or (summary.task.skewed and summary.share < LATE)
    if not counted or (early and not summary.over):
        return []
    never = set.intersection(*(_missing(row.confusion) for row in counted[-2:]))
    if not never:
        return []
    counts = counted[-1].confusion
    names = [classes[i] if i < len(classes) else f"class {i}" for i in sorted(never)]
    images, total = sum(sum(counts[i]) for i in never), sum(map(sum, counts))
    what = f"“{names[0]}” is" if len(names) == 1 else f"{len(names)} classes are"
    shows = f"{'belong to' if summary.task.skewed else 'show'} {'it' if len(names) == 1 else 'these'}"
    evidence = (
        f"After epoch {counted[-1].epoch} none of the {total:,} {summary.counted}test images is predicted as "
        f"{_listed(names)}, though {images:,} of them {shows}."
    )
    known = class_counts if len(class_counts) == len(counts) else [sum(row) for row in counts]
    rare = mean(known[i] for i in never) < mean(known) / 2
    knob, advice = "epochs", "Train longer; if it stays so, try another learning rate."
    if rare:
        knob, advice = _against_rareness(summary) or (knob, advice)
    return [Finding("never predicted", f"{what} never predicted", evidence, knob, advice)]


def _against_rareness(summary: RunSummary) -> tuple[str, str] | None:
    """Return the first remedy that is not taken yet for classes that the common ones drown."""
    training = summary.config.training
    if not training.class_weights:
        few = "cover few pixels" if summary.task.skewed else "have few images"
        return "class_weights", f"They {few}: let rare classes count for more."
    if not summary.task.skewed:
        advice = "They are rare: take as many images of each class, so that the common ones do not drown them."
        return "images_per_class", advice
    if not LOSSES[training.loss].wants_areas:
        return "loss", "They cover few pixels: add Dice to the loss, for which each class counts the same."
    return None


def _missing(counts: Sequence[Sequence[int]]) -> set[int]:
    """Return the classes that have images and that nothing is predicted as."""
    return {i for i, row in enumerate(counts) if sum(row) and not any(other[i] for other in counts)}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} or {len(names) - 4} more" if len(names) > 4 else " or ".join(shown.rsplit(", ", 1))
