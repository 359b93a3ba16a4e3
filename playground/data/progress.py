"""How far long work with a data set is, told to whoever asked for it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far something is: `done` of `total` bytes or files, 0 where the total is not known, and what it is."""

    done: int
    total: int
    what: str


Report = Callable[[Progress], None]
"""Is told of progress; whatever it raises ends the work, which can be taken up again later."""
