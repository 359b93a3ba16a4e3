"""The space that a sweep searches: a range or a list of values for each of its knobs."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from playground.config import KNOBS, ConfigError, RunConfig, flatten, from_flat, rename
from playground.data.catalog import DataError
from playground.errors import PlaygroundError
from playground.jobs import estimate

MAX_MEMBERS = 200
"""Runs of one study; more would fill the queue, and no table could be read."""
NOT_VARIED = frozenset("dataset device threads precision folds fold architecture".split())
"""Knobs whose values give runs that cannot be compared, or that studies set themselves."""
DRAWS = 20
"""A random sweep draws at most this many times as often as it wants runs."""

Values = Mapping[str, str]
"""{knob name: value as text}, what one member has of the space."""


class StudyError(PlaygroundError, ValueError):
    """A study that cannot be, or is not there; the message is one line."""


@dataclass(frozen=True)
class Axis:
    """A knob and the values it may take: those listed, or all from `low` to `high`.

    Attributes:
        values: as text, the way a URL or a command line writes them; empty for a range.
        low, high: inclusive bounds of a range; log: whether it is even in the logarithm.
        points: how many values a grid takes of a range.

    Raises:
        StudyError: the knob cannot be varied, or does not take these values.
    """

    knob: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    points: int = 5

    def __post_init__(self) -> None:
        values = [value for old in self.values for value in rename({self.knob: old}).values()]
        object.__setattr__(self, "values", tuple(values))
        object.__setattr__(self, "knob", next(iter(rename({self.knob: ""}))))
        if self.knob not in KNOBS or self.knob in NOT_VARIED:
            allowed = ", ".join(name for name in KNOBS if name not in NOT_VARIED)
            raise StudyError(f"{self.knob[:60]!r} cannot be varied; the knobs that can are {allowed}")
        knob = KNOBS[self.knob]
        try:
            checked = tuple(knob.format(flatten(from_flat({knob.name: value}))[knob.name]) for value in self.values)
            object.__setattr__(self, "values", tuple(dict.fromkeys(checked)))
            if not self.is_range:
                return
            if knob.kind not in ("int", "float"):
                raise StudyError(f"{knob.label} ({knob.name}) has no range; list its values")
            for bound in (self.low, self.high):
                from_flat({knob.name: bound})
        except ConfigError as error:
            raise StudyError(str(error)) from None
        if not self.low < self.high:
            raise StudyError(f"{knob.label} ({knob.name}): a range goes from a number to a larger one")
        if self.log and self.low <= 0:
            raise StudyError(f"{knob.label} ({knob.name}): a logarithmic range begins above 0")
        if not 2 <= self.points <= MAX_MEMBERS:
            raise StudyError(f"{knob.label} ({knob.name}): a grid takes 2 to {MAX_MEMBERS} values of a range")

    @property
    def is_range(self) -> bool:
        return not self.values

    def grid(self) -> tuple[str, ...]:
        """Return the values that a grid takes, as text: those listed, or `points` of the range."""
        if not self.is_range:
            return self.values
        spread = np.geomspace if self.log else np.linspace
        return tuple(dict.fromkeys(self._text(x) for x in spread(self.low, self.high, self.points).tolist()))

    def draw(self, random: np.random.Generator) -> str:
        """Return one value at random, as text."""
        if not self.is_range:
            return str(random.choice(self.values))
        if self.log:
            return self._text(math.exp(random.uniform(math.log(self.low), math.log(self.high))))
        if KNOBS[self.knob].kind == "int":
            return str(random.integers(int(self.low), int(self.high), endpoint=True))
        return self._text(random.uniform(self.low, self.high))

    def _text(self, x: float) -> str:
        x = min(max(x, self.low), self.high)  # the logarithm and back may miss a bound by a hair
        return str(round(x)) if KNOBS[self.knob].kind == "int" else as_text(x)

    def __str__(self) -> str:
        if not self.is_range:
            return f"{self.knob}={','.join(self.values)}"
        return f"{self.knob}={self.low:g}..{self.high:g}" + (":log" if self.log else "")


def as_text(x: float) -> str:
    """Write a number that was chosen from a range: four digits say all that a range can mean."""
    return f"{x:.4g}"


def parse_axis(text: str) -> Axis:
    """Read `learning_rate=1e-4..1e-1:log`, `dropout=0..0.5:3`, `kernel_size=3,5` or `channels=8-16,16-32`.

    After a range may follow `log`, and how many values a grid takes of it.

    Raises:
        StudyError: it is not of that form, or the knob does not take these values.
    """
    name, equals, rest = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not rest.strip():
        raise StudyError(f"{text[:60]!r} names no values; write knob=low..high, knob=low..high:log or knob=one,two")
    span, *options = (part.strip() for part in rest.split(":"))
    if ".." not in span:
        if options:
            raise StudyError(f"{text[:60]!r}: options follow a range alone; write low..high:{options[0][:10]}")
        return Axis(name, tuple(value.strip() for value in span.split(",")))
    points = [int(option) for option in options if option.isdecimal()]
    if len(points) + ("log" in options) != len(options) or len(options) > 2 or len(points) > 1:
        raise StudyError(f"{text[:60]!r}: after a range may follow :log and :5 (how many values a grid takes)")
    low, high = span.split("..", 1)
    try:
        return Axis(name, (), float(low), float(high), "log" in options, *points)
    except StudyError:
        raise
    except ValueError:
        raise StudyError(f"{text[:60]!r}: {span[:40]!r} is no range of numbers; write low..high") from None


@dataclass(frozen=True)
class Plan:
    """What a study will run.

    Attributes:
        members: the values that each varies, and its config.
        left_out: values that make no network, and why.
    """

    members: tuple[tuple[dict[str, str], RunConfig], ...]
    left_out: tuple[tuple[dict[str, str], str], ...] = ()


def try_values(base: RunConfig, values: Values) -> tuple[RunConfig | None, str]:
    """Return the config with these values and "", or None and why there is no network with them."""
    try:
        config = from_flat(values, base=base)
        estimate.lay_out_network(config)
    except (ConfigError, DataError) as error:
        return None, str(error)
    return config, ""


def _sort_out(base: RunConfig, tries: Iterable[dict[str, str]], count: int) -> Plan:
    """Take the first `count` that make a network, none twice."""
    members: dict[RunConfig, dict[str, str]] = {}
    left_out = []
    for values in tries:
        config, why = try_values(base, values)
        if config is None:
            left_out.append((values, why))
        else:
            members.setdefault(config, values)
        if len(members) == count:
            break
    return Plan(tuple((values, config) for config, values in members.items()), tuple(left_out))


def grid(base: RunConfig, axes: Sequence[Axis]) -> Plan:
    """Return every combination of the axes' values.

    Raises:
        StudyError: they are too many.
    """
    values = [axis.grid() for axis in axes]
    if (count := math.prod(map(len, values))) > MAX_MEMBERS:
        raise StudyError(f"this grid has {count:,} combinations; up to {MAX_MEMBERS} runs make a study")
    names = [axis.knob for axis in axes]
    return _sort_out(base, (dict(zip(names, mix, strict=True)) for mix in itertools.product(*values)), count)


def draw(base: RunConfig, axes: Sequence[Axis], count: int, seed: int) -> Plan:
    """Return `count` combinations at random, no two the same; fewer where there are not so many."""
    random = np.random.default_rng(seed)
    tries = ({axis.knob: axis.draw(random) for axis in axes} for _ in range(DRAWS * count))
    return _sort_out(base, tries, count)
