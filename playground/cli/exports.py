"""`playground export` and `playground import`: runs for other programs, and weights from elsewhere."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playground import interrupts
from playground.cli.parser import Parser
from playground.exports import FORMATS, ExportError, export_run
from playground.runs import open_run


def add(commands: Any) -> None:
    """Add both commands."""
    words = "Formats: " + "; ".join(f"{name}: {format.label}" for name, format in FORMATS.items()) + "."
    action: Parser = commands.add_parser(
        "export", help="write a run as a script, ONNX, safetensors …", description="Export a run.", epilog=words
    )
    action.add_argument("run", metavar="RUN")
    action.add_argument("--format", choices=FORMATS, default="script", help="default: script")
    action.add_argument("--epoch", type=int, help="default: the best epoch, or the last one that is kept")
    action.add_argument("--output", type=Path, metavar="PATH", help="a file, or a folder to write it in; default: here")
    action.set_defaults(do=_export)
    action = commands.add_parser(
        "import",
        help="take in a zip of runs, or weights with their config",
        description="Take in a zip of runs, or weights: model.safetensors and config.json, zipped or one by one.",
    )
    action.add_argument("files", nargs="+", type=Path, metavar="FILE")
    action.set_defaults(do=_import)


@interrupts.raising()
def _export(options: argparse.Namespace) -> None:
    run = open_run(options.run)
    best, kept = run.status().best_epoch, run.epochs()
    if not kept:
        raise ExportError(f"{run.name} keeps no epoch yet, so there is nothing to export")
    epoch = options.epoch if options.epoch is not None else best if best in kept else kept[-1]
    file = export_run(run, epoch, options.format)
    path = options.output or Path()
    path = path / file.name if path.is_dir() else path
    path.write_bytes(file.content)
    print(path)
    if file.note:
        print(file.note)


@interrupts.raising()
def _import(options: argparse.Namespace) -> None:
    from playground.exports.tensors import import_weights

    with ExitStack() as opened:
        for run in import_weights([(path.name, opened.enter_context(path.open("rb"))) for path in options.files]):
            print(run.id)
