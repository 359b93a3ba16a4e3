"""Start another Python process of this program that outlives the one that starts it."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import playground

DISK_FULL = 28
"""The exit code of a worker that could not even write down that the disk is full."""
ROOT = Path(playground.__file__).parent.parent
"""Where `python -m playground…` finds the package, installed or not."""


def launch_process(*arguments: str, output: IO[bytes], **environment: str) -> "subprocess.Popen[bytes]":
    """Run `python -m <arguments>` in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it.

    Args:
        output: an open file for all that it prints.
        environment: variables to add.
    """
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def forget_process(process: "subprocess.Popen[bytes]") -> None:
    """Take note of the process's end in the background, so that it is no zombie of ours."""
    threading.Thread(target=process.wait, daemon=True).start()
