"""Which tests are quick: those that start no program, page, browser or job service, and wait for none."""

import functools
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

import pytest

TESTS = Path(__file__).parent
HEAVY = {
    *("subprocess", "ensure_service", "submit", "control", "wait_for", "sleep"),  # processes, and waiting for them
    *("AppTest", "sync_playwright"),  # pages
    *("main", "work", "trained", "trained_on_pixels"),  # the command line and whole runs
    *("export", "exporter", "onnx"),  # exported programs
    *("CAMVID", "SHARED"),  # whole data sets
}
"""What a test, its fixtures and their helpers do not name if it is quick."""


def is_quick(item: pytest.Item) -> bool:
    """Whether neither the test nor a fixture of it names something heavy, itself or through helpers of the tests."""
    if not isinstance(item, pytest.Function):
        return False
    fixtures = [fixture.func for same in item._fixtureinfo.name2fixturedefs.values() for fixture in same]
    return not any(map(_is_heavy, (item.function, *fixtures)))


def _is_heavy(function: object) -> bool:
    """Whether a function names something heavy; what is not of the tests is not looked into."""
    function = inspect.unwrap(function) if callable(function) else None
    return (
        isinstance(function, FunctionType) and TESTS in Path(function.__code__.co_filename).parents and _look(function)
    )


@functools.cache
def _look(function: FunctionType) -> bool:
    names = set(_names(function.__code__)) - {function.__name__}
    return not HEAVY.isdisjoint(names) or any(_is_heavy(function.__globals__.get(name)) for name in names)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
