"""Which tests are quick: those that start no program, page, browser or job service, and wait for none."""

import functools
import inspect
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
    return starts_nothing(item.function, *fixtures)


def starts_nothing(*functions: object) -> bool:
    """Whether no function names something heavy, nor one that it calls; what is not of the tests is not looked into."""
    ahead, seen = list(functions), set()
    while ahead:
        function = ahead.pop()
        function = inspect.unwrap(function) if callable(function) else None
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        if TESTS in Path(function.__code__.co_filename).parents:
            names = _names(function.__code__)
            if names & HEAVY:
                return False
            ahead += [function.__globals__.get(name) for name in names]
    return True


@functools.cache
def _names(code: CodeType) -> frozenset[str]:
    """Return what a function names, and what the functions inside it do."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return frozenset(code.co_names).union(*inner)
