"""`playground train`: a flag for every knob, in the foreground or, with --detach, in the background."""

import argparse
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from playground import interrupts
from playground.cli.parser import FAILED
from playground.config import KNOBS, RENAMED, ConfigError, Knob, RunConfig, from_flat, from_json
from playground.data.catalog import find_info
from playground.geometry import layers
from playground.jobs import client, slots
from playground.presets import PRESETS
from playground.runs import METRICS, RunFolder, Status, create_run, open_run


def add(commands: Any) -> None:
    """Add the command."""
    train = commands.add_parser(
        "train",
        help="train a network",
        description="Train a network. It shows in the app while it trains. Ctrl-C saves its exact state.",
        epilog="A knob on the command line goes before the config file, which goes before the preset.",
    )
    train.add_argument("--preset", choices=PRESETS, help="begin with these knobs")
    train.add_argument("--config", type=Path, metavar="FILE", help="begin with a run's config.json")
    train.add_argument("--name", default="", help="what to call the run")
    train.add_argument("--detach", action="store_true", help="train in the background and return at once")
    train.add_argument("--resume", metavar="RUN", help="go on with a run that ended early; takes no knobs")
    for group, knobs in groupby(KNOBS.values(), key=lambda knob: knob.group):
        section = train.add_argument_group(f"{group} knobs")
        for knob in knobs:
            add_knob(section, knob)
    train.set_defaults(do=_train)


def add_knob(section: Any, knob: Knob) -> None:
    """Add a knob's flag. Its value is checked by the config, which says the same here as everywhere."""
    takes = "" if knob.kind == "bool" else f" Takes {knob.allowed}{f' {knob.unit}' if knob.unit else ''};"
    text = f"{knob.help}{takes} default {knob.format(knob.default)}".replace("%", "%%")
    flag = "--" + knob.name.replace("_", "-")
    common: dict[str, Any] = {"dest": f"knob_{knob.name}", "default": None, "help": text}
    if knob.kind == "bool":
        section.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
    else:
        section.add_argument(flag, metavar=knob.kind.upper(), **common)
    for old, (new, meanings) in RENAMED.items():
        for is_on, value in meanings.items() if new == knob.name else ():
            flag = ("--" if is_on else "--no-") + old.replace("_", "-")
            section.add_argument(
                flag, action="store_const", const=value, dest=f"knob_{new}", default=None, help=argparse.SUPPRESS
            )


def _config(options: argparse.Namespace) -> RunConfig:
    """Return the knobs that the command line asks for."""
    base = PRESETS[options.preset].config if options.preset else RunConfig()
    if options.config:
        base = from_json(options.config.read_bytes())
    given = {name: value for name in KNOBS if (value := getattr(options, f"knob_{name}")) is not None}
    if options.resume and (given or options.preset or options.config):
        raise ConfigError("a run resumes with the knobs it began with; leave out --resume to start a new one")
    config = from_flat(given, base=base)
    dataset = find_info(config.data.dataset)
    # A geometry that cannot work is refused here.
    layers(config.model, dataset.shape, dataset.num_classes, dataset.task)
    return config


def _train(options: argparse.Namespace) -> int:
    config = _config(options)
    from playground.jobs.worker import (
        run_worker,  # before there is a run that an end in the middle of it would leave waiting
    )

    run = None
    try:
        with interrupts.raising():
            with interrupts.deferred():
                run = open_run(options.resume) if options.resume else create_run(config, name=options.name)
                if options.detach:
                    (client.resume_run if options.resume else client.submit_run)(run)
                    print(run.id)
                    return 0
                if options.resume:
                    client.requeue_run(run)
            print(f"run {run.id}", flush=True)
            wanted = slots.read_request(run, client.count_cores())
            with client.hold_presence(service=False), _Screen() as screen:
                status = run_worker(run, slots.Slot(wanted.device, wanted.threads), screen.watch)
            return _say_end(run, status)
    except KeyboardInterrupt:
        if run is not None:
            with interrupts.deferred():
                _leave(run)
        raise


def _leave(run: RunFolder) -> None:
    """Say of a run that nobody is at that it was interrupted: one that is queued would start in the background."""
    if run.status().state in ("queued", "died"):
        run.set_status(state="interrupted", message="ended with the program", finished=time.time())
    if run.status().state == "interrupted":
        print(f"interrupted; go on with: playground train --resume {run.id}", flush=True)


def _say_end(run: RunFolder, status: Status) -> int:
    if status.state in ("failed", "diverged"):
        print(f"playground: the run {status.state}: {status.message}", file=sys.stderr)
        return FAILED
    if status.state in ("interrupted", "stopped", "paused"):
        print(f"{status.state} at step {status.step}; go on with: playground train --resume {run.id}")
        return interrupts.CTRL_C if status.state == "interrupted" else 0
    chosen = f" after epoch {status.best_epoch}" if status.best_split == "val" else ""
    test = "" if status.test_score is None else f", test {METRICS[status.metric]} {status.test_score:.1%}{chosen}"
    print(f"{status.state} after {status.seconds:.1f} s{test}")
    return 0


class _Screen:
    """A progress bar on a terminal, and one line an epoch everywhere."""

    def __enter__(self) -> "_Screen":
        from tqdm import tqdm

        self.bar = tqdm(unit="step", disable=None, leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def watch(self, event: Any, status: Status) -> None:
        """Show an event of the run, or a line about its preparation."""
        from playground.events import Epoch, Progress

        if isinstance(event, str):
            self.bar.set_description(event)
        elif isinstance(event, Progress):
            self.bar.total = status.total_steps
            self.bar.set_description(f"epoch {event.epoch:.1f} of {status.epochs}")
            self.bar.set_postfix_str(f"loss {event.loss:.3f}, {event.images_per_second:,.0f} images/s")
            self.bar.update(event.step - self.bar.n)
        elif isinstance(event, Epoch):
            splits = {"train": event.train, "validation": event.val, "test": event.test}
            shown = "  ".join(f"{k} {s.loss:.3f} {s.accuracy:.1%}" for k, s in splits.items() if s)
            self.bar.write(f"epoch {event.epoch:3d}  {shown}  {event.seconds:.1f} s", file=sys.stdout)
            sys.stdout.flush()
