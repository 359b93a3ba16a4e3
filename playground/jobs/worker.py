"""A worker: trains one run and writes what happens into its folder, until it is done or told to end.

What a reader may rely on, whenever the worker is killed:

- A row is written before the state that lies behind it, so a resume never starts after a row that is missing.
- Rows that a resume starts before are computed again at the same steps, with the same figures.
- Knobs that were changed on the way are changed again at the same step.
"""

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.config import LIVE_KNOBS, ConfigError, RunConfig, from_flat
from playground.events import Batch, Change, Diverged, Epoch, Event, Progress, Snapshot, to_row
from playground.geometry import layers
from playground.jobs import queue
from playground.jobs.control import Control
from playground.jobs.explain import explain_end
from playground.jobs.memory import keep_freed_memory
from playground.jobs.process import DISK_FULL
from playground.jobs.slots import Slot
from playground.runs import Resumed, RunError, RunFolder, Status
from playground.runs.files import is_full
from playground.runs.status import find_best_fields

PAUSE_LIMIT = 600.0
"""Seconds after which a paused worker saves its state and gives its memory back; the run stays paused."""
STATUS_SECONDS = 0.2
"""The status is replaced at most this often while nothing but its figures changes."""

Watch = Callable[[Event | str, Status], None]


class Ended(Exception):
    """The run ends here, in this state."""

    def __init__(self, state: str, message: str = "") -> None:
        super().__init__(state)
        self.state, self.message = state, message


def run_worker(run: RunFolder, slot: Slot, watch: Watch | None = None) -> Status:
    """Train a queued run in this process until it is done, told to end, or fails; return its last status.

    Args:
        watch: called with every event, or with a line about the preparation, and the status.

    Raises:
        RunError: another worker is at it, or it does not wait to be started.
    """
    with run.hold():
        status = run.status()
        if status.state != "queued":
            raise RunError(f"run {run.name} is {status.state}, not queued")
        worker = Worker(run, slot, watch)
        with worker.control.listening():
            return worker.run_to_end()


class Worker:
    """One run's trip from queued to its end. Its lock must be held."""

    def __init__(self, run: RunFolder, slot: Slot, watch: Watch | None = None) -> None:
        self.run, self.slot, self.watch = run, slot, watch
        self.control = Control(run)
        self.status = run.status()
        self.written = 0.0  # when the status was written last
        self.paused = False
        self.until = ""  # "step" or "epoch": what to pause after …
        self.left = 0  # … and how many of them
        self.ending: Ended | None = None
        self.sets: dict[str, float] = {}  # knobs that people gave a new value, which waits
        self.replay: list[tuple[int, str, float]] = []  # (step, knob, value) that a killed worker had set
        self.due: dict[str, float] = {}  # of these, what is to be set again at this step
        self.acknowledged = 0  # the last step of a killed worker's rows: up to it all is computed again as it was
        self.again: tuple[int, ...] = ()  # the steps of a killed worker's rows that come again
        self.step = -1
        self.between_steps = False

    # From start to end

    def run_to_end(self) -> Status:
        try:
            self.set_status("preparing", started=self.status.started or time.time(), finished=None, message="")
            queue.remove_from_queue(self.run.id)
            self.train()
            self.finish("finished")
        except Ended as end:
            self.finish(end.state, end.message)
        except KeyboardInterrupt:
            self.finish("interrupted", "ended before its state was saved; it resumes from its last epoch")
        except Exception as error:  # a worker has nobody above it: whatever happens ends as a line in the status
            with contextlib.suppress(OSError):  # the log's disk may be full
                traceback.print_exc()
            self.finish("failed", explain_end(error, self._config()))
        return self.status

    def _config(self) -> RunConfig | None:
        with contextlib.suppress(ValueError):
            return self.run.config
        return None

    def finish(self, state: str, message: str = "") -> None:
        self.set_status(state, message=message, finished=None if state == "paused" else time.time())
        if state in ("finished", "diverged"):
            self.run.drop_resume()

    def set_status(self, state: str, **changes: Any) -> None:
        """Write the status."""
        self.status = self.run.set_status(**{**vars(self.status), "state": state, **changes})
        self.written = time.monotonic()

    def train(self) -> None:
        """Load the data, take up where the run stands, and follow its events."""
        import torch

        from playground.data.load import load_dataset
        from playground.training import choose_device, fit

        device = str(choose_device(self.slot.device))
        self.set_status("preparing", device=device, threads=self.slot.threads)
        torch.set_num_threads(self.slot.threads)
        keep_freed_memory()
        config = from_flat({"device": device, "threads": self.slot.threads}, base=self.run.config)
        data = load_dataset(config.data.dataset, progress=self.on_load)
        if self.run.about.dataset != data.info:  # a resumed run says it already, and may be renamed at this moment
            self.run.describe(dataset=data.info)
        network = layers(config.model, data.info.shape, data.info.num_classes, data.info.task)
        resume = self.load_resume()
        self.set_status("running", message="", parameters=sum(layer.parameters for layer in network))
        events = fit(config, data, resume, self.again)
        reply: Mapping[str, Any] | None = None
        with contextlib.closing(events):
            while True:
                try:
                    event = events.send(reply)
                except StopIteration:
                    return
                reply = self.on_event(event)
                if self.watch:
                    self.watch(event, self.status)

    def on_load(self, progress: Any) -> None:
        """Show how far a download is, and obey a stop. Raises Ended, which cancels the download."""
        done, total = progress.done, progress.total
        share = f" {done / total:.0%}" if total else ""
        if time.monotonic() - self.written > STATUS_SECONDS:
            self.set_status("preparing", message=f"{progress.what}{share}")
        if self.watch:
            self.watch(f"{progress.what}{share}", self.status)
        self.handle_commands()
        if self.ending:
            raise self.ending

    def load_resume(self) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """Read the state to resume from and say so in the rows, which tells readers which of them count."""
        self.run.mend_tail()
        rows = self.run.rows()
        try:
            saved = self.run.load_resume()
        except RunError as error:
            raise RunError(f"{error}; its kept epochs are intact: duplicate the run to train it again") from None
        step = int(saved[1]["step"]) if saved else -1
        changes = {(row.step, row.knob): row.new for row in rows if isinstance(row, Change)}
        for row in rows:
            if isinstance(row, Resumed):  # it may itself have been killed before it came to them
                changes = {(s, knob): new for s, knob, new in row.changes} | changes
        self.replay = [(s, knob, new) for (s, knob), new in sorted(changes.items()) if s > step]
        self.acknowledged = max((row.until if isinstance(row, Resumed) else row.step for row in rows), default=0)
        reported = {row.step for row in rows if isinstance(row, Progress)}
        reported |= {seen for row in rows if isinstance(row, Resumed) for seen in row.again}
        self.again = tuple(sorted(seen for seen in reported if seen > step))
        if rows:
            self.run.append(Resumed(step, time.time(), tuple(self.replay), self.acknowledged, self.again))
        if saved:
            saved[1]["changed"] |= {knob: new for (s, knob), new in sorted(changes.items()) if s <= step}
        self.step = step
        return saved

    # Event by event

    def on_event(self, event: Event) -> Mapping[str, Any] | None:
        """Write an event down and return what to send to the network's side."""
        match event:
            case Batch():
                self.between_steps = event.step > self.step
                self.step = event.step
                if self.between_steps:
                    self.count_down("step")
            case Progress():
                self.run.append(event)
                self.on_progress(event)
                return None
            case Change():
                self.run.append(event)
            case Epoch():
                self.on_epoch(event)
            case Snapshot():
                self.on_snapshot(event)
            case Diverged():
                self.run.append(event)
                raise Ended("diverged", f"step {event.step}: {event.what}; a smaller learning rate may help")
        return self.answer()

    def on_snapshot(self, event: Snapshot) -> None:
        """Keep the exact state, and end if that is what it was asked for; a stop works on a full disk, too."""
        try:
            self.run.save_resume(event.tensors, event.facts)
        except OSError as error:
            if not self.ending:
                raise
            why = f"its exact state could not be saved: {explain_end(error)}; it resumes from its last epoch"
            raise Ended(self.ending.state, why) from None
        self.status = replace(self.status, step=event.step, seconds=event.facts["seconds"])
        if self.ending:
            raise self.ending

    def on_progress(self, event: Progress) -> None:
        steps = round(event.step / event.epoch * self.run.config.training.epochs)
        changes = {
            "step": event.step,
            "total_steps": steps,
            "seconds": event.seconds,
            "images_per_second": event.images_per_second,
        }
        self.status = replace(self.status, **changes)
        if time.monotonic() - self.written > STATUS_SECONDS:
            self.set_status(self.status.state)

    def on_epoch(self, event: Epoch) -> None:
        """Keep an epoch: first its row, then its weights, then the state to resume from."""
        self.run.append(to_row(event))
        tensors = event.snapshot.tensors
        weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        # A study puts the folds' predictions together; nobody asks for those of a validation share.
        val_probs = event.val_probs if self.run.config.data.folds else None
        self.run.save_epoch(event.epoch, weights, event.test_probs, val_probs)
        self.run.save_resume(tensors, event.snapshot.facts)
        before = self.status  # whose best is replaced by the rule of `best_row`
        better = not before.best_epoch or before.best_score is None or event.judged.score > before.best_score
        best = find_best_fields(event) if better or not event.val else {}
        self.set_status(
            self.status.state,
            epoch=event.epoch,
            epochs=self.run.config.training.epochs,
            step=event.step,
            seconds=event.seconds,
            **best,
        )
        self.between_steps = True
        self.step = event.step
        self.count_down("epoch")

    # What is asked of it

    def answer(self) -> Mapping[str, Any] | None:
        """Obey what is asked and return what to send; while the run is paused, wait here."""
        while self.between_steps and self.replay and self.replay[0][0] <= self.step:
            _, knob, value = self.replay.pop(0)
            self.due[knob] = value
        since = time.monotonic()
        while True:
            self.handle_commands()
            if self.ending:
                return {"snapshot": True}
            # What people ask now waits until the rows that they have seen are there again.
            waiting = self.due or (self.sets if self.step >= self.acknowledged else {})
            if waiting and self.between_steps:
                knob = next(iter(waiting))
                return {knob: waiting.pop(knob)}
            if not self.paused:
                if self.status.state == "paused":
                    self.set_status("running")
                return {"report": True} if self.until == "step" else None
            if self.status.state != "paused":
                self.set_status("paused", step=max(self.step, 0))
            if not self.run.path.exists():
                raise Ended("interrupted", "its folder is gone")
            if time.monotonic() - since > PAUSE_LIMIT:
                self.ending = Ended("paused", "paused for long, so its memory was given back; play goes on from here")
            time.sleep(0.02)

    def ask_for(self, what: str) -> None:
        """Go on for one more step or epoch; three that are asked for before the first is done are three."""
        self.left = self.left + 1 if self.until == what else 1
        self.paused, self.until = False, what

    def count_down(self, what: str) -> None:
        """Note that a step or an epoch is done, and pause after the last one asked for."""
        if self.until == what:
            self.left -= 1
            if not self.left:
                self.paused, self.until = True, ""

    def handle_commands(self) -> None:
        for command in self.control.read():
            self.handle_command(command)

    def handle_command(self, command: Mapping[str, Any]) -> None:
        match command.get("do"):
            case "pause":
                self.paused, self.until = True, ""
            case "play":
                self.paused, self.until = False, ""
            case "step_batch":
                self.ask_for("step")
            case "step_epoch":
                self.ask_for("epoch")
            case "stop":
                self.ending = Ended("stopped", " ".join(str(command.get("why", "")).split())[:200])
            case "interrupt":
                self.ending = Ended("interrupted", "ended with the program; it resumes from exactly here")
        wanted = command.get("set")
        for knob, value in wanted.items() if isinstance(wanted, dict) else ():
            if knob not in LIVE_KNOBS:
                continue
            try:
                from_flat({knob: value}, base=self.run.config)
            except ConfigError as error:
                print(error, file=sys.stderr)
            else:
                self.sets[knob] = float(value)


def run_worker_quietly(run: RunFolder, slot: Slot) -> int:
    """Do `work` in a process of its own and return its exit code; a run that is taken or not queued is no failure."""
    try:
        run_worker(run, slot)
    except RunError as error:
        print(error, file=sys.stderr)
    except OSError as error:  # not even its last status can be written
        with contextlib.suppress(OSError):
            print(error, file=sys.stderr)
        return DISK_FULL if is_full(error) else 1
    return 0


if __name__ == "__main__":  # where fork is unsafe
    sys.exit(run_worker_quietly(RunFolder(Path(sys.argv[1])), Slot(sys.argv[2], int(sys.argv[3]))))
