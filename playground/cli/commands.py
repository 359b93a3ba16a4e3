"""All commands, and what is common to them: `serve`, and errors in one line."""

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

import playground
from playground.cli import datasets, exports, predict, shelf, studies, train
from playground.cli.parser import BAD_INPUT, Parser
from playground.config import ConfigError
from playground.errors import PlaygroundError
from playground.jobs.process import ROOT

APP = ROOT / "playground" / "app"
"""Where an installed playground has app.py; a checkout has it at its top."""
PATH = re.compile(r"[\w-]+(/[\w-]+)*", re.ASCII)
"""What the path of the app may be."""


def do(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        return options.do(options) or 0
    except BrokenPipeError:  # `playground runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PlaygroundError, OSError) as error:
        print(f"playground: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT


def parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="playground", description="Train small convolutional networks, and ask them about images.")
    parser.add_argument("--version", action="version", version=playground.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    train.add(commands)
    studies.add(commands)
    predict.add(commands)
    shelf.add_runs(commands)
    datasets.add(commands)
    exports.add(commands)
    serve = commands.add_parser("serve", help="open the app", description="Start the app; Ctrl-C saves its runs.")
    serve.add_argument("--port", type=int, default=8501, help="default 8501")
    serve.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only")
    serve.add_argument(
        "--path", default="", help="where a proxy in front of it has the app, such as cnn/play; default: at the top"
    )
    serve.set_defaults(do=_serve)
    return parser


def _serve(options: argparse.Namespace) -> int:
    address = ["--server.port", str(options.port), "--server.address", options.host]
    if path := options.path.strip("/"):
        if not PATH.fullmatch(path):
            raise ConfigError(f"--path {path[:60]!r} is none; letters, digits, - and _ make one, such as cnn/play")
        address += ["--server.baseUrlPath", path]
    command = [sys.executable, "-m", "playground.cli.server", "run", "app.py", *address]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.chdir(APP if APP.exists() else ROOT)  # where Streamlit looks for .streamlit/config.toml
    if os.name == "posix":
        # Until the new interpreter has come to the first line of that module, which lets it come.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            os.execv(sys.executable, command)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return subprocess.call(command)
