"""Say in one line what ended a run, and what would help."""

import shutil

from playground.config import ConfigError, RunConfig
from playground.data.catalog import DataError
from playground.home import HomeError, home
from playground.runs import RunError
from playground.runs.files import WriteError, is_full


def explain_end(error: BaseException, config: RunConfig | None = None) -> str:
    """Return one line for a person.

    Args:
        config: the run's knobs, to name the ones that would help.
    """
    text = " ".join(str(error).split())[:300]
    if _out_of_memory(error, text):
        return f"out of memory{_sizes(config)}; a smaller batch size or fewer channels need less"
    if isinstance(error, OSError) and is_full(error):
        return f"the disk is full ({_free()}); delete runs or data sets, then resume"
    if (
        isinstance(error, (WriteError, ConfigError, DataError, RunError, HomeError))
        or type(error).__name__ == "ResumeError"
    ):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _out_of_memory(error: BaseException, text: str) -> bool:
    # By name and text: this module does not import torch, whose allocator for the CPU has no class of its own anyway.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in text)


def _sizes(config: RunConfig | None) -> str:
    if config is None:
        return ""
    channels = "-".join(map(str, config.model.channels))
    return f" at a batch size of {config.training.batch_size:,} and {channels} channels"


def _free() -> str:
    try:
        return f"{shutil.disk_usage(home()).free / 1e6:,.0f} MB free in {home()}"
    except OSError:
        return "PLAYGROUND_HOME"
