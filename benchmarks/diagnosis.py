"""Does the diagnosis say what is wrong, and keep silent where nothing is? Trains runs of both kinds and asks it.

    python -m benchmarks.diagnosis HOME [--seeds 3] [--only NAME ...] [--no-train]

HOME keeps the runs, so that another set of rules can be asked about the same runs with --no-train. A healthy run must
get no card after any epoch; a provoked one must end with its card, and with no card that says the contrary.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from playground.diagnosis import Finding
    from playground.runs import RunFolder

HEALTHY: dict[str, dict[str, object]] = {
    "default": {},
    "batch norm, flip, dropout": {"dropout": 0.3},
    "good": {"preset": "good", "epochs": 6},
    "pixels": {"preset": "pixels"},
    "80 photos": {"dataset": "two-kinds"},
}
SMALLER = {("underfitting", "channels"), ("underfitting", "epochs")}
SMALL = {"images_per_class": 300, "epochs": 8}
PROVOKED: dict[str, tuple[dict[str, object], set[tuple[str, str]]]] = {
    "learning rate 5": (SMALL | {"learning_rate": 5}, {("diverging", "learning_rate")}),
    "learning rate 1": (SMALL | {"learning_rate": 1}, {("diverging", "learning_rate")}),
    "learning rate 0.3": (
        SMALL | {"learning_rate": 0.3},
        {("diverging", "learning_rate"), ("oscillating", "learning_rate"), ("underfitting", "learning_rate")},
    ),
    "learning rate 1e-6": (SMALL | {"learning_rate": 1e-6}, {("too slow", "learning_rate")}),
    "gradient descent": (SMALL | {"optimizer": "gradient_descent"}, {("too slow", "optimizer")}),
    "30 images a class": (
        {"images_per_class": 30, "epochs": 60, "flip": False},
        {("overfitting", "images_per_class")},
    ),
    "1 channel": (SMALL | {"channels": "1-1-1", "fc_width": 0}, SMALLER),
    "2 channels": (SMALL | {"channels": "2-2-2", "fc_width": 0}, SMALLER),
    "sigmoid in 4 blocks": (
        SMALL | {"activation": "sigmoid", "channels": "16-32-64-64", "norm": "none", "optimizer": "sgd"},
        {("too slow", "activation")},
    ),
    "sigmoid, Adam 0.05": (
        SMALL | {"activation": "sigmoid", "optimizer": "adam", "learning_rate": 0.05, "norm": "none"},
        {("too slow", "activation"), ("saturation", "activation"), ("diverging", "learning_rate")},
    ),
    "tanh 0.5": (
        SMALL | {"activation": "tanh", "learning_rate": 0.5, "norm": "none"},
        {("diverging", "learning_rate"), ("saturation", "learning_rate"), ("underfitting", "learning_rate")},
    ),
    "relu, Adam 0.02": (
        SMALL | {"optimizer": "adam", "learning_rate": 0.02, "norm": "none", "schedule": "constant"},
        {("dead units", "learning_rate"), ("diverging", "learning_rate"), ("oscillating", "learning_rate")},
    ),
    "weight decay 1": (
        SMALL | {"weight_decay": 1, "learning_rate": 0.05},
        {("too slow", "weight_decay"), ("underfitting", "weight_decay")},
    ),
    "Adam 0.02, constant": (
        SMALL | {"optimizer": "adam", "learning_rate": 0.02, "schedule": "constant"},
        {("oscillating", "learning_rate"), ("diverging", "learning_rate"), ("underfitting", "learning_rate")},
    ),
    "a rare class": ({"dataset": "one-rare", "epochs": 8}, {("never predicted", "class_weights")}),
}


def make_sets() -> None:
    """Make two small data sets of bundled images: 40 each of two classes, and three classes with one of 8 images."""
    from playground.data import catalog, store
    from playground.data.catalog import DatasetInfo

    data = store.open_arrays("cifar10-mini")

    def keep(name: str, title: str, counts: Sequence[int], tests: int) -> None:
        if catalog.is_ready(name):
            return
        train = [np.flatnonzero(data.train_targets == c)[:count] for c, count in enumerate(counts)]
        test = [np.flatnonzero(data.test_targets == c)[:tests] for c in range(len(counts))]
        rows, judged = np.concatenate(train), np.concatenate(test)
        info = DatasetInfo(
            name, title, data.info.classes[: len(counts)], 3, 32, len(rows), len(judged), "none", "bundled", "none"
        )
        store.write_arrays(
            info,
            data.train_images[rows],
            data.train_targets[rows],
            data.test_images[judged],
            data.test_targets[judged],
        )

    keep("two-kinds", "Two kinds", (32, 32), 8)
    keep("one-rare", "One is rare", (300, 300, 8), 50)


def find(name: str, knobs: dict[str, object], seed: int, train: bool) -> "RunFolder | None":
    """Return the run of a setting and a seed, trained if need be; None where it is not there and may not be trained."""
    from playground import runs
    from playground.config import RunConfig, from_flat
    from playground.jobs.slots import Slot
    from playground.jobs.worker import run_worker
    from playground.presets import PRESETS

    title = f"{name} · seed {seed}"
    run = next((run for run in runs.list_runs() if run.name == title), None)
    if run is None and train:
        wanted = dict(knobs)
        preset = wanted.pop("preset", "")
        base = PRESETS[str(preset)].config if preset else RunConfig()
        run = runs.create_run(from_flat(wanted | {"seed": seed, "device": "cpu", "threads": 1}, base), title)
    if run is not None and run.status().state == "queued" and train:
        run_worker(run, Slot("cpu", 1))
    return run if run is not None and not run.status().active else None


def ask(run: "RunFolder", epochs: int | None = None) -> list[tuple[str, str]]:
    """Return (kind, knob) of each card after so many epochs; after all of them, of the units too."""
    from playground.diagnosis import diagnose
    from playground.runs import RunReader
    from playground.tasks import TASKS
    from playground.ui.common.diagnosis import count_classes

    feed = RunReader(run)
    feed.update()
    rows, status = feed.epochs, run.status()
    if epochs is not None:
        rows, status = rows[: epochs + 1], replace(status, state="running")
    last = rows[-1].step if rows else 0
    kept = sum(step <= last for step in feed.progress.get("step", ()))
    progress = {name: column[:kept] for name, column in feed.progress.items()}
    found = diagnose(
        run.config, status, progress, rows, feed.changes, run.dataset.classes, count_classes(run.config.data.dataset)
    )
    if epochs is None and "inside" in TASKS[run.dataset.task].pages:
        found = found + examined(run, found)
    return [(finding.kind, finding.knob) for finding in found]


def examined(run: "RunFolder", found: "Sequence[Finding]") -> "list[Finding]":
    """Return what the units of the first and the last kept epoch give away, beside what was found already."""
    from playground.diagnosis import can_explain, examine_units
    from playground.ui.common.diagnosis import examine_run

    epoch = run.epochs()[-1]
    return examine_units(*examine_run(run, epoch), epoch, found) if can_explain(found) else []


def main() -> None:
    """Train what is missing, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--no-train", action="store_true")
    options = parser.parse_args()
    os.environ["PLAYGROUND_HOME"] = str(options.home)
    options.home.mkdir(parents=True, exist_ok=True)
    make_sets()
    alarms = misses = asked = 0
    for seed in range(options.seeds):
        for name, knobs in HEALTHY.items():
            if options.only and name not in options.only:
                continue
            if (run := find(name, knobs, seed, not options.no_train)) is None:
                continue
            asked += 1
            cards = {card for epochs in range(len(run.epochs())) for card in ask(run, epochs)} | set(ask(run))
            alarms += bool(cards)
            print(f"healthy   seed {seed}  {name:28} {'silent' if not cards else sorted(cards)}", flush=True)
        for name, (knobs, wanted) in PROVOKED.items():
            if options.only and name not in options.only:
                continue
            if (run := find(name, knobs, seed, not options.no_train)) is None:
                continue
            asked += 1
            cards = ask(run)
            right = any(card in wanted for card in cards) and len(cards) <= 2
            misses += not right
            print(f"provoked  seed {seed}  {name:28} {'right' if right else 'MISS '} {cards}", flush=True)
    print(f"{asked} runs: {alarms} false alarms, {misses} misses")


if __name__ == "__main__":
    main()
