"""The training loop: a config and data go in, events come out. No files, no processes, no screen.

    for event in fit(config, arrays):
        ...

`fit` is a generator, so whoever reads it sets the pace: not asking for the next event is a pause, closing it is a
stop, and a mapping can be sent in at any event:

    events.send({"learning_rate": 1e-4})   a new value for one of `LIVE_KNOBS`; answered with a Change
    events.send({"report": True})          the next step reports a Progress
    events.send({"snapshot": True})        answered with a Snapshot, to resume from exactly

Every epoch starts its own random numbers from (seed, epoch), so a run that resumes meets the same images in the same
order under the same augmentation: same seed, config, machine and thread count give bit-equal weights.
"""

from collections.abc import Generator, Iterable, Mapping
from typing import Any

import numpy as np

from playground.config import LIVE_KNOBS, RunConfig
from playground.data.store import Arrays
from playground.events import Batch, Change, Diverged, Epoch, Event, Progress, Scores
from playground.training.trainer import Trainer

Commands = Mapping[str, Any] | None
Resume = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]


def fit(
    config: RunConfig, data: Arrays, resume: Resume | None = None, again: Iterable[int] = ()
) -> Generator[Event, Commands, None]:
    """Train the network that the knobs describe and tell what happens.

    Args:
        resume: (tensors, facts) of a Snapshot of the same config, to go on from exactly there.
        again: steps behind it that had a Progress before. Up to the last of them these have one, and no others: a clock
            does not repeat itself, and a mean over other steps would be another figure.

    Yields:
        Epoch 0 (unless resumed), then for each step a Batch, now and then a Progress, and an Epoch at the end of each;
        Change and Snapshot in answer to what is sent in; Diverged as the last one, if it does.

    Raises:
        ConfigError, ResumeError: the network, the device or the saved state cannot be used; one line.
    """
    trainer = Trainer(config, data)
    trainer.reports.repeat(again)
    if resume is not None:
        trainer.restore(*resume)
    else:
        yield from _emit(trainer, trainer.end_epoch(None))
    while trainer.epoch < config.training.epochs:
        end = yield from _epoch(trainer)
        yield from _emit(trainer, end)
        if isinstance(end, Diverged):
            return


def _emit(trainer: Trainer, event: Event) -> Generator[Event, Commands, None]:
    """Yield an event and do what is sent back; what is sent at an answer is done too."""
    pending = [event]
    while pending:
        with trainer.clock.paused():
            reply = (yield pending.pop(0)) or {}
        for knob in LIVE_KNOBS:
            if knob in reply:
                old, new = trainer.change(knob, reply[knob])
                pending.append(Change(trainer.step / trainer.steps_per_epoch, trainer.step, knob, old, new))
        if reply.get("snapshot"):
            pending.append(trainer.snapshot())
        if reply.get("report"):
            trainer.reports.ask()


def _epoch(trainer: Trainer) -> Generator[Event, Commands, Epoch | Diverged]:
    """Take one pass over the training images, or the rest of it after a resume."""
    order = trainer.order()
    if not trainer.batch:
        trainer.reports.start_timing(trainer.clock())
    while trainer.batch < trainer.batches_per_epoch:
        if trainer.take_batch(order):
            if trainer.reports.is_due(trainer.step + 1, trainer.clock()):
                event = _report(trainer)
                if isinstance(event, Diverged):
                    return event
                yield from _emit(trainer, event)
                trainer.reports.start_timing(trainer.clock())
            else:
                trainer.update()
        yield from _emit(trainer, Batch(trainer.epoch, trainer.step))
    rest, bad_step = trainer.reports.read()
    if bad_step is not None:
        return Diverged(trainer.step / trainer.steps_per_epoch, bad_step, "the loss is no longer a finite number")
    loss, hits, images = trainer.reports.close_epoch(rest)
    trainer.start_epoch(trainer.epoch + 1)
    return trainer.end_epoch(Scores(float(loss / images), float(hits / images)))


def _report(trainer: Trainer) -> Progress | Diverged:
    """Take the step that is due and measure what happened since the last report."""
    epoch = (trainer.step + 1) / trainer.steps_per_epoch
    sums, bad_step = trainer.reports.read()
    if bad_step is not None:
        return Diverged(epoch, bad_step, "the loss is no longer a finite number")
    gradient = trainer.norm([p.grad for p in trainer.parameters if p.grad is not None])
    rate = trainer.learning_rate()
    trainer.update()
    weight = trainer.norm([p.detach() for p in trainer.parameters])
    if not np.isfinite(gradient) or not np.isfinite(weight):
        return Diverged(epoch, trainer.step, "a gradient or a weight is no longer a finite number")
    trainer.reports.close(sums)
    loss, hits, images = sums.tolist()
    seconds = trainer.clock()
    speed = images / max(seconds - trainer.reports.since, 1e-9)
    return Progress(epoch, trainer.step, seconds, loss / images, hits / images, rate, gradient, weight, speed)
