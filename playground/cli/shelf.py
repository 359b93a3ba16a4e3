"""`playground runs`: what was trained."""

import argparse
import time
from pathlib import Path
from typing import Any

from playground import interrupts
from playground.cli.parser import Parser
from playground.config import KNOBS, RunConfig, diff
from playground.events import EpochRow, Scores
from playground.jobs import client
from playground.runs import (
    RunError,
    RunFolder,
    export_zip,
    find_run,
    import_runs,
    list_runs,
    list_trash,
    open_run,
    restore_run,
)


def add_runs(commands: Any) -> None:
    """Add `runs` and its actions."""
    runs = commands.add_parser("runs", help="list, show, stop, resume, rename, delete … runs")
    runs.set_defaults(do=_list_runs)
    actions = runs.add_subparsers(metavar="ACTION", parser_class=Parser)
    actions.add_parser("list", help="list all runs, newest first").set_defaults(do=_list_runs)
    for name, do, extra, text in (
        ("show", _show_run, [], "show a run's knobs and epochs"),
        ("stop", _stop_run, [], "end a run; its state is saved, so it can be resumed"),
        ("pause", _pause_run, [], "let a run wait between two steps"),
        ("resume", _resume_run, [], "let a run go on, in the background"),
        ("rename", _rename_run, ["name"], "give a run another name"),
        ("note", _note_run, ["text"], "write a note to a run; an empty one takes it away"),
        ("delete", _delete_run, [], "put a run into the trash, where it is kept for a week"),
        ("restore", _restore_run, [], "bring a deleted run back, by the id that it had"),
        ("export", _export_run, ["file"], "write a run to a zip"),
    ):
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        action.add_argument("run", metavar="RUN")
        for argument in extra:
            action.add_argument(argument, metavar=argument.upper())
        action.set_defaults(do=do)
    actions.add_parser("trash", help="list the deleted runs").set_defaults(do=_list_trash)
    action = actions.add_parser("import", help="take in the runs of a zip")
    action.add_argument("file", type=Path, metavar="FILE")
    action.set_defaults(do=_import_run)


def _knobs(run: RunFolder) -> str:
    changed = diff(RunConfig(), run.config)
    return " ".join(f"--{name.replace('_', '-')} {KNOBS[name].format(value)}" for name, (_, value) in changed.items())


def _list_runs(options: argparse.Namespace) -> None:
    for run in list_runs():
        status = run.status()
        best = "" if status.best_score is None else f"{status.best_label} {status.best_score:.1%}"
        if damage := run.damage:
            print(f"{run.id:22}  damaged      {damage}")
            continue
        knobs = _knobs(run)
        print(f"{run.id:22}  {status.state:11}  {status.epoch:3d} epochs  {best:>26}  {run.name}  {knobs}".rstrip())


def _show_run(options: argparse.Namespace) -> None:
    run = open_run(options.run)
    status = run.status()
    print(f"{run.name}\nstate      {status.state} {status.message}".rstrip())
    print(f"knobs      {_knobs(run) or 'all as they are by default'}")
    print(f"time       {status.seconds:.1f} s on {status.device or '-'} with {status.threads} threads")
    print(f"parameters {status.parameters:,}\nkept       epochs {', '.join(map(str, run.epochs())) or 'none'}")
    if note := run.about.note:
        print(f"note       {note}")
    for row in run.rows():
        if isinstance(row, EpochRow):
            shown = {split: row.get(split) for split in ("train", "val", "test")}
            splits = "  ".join(f"{k} {_scores(s)}" for k, s in shown.items() if s)
            print(f"epoch {row.epoch:4d}  {splits}")


def _scores(scores: Scores) -> str:
    overlap = "" if scores.iou is None else f" mean IoU {scores.iou:.1%}"
    return f"loss {scores.loss:.3f} accuracy {scores.accuracy:.1%}{overlap}"


def _stop_run(options: argparse.Namespace) -> None:
    run = open_run(options.run)
    if not (status := run.status()).active:
        raise RunError(f"run {run.name} is {status.state}: there is nothing to stop")
    client.stop_run(run)


def _pause_run(options: argparse.Namespace) -> None:
    client.pause_run(open_run(options.run))


def _resume_run(options: argparse.Namespace) -> None:
    client.resume_run(open_run(options.run))


def _note_run(options: argparse.Namespace) -> None:
    open_run(options.run).annotate(options.text)


def _rename_run(options: argparse.Namespace) -> None:
    open_run(options.run).rename(options.name)


def _delete_run(options: argparse.Namespace) -> None:
    find_run(options.run).delete()


def _list_trash(options: argparse.Namespace) -> None:
    for each in list_trash():
        print(f"{each.id:22}  deleted {time.strftime('%Y-%m-%d %H:%M', time.localtime(each.deleted))}  {each.name}")


def _restore_run(options: argparse.Namespace) -> None:
    restore_run(options.run)


def _export_run(options: argparse.Namespace) -> None:
    Path(options.file).write_bytes(export_zip(open_run(options.run)))


@interrupts.raising()
def _import_run(options: argparse.Namespace) -> None:
    for run in import_runs(options.file):
        print(run.id)
