"""`playground sweep` and `playground crossval`: many runs that answer one question."""

import argparse
import time
from itertools import groupby
from typing import Any, get_args

from playground import interrupts
from playground.cli.parser import FAILED
from playground.cli.train import add_knob
from playground.config import KNOBS, RunConfig, from_flat
from playground.data import catalog
from playground.jobs import client
from playground.metrics.scores import compute_accuracy
from playground.presets import PRESETS
from playground.studies import Study, StudyFolder, lifecycle, parse_axis, plan
from playground.studies.results import StudyReader, compute_mean_std, count_out_of_fold, find_best
from playground.studies.study import Sampler

TICK = 0.3


def add(commands: Any) -> None:
    """Add both commands."""
    sweep = commands.add_parser(
        "sweep",
        help="try values of some knobs",
        description="Try values of some knobs, side by side. Ctrl-C stops the runs.",
        epilog="--knob may be given often, each for another knob; the flags below are for what all runs share.",
    )
    sweep.add_argument(
        "--knob",
        action="append",
        required=True,
        metavar="NAME=VALUES",
        help="learning_rate=1e-4..1e-1:log, dropout=0..0.5:3 (a grid takes 3 values of it), kernel_size=3,5",
    )
    sweep.add_argument("--sampler", choices=get_args(Sampler), default="grid", help="default grid: every combination")
    sweep.add_argument("--trials", type=int, default=8, metavar="N", help="runs of random and tpe; default 8")
    sweep.add_argument("--no-prune", action="store_true", help="with tpe, stop no run for falling behind")
    sweep.add_argument("--sampler-seed", type=int, default=0, metavar="N", help="of the choice of values; default 0")
    _add_shared(sweep)
    sweep.set_defaults(do=_sweep)
    crossval = commands.add_parser(
        "crossval",
        help="cross-validate a network",
        description="Hold back each part of the training images in turn. Ctrl-C stops the runs.",
    )
    crossval.add_argument("--folds", type=int, default=5, metavar="K", help="parts, 2 to 20; default 5")
    _add_shared(crossval)
    crossval.set_defaults(do=_crossval)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, help="begin with these knobs")
    parser.add_argument("--name", default="", help="what to call the study")
    for group, knobs in groupby(KNOBS.values(), key=lambda knob: knob.group):
        section = parser.add_argument_group(f"{group} knobs")
        for knob in knobs:
            if knob.name not in ("folds", "fold"):
                add_knob(section, knob)


def _sweep(options: argparse.Namespace) -> int:
    axes = tuple(parse_axis(text) for text in options.knob)
    base, prune = _base(options), not options.no_prune
    name = options.name or "Sweep of " + ", ".join(KNOBS[axis.knob].label.lower() for axis in axes)
    study = Study("sweep", base, options.trials, axes, options.sampler, prune, options.sampler_seed, name)
    feed = _watch(study)
    if top := find_best(feed.results):
        print("best: " + " ".join(f"--{k.replace('_', '-')} {v}" for k, v in top.member.values.items()))
    return 0 if top else FAILED


def _crossval(options: argparse.Namespace) -> int:
    study = Study("folds", _base(options), options.folds, name=options.name or f"{options.folds} folds")
    feed = _watch(study)
    finished = [result for result in feed.results if result.finished]
    counts = count_out_of_fold(finished)
    if counts is not None:
        mean, std = compute_mean_std([result.score or 0.0 for result in finished])
        spread = "" if std is None else f" ± {100 * std:.1f}"
        whole = compute_accuracy(counts)
        metric = catalog.task_of(study.base.data.dataset).metric.name
        print(f"{metric} {100 * mean:.1f}{spread} % over {len(finished)} folds; out of fold {whole:.1%}")
    return 0 if len(finished) == options.folds else FAILED


def _base(options: argparse.Namespace) -> RunConfig:
    given = {name: value for name in KNOBS if (value := getattr(options, f"knob_{name}", None)) is not None}
    return from_flat(given, base=PRESETS[options.preset].config if options.preset else RunConfig())


def _watch(study: Study) -> StudyReader:
    """Run a study to its end, with a line for each run that ends and a table after the last."""
    members = [config for _, config in plan(study).members]
    side_by_side = min(lifecycle.count_slots(study.base), len(members))
    lasts = lifecycle.estimate_seconds(members, side_by_side)
    print(f"{len(members)} runs, {side_by_side} at a time, in about {lasts:,.0f} s", flush=True)
    folder = None
    with client.hold_presence(service=False):
        try:
            with interrupts.raising():
                with interrupts.deferred():  # a member that is made and not written down would be trained all the same
                    folder = lifecycle.start_study(study)
                print(f"study {folder.id}", flush=True)
                feed = StudyReader(folder)
                _follow(folder, feed)
        except KeyboardInterrupt:
            if folder:
                with interrupts.deferred():
                    lifecycle.stop_study(folder)
                print(f"stopped; what it has is in the study {folder.name}", flush=True)
            raise
    _table(feed)
    return feed


def _follow(folder: StudyFolder, feed: StudyReader) -> None:
    told: set[str] = set()
    while True:
        lifecycle.continue_study(folder)
        feed.update()
        for result in feed.results:
            if not result.active and result.member.run_id not in told:
                told.add(result.member.run_id)
                values = " ".join(f"{k}={v}" for k, v in result.member.values.items() if k != "folds")
                left = feed.seconds_left()
                more = f"; about {left:,.0f} s left" if left else ""
                print(f"{len(told)} of {folder.wanted}: {values} {result.state}{more}", flush=True)
        if feed.state != "running":
            return
        time.sleep(TICK)


def _table(feed: StudyReader) -> None:
    metric = catalog.task_of(feed.folder.study.base.data.dataset).metric.name
    print(f"{metric:>8}  {'test':>6}  {'epochs':>6}  {'seconds':>7}  {'state':9}  values")
    for result in sorted(feed.results, key=lambda result: -(result.score or 0)):
        shown = [f"{'' if x is None else f'{x:.1%}':>{w}}" for x, w in ((result.score, 8), (result.test, 6))]
        epochs, seconds = (result.status.epoch, result.status.seconds) if result.status else (0, 0.0)
        values = " ".join(f"{k}={v}" for k, v in result.member.values.items() if k != "folds")
        print(f"{shown[0]}  {shown[1]}  {epochs:6d}  {seconds:7.1f}  {result.state:9}  {values}")
