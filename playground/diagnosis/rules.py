"""The rules, over the rows of a run. They cost microseconds.

They are made to be silent rather than to cry wolf: they judge what has happened since a live knob was last changed,
leave a warm-up its time, and want a sign to last.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean, median

from playground.choices import ACTIVATIONS, NORMS, OPTIMIZERS, SCHEDULES
from playground.config import RunConfig
from playground.data.catalog import may_flip
from playground.diagnosis.classes import find_never_predicted
from playground.diagnosis.finding import Finding, percent
from playground.diagnosis.run_summary import FEW_STEPS, RunSummary, summarise_run
from playground.events import Change, EpochRow
from playground.runs import Status

RISE = 1.5
"""Diverging: a training loss this many times the untrained network's. Guessing costs 1 times; no noise of a batch
lifts the median of five reports so far, and the Brier score of wrong and certain answers still reaches it."""
BLEW_UP = 5.0
"""A loss that was ever this many times the untrained network's has thrown the weights about; see `_diverging`."""
FALL = 0.03
"""Stuck: a training loss less than this share below that of guessing. What learns at all falls more in two epochs."""
MOVED = 0.05
"""… and too slow, if the norm of the weights has changed by less than this share. Steps of a good size change it by
half or double it; a learning rate of 1e-6 by a thousandth."""
SETTLED = 50
"""… and before which the running averages of batch normalisation are still on their way from where they began."""
FAR = 4.0
"""Where pixels are labelled, a norm that has grown this many times tells of steps that led nowhere; see `_thrown`."""
ENDGAME = 0.85
"""The share of a run before which its last, shortest steps are still to come, and with them the lowest loss."""
LEARNED = 0.1
"""A training accuracy this far above guessing is no accident: the network has learned something. Where pixels are
labelled it is the mean IoU, since there all but few pixels may be of one class."""
SWING = 0.05
"""Oscillating: validation losses that jump by this share of their median, up and down in turn."""
WINDOW = 8
"""Epochs that are looked at for swings."""
TURNS = 3
"""So many swings in turn are no chance: a coin would fall so once in eight times, and seldom with jumps that large."""
STANDSTILL = 0.95
"""Swings do no harm while the training loss still falls by more than this factor from half a window to the next."""
PATIENCE = 3
"""Overfitting: epochs since the lowest validation loss; fewer may be one unlucky step."""
WORSE = 0.1
"""… and the validation loss has since risen by this share, …"""
GAP = 0.15
"""… or the network gets this much more of the training images right than of the validation images."""
HALF_WAY = 0.5
"""Underfitting: a run that ends less than half the way from guessing to all right, on its own training images too."""
CLOSE = 0.1
"""… while both accuracies are this close, so that more capacity or time would not be wasted on learning by heart."""
STILL_FALLING = 0.05
"""A training loss that fell by this share in the last quarter of a run had not arrived."""


def diagnose(
    config: RunConfig,
    status: Status,
    progress: Mapping[str, Sequence[float]],
    epochs: Sequence[EpochRow],
    changes: Sequence[Change] = (),
    classes: Sequence[str] = (),
    class_counts: Sequence[int] = (),
) -> list[Finding]:
    """Return what may be wrong with a run, the worst first; nothing if all is well or it is `too_early` to tell.

    Args:
        config: the run's knobs, as it began.
        status: where it stands.
        progress: columns of its progress rows; epochs: its epoch rows; changes: its change rows. See `runs.RunReader`.
        classes: the names of the classes, for those that are never predicted.
        class_counts: how many training images each class has, where that is known; else the test images tell.
    """
    if SCHEDULES[config.training.schedule].probes:
        return []  # it is made to diverge
    summary = summarise_run(config, status, progress, epochs, changes)
    nothing_to_learn = summary.guess.accuracy >= 1  # all is of one class
    # One cause, and so one card: what learns nothing predicts few classes, and its loss may swing.
    if (found := _diverging(summary)) or summary.start <= 0 or nothing_to_learn or (found := _stuck(summary)):
        return found
    unseen = find_never_predicted(summary, classes, class_counts)
    if found := _oscillating(summary) + _overfitting(summary, may_flip(classes)):
        return found + unseen
    rare = [finding for finding in unseen if finding.knob != "epochs"]
    return rare or _underfitting(summary) or unseen


def find_overfitting(findings: Sequence[Finding]) -> float | None:
    """Return the epoch from which a run overfits, if it does."""
    return next((finding.epoch for finding in findings if finding.kind == "overfitting"), None)


def _diverging(summary: RunSummary) -> list[Finding]:
    """Find a loss that is no number, has left all bounds, or was thrown so far that the network never came back."""
    knob = "learning_rate"
    advice = f"Take smaller steps: {_shorter(summary)}."
    if summary.status.state == "diverged":
        what = (summary.status.message or "the loss is no longer a finite number").split(";")[0]
        evidence = f"{what[:1].upper()}{what[1:]}. The learning rate was set to {summary.rate:.2g}."
        return [Finding("diverging", "It has diverged", evidence, knob, advice, "error")]
    if len(summary.losses) < 5 or summary.start <= 0:
        return []
    recent, peak = median(summary.losses[-5:]), max(summary.losses)
    if recent > RISE * summary.start:
        evidence = (
            f"The training loss is {recent:.3g}, {recent / summary.start:.1f} times that of the untrained network "
            f"({summary.start:.3g})."
        )
        return [Finding("diverging", "Diverging", evidence, knob, advice, "error")]
    last = summary.rows[-1] if summary.rows and summary.rows[-1].get("train") else None
    if last and _judged_badly(summary, last):
        evidence = (
            f"After epoch {last.epoch} the {summary.judged_on} loss is {last.judged.loss:,.3g}; before the first step "
            f"it was {summary.start:.3g}."
        )
        return [Finding("diverging", "Diverging", evidence, knob, advice, "error")]
    if last and peak > BLEW_UP * summary.start and not summary.learned(last, LEARNED / 2):
        evidence = (
            f"The training loss leapt to {peak:.3g} from {summary.start:.3g}, and after epoch {last.epoch} "
            f"{_reached(summary, last)}, as good as guessing."
        )
        return [Finding("diverging", "Diverged, and did not recover", evidence, knob, advice, "error")]
    return []


def _judged_badly(summary: RunSummary, row: EpochRow) -> bool:
    """Say whether images it did not learn from tell of a network that was thrown about.

    Of one that overfits the loss may be as high, but it is better than guessing. The running averages of batch
    normalisation are wrong for the first steps.
    """
    loss, bound = row.judged.loss, BLEW_UP * summary.start
    guesses = row.judged.score <= summary.guess.score + LEARNED / 2
    return row.step >= SETTLED and ((loss > bound and guesses) or loss > BLEW_UP * bound)


def _reached(summary: RunSummary, row: EpochRow) -> str:
    """Say what a network has learned after an epoch."""
    if summary.task.skewed:
        return (
            f"the {summary.task.metric.name} on the {summary.judged_on} images is {percent(summary.score(row))} "
            f"(calling every {summary.task.unit} the most common class gets {percent(summary.guess.score)})"
        )
    return f"{percent(row['train'].accuracy)} of the training images are right"


def _stuck(summary: RunSummary) -> list[Finding]:
    """Find a network that is no better than guessing, and tell by its weights whether its steps are too long or short.

    Whoever takes steps that are too short hardly moves its weights; too long ones throw them far, or let them wither.
    """
    rows = [row for row in summary.rows if row.get("train")]
    early = len(rows) < 2 or summary.warming_up or _few(summary, rows[-1])
    if not rows or (early and not summary.over):
        return []
    last, guessing = rows[-1], summary.guess.loss
    loss = last["train"].loss
    if (guessing - loss) / guessing >= FALL or summary.learned(last, LEARNED) or _on_its_way(summary, rows):
        return []
    if (
        summary.task.skewed
        and not _thrown(summary)
        and summary.norms
        and summary.norms[-1] > (1 + MOVED) * summary.norms[0]
    ):
        return []  # it knows how common the classes are, from where many a network goes on after a while
    evidence = (
        f"After epoch {last.epoch} the training loss is {loss:.4g} (guessing alone gets {guessing:.4g}), and "
        f"{_reached(summary, last)}."
    )
    return [_why_stuck(summary, last, evidence)]


def _why_stuck(summary: RunSummary, last: EpochRow, evidence: str) -> Finding:
    """Tell why a network learns nothing: one cause, and so one card."""
    training, model = summary.config.training, summary.config.model
    moved = summary.norms[-1] / summary.norms[0] - 1 if summary.norms and summary.norms[0] > 0 else 0.0
    if summary.norms:
        evidence += f" The norm of the weights went from {summary.norms[0]:.3g} to {summary.norms[-1]:.3g}."
    if moved < -MOVED and training.weight_decay >= 0.1:
        advice = f"It pulls the weights to zero faster than they learn: try {training.weight_decay / 10:g}."
        return Finding("too slow", "Weight decay too strong", evidence, "weight_decay", advice)
    if moved < -MOVED and training.l1:
        advice = f"It pulls the weights to zero faster than they learn: try {training.l1 / 10:g}."
        return Finding("too slow", "L1 too strong", evidence, "l1", advice)
    few = _few(summary, last)
    if moved < -MOVED and not few:
        advice = f"Each step takes a part of the weights along: {_shorter(summary)}."
        return Finding("diverging", "Its weights shrank", evidence, "learning_rate", advice, "error")
    leapt = max(summary.losses, default=0.0) > RISE * summary.start or (summary.task.skewed and _thrown(summary))
    if moved > MOVED and (not few or leapt):
        advice = f"The steps lead far, and nowhere: {_shorter(summary)}."
        return Finding("diverging", "Diverging", evidence, "learning_rate", advice, "error")
    if OPTIMIZERS[training.optimizer].full_batch:
        advice = "Gradient descent takes one step an epoch: SGD takes one a batch."
        return Finding("too slow", "Too slow", evidence, "optimizer", advice)
    if few:
        advice = f"It has taken {last.step} steps so far: train longer, or in smaller batches."
        return Finding("too slow", "Few steps", evidence, "epochs", advice, "info")
    activation = ACTIVATIONS[model.activation]
    if activation.bounded and not NORMS[model.norm].module:
        advice = f"{activation.title} passes little gradient to the first layers: try ReLU."
        return Finding("too slow", "It hardly learns", evidence, "activation", advice)
    advice = f"Take larger steps: try {min(10.0, 10 * summary.rate):.2g} in place of {summary.rate:.2g}."
    return Finding("too slow", "Too slow", evidence, "learning_rate", advice)


def _on_its_way(summary: RunSummary, rows: Sequence[EpochRow]) -> bool:
    """Say whether a network is still learning how common the classes are, which for pixels is a way by itself."""
    if not summary.task.skewed or len(rows) < 2 or _thrown(summary):
        return False
    before, now = (row["train"].loss for row in rows[-2:])
    return now < (1 - FALL) * before


def _few(summary: RunSummary, row: EpochRow) -> bool:
    """Say whether too few steps were taken to tell their length; that they are few is full-batch descent's way."""
    return row.step < FEW_STEPS and not OPTIMIZERS[summary.config.training.optimizer].full_batch


def _thrown(summary: RunSummary) -> bool:
    """Say whether the weights were thrown about: they are far larger, or a loss was far above the untrained one."""
    judged = (row[split].loss for row in summary.rows for split in ("val", "test") if row.get(split))
    grown = bool(summary.norms) and summary.norms[-1] > FAR * summary.norms[0]
    return grown or max([*summary.losses, *judged], default=0.0) > RISE * summary.start


def _oscillating(summary: RunSummary) -> list[Finding]:
    """Find losses that jump up and down in turn while the training loss stands still."""
    rows = summary.judged[-WINDOW:]
    if len(rows) < WINDOW - 2:
        return []
    losses = [row[summary.split].loss for row in rows]
    jumps = [(b - a) / max(median(losses), 1e-12) for a, b in pairwise(losses)]
    turns = sum(min(abs(a), abs(b)) > SWING and a * b < 0 for a, b in pairwise(jumps))
    half = len(rows) // 2
    before, after = (mean(row["train"].loss for row in part) for part in (rows[:half], rows[half:]))
    if turns < TURNS or after < STANDSTILL * before:
        return []
    evidence = (
        f"From epoch {rows[0].epoch} to {rows[-1].epoch} the {summary.judged_on} loss turned {turns} times between "
        f"{min(losses):.3g} and {max(losses):.3g}, while the training loss stayed at {after:.3g}."
    )
    if summary.config.training.batch_size < 16:
        advice = "So few images a step make noisy steps: try a batch of 32 or more, or a lower learning rate."
        return [Finding("oscillating", "Oscillating", evidence, "batch_size", advice, epoch=rows[0].epoch)]
    advice = (
        f"It leaps from one side of the valley to the other: try {summary.rate / 3:.2g} in place of {summary.rate:.2g}"
    )
    advice += "." if SCHEDULES[summary.config.training.schedule].lowers else ", or a schedule that lowers it."
    return [Finding("oscillating", "Oscillating", evidence, "learning_rate", advice, epoch=rows[0].epoch)]


def _overfitting(summary: RunSummary, mirrors: bool) -> list[Finding]:
    """Find a validation loss that has not fallen for some epochs while the network learns its own images by heart."""
    rows = summary.judged
    if len(rows) <= PATIENCE:
        return []
    best = min(rows, key=lambda row: row[summary.split].loss)
    last, lowest = rows[-1], best[summary.split].loss
    now = median(row[summary.split].loss for row in rows[-PATIENCE:])
    gap = last["train"].accuracy - last[summary.split].accuracy
    learned_since = last["train"].loss < (1 - WORSE) * best["train"].loss
    worse = now >= (1 + WORSE) * lowest or gap >= GAP * summary.room
    ahead = last[summary.split].loss <= last["train"].loss or gap < 0  # it generalises, whatever else
    if last.epoch - best.epoch < PATIENCE or not learned_since or not worse or ahead:
        return []
    evidence = (
        f"The {summary.judged_on} loss was lowest after epoch {best.epoch}, {lowest:.3g}, and is {now:.3g} now (the "
        f"median of {PATIENCE} epochs), while "
        f"the training loss fell from {best['train'].loss:.3g} to {last['train'].loss:.3g}. "
        f"{percent(last['train'].accuracy)} of the {summary.counted}training images are right, and "
        f"{percent(last[summary.split].accuracy)} of the {summary.counted}{summary.judged_on} images."
    )
    knob, advice = _against_overfitting(summary.config, mirrors)
    return [Finding("overfitting", "Overfitting", evidence, knob, advice, epoch=float(best.epoch))]


def _against_overfitting(config: RunConfig, mirrors: bool) -> tuple[str, str]:
    """Return the first of the usual remedies that is not taken yet; a mirrored digit or letter is none."""
    if config.data.images_per_class:
        return "images_per_class", "Learn from more images: 0 takes all of them."
    if mirrors and not config.data.flip:
        return "flip", "Show each image mirrored, too: one does the work of two. Shifts help in the same way."
    if not config.data.shift:
        return "shift", "Shift the images by a few pixels, so that none is ever seen twice alike."
    if config.model.dropout < 0.2:
        return "dropout", "Silence some units at random: try 0.3."
    return "epochs", "Stop sooner, or take a smaller network: it has seen what there is to see."


def _underfitting(summary: RunSummary) -> list[Finding]:
    """Find a run that ends with its own training images half unlearned."""
    rows = summary.judged
    if len(rows) < PATIENCE or (not summary.over and summary.share < ENDGAME):
        return []
    last = rows[-1]
    train, judged = last["train"].accuracy, last[summary.split].accuracy
    chance = summary.guess.accuracy
    way = (max(train, judged) - chance) / max(1 - chance, 1e-9)
    peak = max(summary.losses, default=0.0)
    leapt = peak > RISE * summary.start
    if way >= HALF_WAY or (train - judged > CLOSE * summary.room and not leapt):
        return []
    guessed = f" (calling all of them the most common class gets {percent(chance)})" if summary.task.skewed else ""
    evidence = (
        f"After epoch {last.epoch}, {percent(train)} of the {summary.counted}training images are right and "
        f"{percent(judged)} of the {summary.counted}{summary.judged_on} images{guessed}: it does not even know what "
        "it has seen."
    )
    if leapt:
        evidence += f" Its training loss had leapt to {peak:.3g} from {summary.start:.3g}."
        advice = f"Its steps are too long: {_shorter(summary)}."
        return [Finding("underfitting", "Underfitting", evidence, "learning_rate", advice)]
    knob, advice = _against_underfitting(summary, rows)
    return [Finding("underfitting", "Underfitting", evidence, knob, advice, "info")]


def _against_underfitting(summary: RunSummary, rows: Sequence[EpochRow]) -> tuple[str, str]:
    """Return what holds a run back, as far as its knobs and its loss tell."""
    training, last = summary.config.training, rows[-1]
    # Each step shrinks the weights by the share rate · decay, so after 1 / (rate · decay) steps little of one is left.
    kept, epoch = 1 / max(summary.rate * training.weight_decay, 1e-12), last.step / last.epoch
    before = rows[max(0, (3 * len(rows)) // 4 - 1)]["train"].loss
    falling = (before - last["train"].loss) / before
    if kept < epoch:
        advice = f"Within {kept:.0f} steps it has pulled a weight to zero, and an epoch takes {epoch:.0f}: "
        return "weight_decay", f"{advice}try {training.weight_decay / 10:g}."
    if summary.config.model.dropout > 0.5:
        return "dropout", f"Silence fewer units: {summary.config.model.dropout:g} leaves little to learn with."
    if falling > STILL_FALLING:
        what = f"the training loss still fell by {percent(falling)} in the last quarter of the run"
        return "epochs", f"Train longer: {what}."
    if not SCHEDULES[training.schedule].lowers:
        advice = "Its steps are as long as at the start: let a schedule lower them; then try a larger network."
        return "schedule", advice
    return "channels", "Take a larger network: more channels, or one more block."


def _shorter(summary: RunSummary) -> str:
    return f"try {max(summary.rate / 10, 1e-6):.2g} in place of {summary.rate:.2g}"
