"""The driver of a study: asks Optuna which values to try next, and stops runs that fall behind.

`python -m playground.studies.driver FOLDER` is a process of its own. It holds the study's lock, trains nothing, and
keeps all it knows in the folder: Optuna's journal, and the members. Killed at any time, the next one goes on: trials
that were asked for but have no run get one, and runs that went on meanwhile are taken up where they stand.

Values come from the tree-structured Parzen estimator (Bergstra et al., 2011); a run is stopped when it is behind the
median of those before it at the same epoch (Golovin et al., "Vizier", 2017, section 3.2).
"""

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from playground import locks
from playground.config import KNOBS, RunConfig, rename
from playground.jobs import client
from playground.runs import RunFolder, RunReader
from playground.studies.lifecycle import PRUNED, count_slots
from playground.studies.results import read_score
from playground.studies.space import Axis, as_text, try_values
from playground.studies.study import StudyFolder, member_base

TICK = 0.1
ALONE = 6.0
"""Seconds without a job service after which a driver ends; somebody who starts one again also starts the driver."""
ATTEMPTS = 10
"""At most so many times as many values are tried as runs are wanted: some make no network, some were tried before."""


def log(text: str) -> None:
    """Write a line to driver.log."""
    print(time.strftime("%Y-%m-%d %H:%M:%S"), text, flush=True)


class Driver:
    """One study's trip to its end. Its lock must be held."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder, self.asked = folder, folder.study
        self.base = member_base(self.asked.base)
        self.slots = count_slots(self.asked.base)
        self.trials = _open_journal(folder)
        self.feeds: dict[int, RunReader] = {}  # of members that are not over, by trial number
        self.handles: dict[int, Any] = {}  # optuna.trial.Trial of each
        self.reported: dict[int, int] = {}  # the latest epoch that Optuna knows
        self.tried: dict[RunConfig, int] = {}
        self.served_at = time.monotonic()

    def loop(self) -> None:
        """Add and follow members until there are no more."""
        self.find_members()
        while not (why := self.tick()):
            time.sleep(TICK)
        log(why)

    def tick(self) -> str:
        """Follow the members and add what fits; return why this is the end, or nothing if it goes on."""
        if self.folder.marked("stopped"):  # before its runs are looked at: they are stopped, but not judged
            for feed in self.feeds.values():
                client.stop_run(feed.run)
            return "stopped"
        if "interrupted" in [self.follow(number) for number in list(self.feeds)]:
            return "the runs were interrupted with the program, and so is this"
        while len(self.feeds) < self.slots and self.add():
            pass
        if not self.feeds:
            self.folder.mark("done")
            return "done"
        if client.is_alive():
            self.served_at = time.monotonic()
        elif time.monotonic() - self.served_at > ALONE:
            return "the job service is gone, and so is this"
        return ""

    def find_members(self) -> None:
        """Go on from where an earlier driver was killed."""
        from optuna.trial import Trial, TrialState

        lost = self.folder.lost_runs()
        runs = {member.number: member.run for member in self.folder.members()}
        for frozen in self.trials.get_trials(deepcopy=False):
            if frozen.state != TrialState.RUNNING:
                continue
            self.handles[frozen.number] = Trial(self.trials, frozen._trial_id)
            if frozen.number not in runs:
                if len(frozen.params) < len(self.asked.axes):  # killed in the middle of asking
                    self.trials.tell(frozen.number, state=TrialState.FAIL)
                    continue
                params = rename(frozen.params)
                self.begin(frozen.number, {name: _text(name, v) for name, v in params.items()}, lost)
            elif run := runs[frozen.number]:
                self.feeds[frozen.number] = RunReader(run)
            else:  # deleted
                self.trials.tell(frozen.number, state=TrialState.FAIL)
        for number, run in runs.items():
            if run and number not in self.feeds:
                self.tried[run.config] = number

    # Asking

    def add(self) -> bool:
        """Ask for values and begin a run with them; False if the study has all it wants."""
        wanted = self.asked.count
        while len(self.folder.members()) < wanted and len(self.trials.get_trials(deepcopy=False)) < ATTEMPTS * wanted:
            trial = self.trials.ask()
            self.handles[trial.number] = trial
            values = {axis.knob: _suggest(trial, axis) for axis in self.asked.axes}
            if self.begin(trial.number, values, {}):
                return True
        return False

    def begin(self, number: int, values: dict[str, str], lost: dict[int, RunFolder]) -> bool:
        """Begin a run, unless the values make no network or were tried before."""
        from optuna.trial import TrialState

        config, why = try_values(self.base, values)
        if config is None:
            self.folder.append({"type": "left_out", "values": values, "why": why})
            self.trials.tell(number, 0.0)  # a failure would teach nothing, and the same would be tried again and again
            return False
        if config in self.tried:
            self.trials.tell(number, state=TrialState.FAIL)
            random = np.random.default_rng((self.asked.seed, number))
            self.trials.enqueue_trial({axis.knob: _typed(axis, axis.draw(random)) for axis in self.asked.axes})
            return False
        self.tried[config] = number
        self.feeds[number] = RunReader(self.folder.add(number, values, config, lost.get(number)))
        log(f"trial {number}: {values}")
        return True

    # Following

    def follow(self, number: int) -> str:
        """Report a member's new epochs, prune it or take note of its end; return its state."""
        from optuna.trial import TrialState

        feed, trial = self.feeds[number], self.handles[number]
        feed.update()
        epochs = [row for row in feed.epochs if row.epoch > 0]
        for row in epochs:
            if row.epoch > self.reported.get(number, 0):
                trial.report(read_score(row), row.epoch)  # again after a kill, which changes nothing
                self.reported[number] = row.epoch
                if self.asked.prune and feed.status.active and trial.should_prune():
                    feed.run.command(do="stop", why=f"{PRUNED}: behind the median after epoch {row.epoch}")
                    break
        state = feed.status.state
        if feed.status.active or state == "interrupted":
            return state
        if state in ("finished", "diverged"):
            # To have diverged teaches as much as a low accuracy does: not to look there again.
            value = read_score(epochs[-1]) if epochs and state == "finished" else 0.0
            self.trials.tell(number, value)
        else:
            self.trials.tell(number, state=TrialState.PRUNED if epochs and state == "stopped" else TrialState.FAIL)
        del self.feeds[number]
        log(f"trial {number}: {state} {feed.status.message}".rstrip())
        return state


def _suggest(trial: Any, axis: Axis) -> str:
    if not axis.is_range:
        return trial.suggest_categorical(axis.knob, list(axis.values))
    if KNOBS[axis.knob].kind == "int":
        return _text(axis.knob, trial.suggest_int(axis.knob, int(axis.low), int(axis.high), log=axis.log))
    return _text(axis.knob, trial.suggest_float(axis.knob, axis.low, axis.high, log=axis.log))


def _typed(axis: Axis, value: str) -> str | int | float:
    """Return a value as Optuna knows it."""
    if not axis.is_range:
        return value
    return int(value) if KNOBS[axis.knob].kind == "int" else float(value)


def _text(knob: str, value: Any) -> str:
    return as_text(value) if isinstance(value, float) and KNOBS[knob].kind == "float" else str(value)


def _open_journal(folder: StudyFolder) -> Any:
    """Open Optuna's study, made if it is not there."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    class Ours(JournalFileOpenLock):
        """No lock of its own: the study's lock keeps others out, and the kernel releases it."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    asked, journal = folder.study, folder.path / "journal.log"
    if journal.exists() and (content := journal.read_bytes()) and not content.endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)  # whoever wrote it was killed
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal), Ours(str(journal)))),
        study_name=folder.id,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(3, max(1, asked.base.training.epochs // 3), n_min_trials=3),
        load_if_exists=True,
    )
    # After a kill with other random numbers: the same seed would ask again for what was asked for first.
    seed = asked.seed + (len(trials.get_trials(deepcopy=False)) << 16)
    random_first = min(10, max(3, asked.count // 3))
    trials.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=random_first)
    return trials


def main(path: str) -> int:
    """Be the study's driver, unless there is one already."""
    folder = StudyFolder(Path(path))
    lock = locks.take(folder.path / "lock", wait=2)  # whoever looks whether we live holds it for microseconds
    if lock is None:
        return 0
    log(f"starts, process {os.getpid()}")
    warnings.simplefilter("ignore")
    with lock:
        Driver(folder).loop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
