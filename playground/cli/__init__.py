"""The command line: `playground train|sweep|crossval|predict|runs|data|serve`.

The same knobs, the same `fit`, the same run folders as in the app.

Exit codes: 0 all went well, 1 a run failed or diverged, 2 what was asked cannot be done, 130 ended by Ctrl-C.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence

import playground
from playground.cli import datasets, exports, shelf, studies, train
from playground.cli.parser import BAD_INPUT, CTRL_C, Parser
from playground.config import ConfigError
from playground.errors import PlaygroundError
from playground.jobs.process import ROOT

APP = ROOT / "playground" / "app"
"""Where an installed playground has app.py; a checkout has it at its top."""
PATH = re.compile(r"[\w-]+(/[\w-]+)*", re.ASCII)
"""What the path of the app may be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.do(options) or 0
    except KeyboardInterrupt:
        return CTRL_C
    except BrokenPipeError:  # `playground runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PlaygroundError, OSError) as error:
        print(f"playground: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT


def _parser() -> Parser:
    parser = Parser(prog="playground", description="Train small convolutional networks, and ask them about images.")
    parser.add_argument("--version", action="version", version=playground.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    train.add(commands)
    studies.add(commands)
    shelf.add_predict(commands)
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
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *address]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.chdir(APP if APP.exists() else ROOT)  # where Streamlit looks for .streamlit/config.toml
    if os.name == "posix":
        os.execv(sys.executable, command)
    return subprocess.call(command)
