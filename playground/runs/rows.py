"""The rows of metrics.jsonl: what each kind holds and within which bounds, for whoever writes or reads one.

A row is an event of the training (`playground.events`) without its arrays, or the mark that a run went on after an
interruption. One JSON object a line, its kind under "type".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from playground.config import LIVE_KNOBS, ConfigError, from_flat
from playground.errors import first_fault
from playground.events import Change, Count, Diverged, EpochRow, Finite, NotNegative, Progress


def _check_change(change: Change) -> Change:
    """A change is of a live knob, to a value that the knob takes."""
    _check_live(change.knob)
    try:
        from_flat({change.knob: change.new})
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return change


def _check_live(knob: str) -> str:
    if knob not in LIVE_KNOBS:
        raise ValueError(f"{knob!r} is no live knob; those are {', '.join(LIVE_KNOBS)}")
    return knob


LiveKnob = Annotated[str, AfterValidator(_check_live)]


@dataclass(frozen=True)
class Resumed:
    """A run went on: rows after this step do not count, they are computed again.

    Attributes:
        step: the step it goes on from; -1 for the very beginning.
        time: when, in seconds since 1970.
        changes: (step, knob, new value) of the changes that lie after it, and are made again there.
        until: the last step of which there was a row before: up to it the same is computed again, whatever is asked.
        again: the steps after it that had a row of the progress, and get it again.
    """

    step: Annotated[int, Field(ge=-1, lt=2**53)]
    time: NotNegative = 0.0
    changes: tuple[tuple[Count, LiveKnob, Finite], ...] = ()
    until: Count = 0
    again: tuple[Count, ...] = ()
    type: Literal["resumed"] = field(default="resumed", kw_only=True)


KINDS = ("progress", "epoch", "change", "diverged", "resumed")
Row = Progress | EpochRow | Change | Diverged | Resumed
_Checked = Annotated[
    Progress | EpochRow | Annotated[Change, AfterValidator(_check_change)] | Diverged | Resumed,
    Field(discriminator="type"),
]
_ROW: TypeAdapter[Row] = TypeAdapter(_Checked)
_ROWS: TypeAdapter[list[Row]] = TypeAdapter(list[_Checked])


def to_line(row: Row) -> bytes:
    """Write a row as its line of metrics.jsonl, the line's end included."""
    return _ROW.dump_json(row, exclude_none=True) + b"\n"


def from_line(line: bytes) -> Row:
    """Read a row.

    Raises:
        ValueError: it is no JSON, of no known kind, or a value is missing or out of its bounds; one line.
    """
    try:
        return _ROW.validate_json(line, strict=True)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None


def names_kind(line: bytes) -> bool:
    """Say whether a line is meant as a row of a kind known here; others are passed over, as torn lines are."""
    try:
        row = from_json(line)
    except ValueError:
        return False
    return isinstance(row, dict) and "type" in row and (row["type"] in KINDS or not isinstance(row["type"], str))


def from_lines(chunk: bytes) -> list[Row]:
    """Read whole lines; one that is damaged is passed over."""
    lines = [line for line in chunk.splitlines() if line]
    try:  # all at once is several times as quick as line by line, and lines are seldom damaged
        found = _ROWS.validate_json(b"[" + b",".join(lines) + b"]", strict=True)
        return found if len(found) == len(lines) else list(_one_by_one(lines))
    except ValidationError:
        return list(_one_by_one(lines))


def _one_by_one(lines: list[bytes]) -> Iterator[Row]:
    for line in lines:
        try:
            yield from_line(line)
        except ValueError:
            continue
