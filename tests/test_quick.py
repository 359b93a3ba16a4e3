"""The mark `quick` is taken from what a test names, however far down."""

import subprocess

import pytest
from quick import is_quick, starts_nothing


def start_program() -> None:
    subprocess.run(["true"], check=True)


def call_inside() -> list[None]:
    return [start_program() for _ in range(1)]


def call_each_other(depth: int) -> None:
    if depth:
        call_back(depth - 1)


def call_back(depth: int) -> None:
    call_each_other(depth)


@pytest.fixture
def program() -> None:
    call_inside()


def test_what_starts_a_program_is_found_behind_helpers():
    assert not starts_nothing(start_program) and not starts_nothing(call_inside)
    assert starts_nothing(call_each_other) and starts_nothing(pytest.approx)
    assert not starts_nothing(call_each_other, call_inside)


@pytest.mark.usefixtures("program")
def test_what_a_fixture_starts_counts(request: pytest.FixtureRequest):
    assert not is_quick(request.node)
