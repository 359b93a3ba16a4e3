"""Views of the fields: the list of knobs, flat mappings, differences, and errors in one line."""

import json
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json as parse_json

from playground.config.migrations import FORMAT, migrate, rename
from playground.config.models import LIVE_KNOBS, ConfigError, OneOf, RunConfig


@dataclass(frozen=True)
class Knob:
    """One field of the config, as forms, flags and tables want to see it.

    Attributes:
        kind: "bool", "int", "float", "choice", "text", or "ints" for a list of whole numbers.
        options: the allowed values of a "choice", as a tuple or as a table by their names; else empty.
        low, high: inclusive bounds of a number (of each number for "ints"), else None.
        lengths: inclusive bounds on how many numbers "ints" holds, else None.
        live: whether a run in progress takes a new value.
    """

    name: str
    group: str
    kind: str
    default: Any
    label: str
    help: str
    unit: str
    log: bool
    options: Collection[str] = ()
    low: float | None = None
    high: float | None = None
    lengths: tuple[int, int] | None = None

    @property
    def live(self) -> bool:
        return self.name in LIVE_KNOBS

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed values of a "choice", else empty."""
        return tuple(self.options)

    @property
    def allowed(self) -> str:
        """The values the knob takes, in words: "a whole number from 1 to 11"."""
        match self.kind:
            case "bool":
                return "true or false"
            case "choice":
                return "one of " + ", ".join(self.choices)
            case "int":
                return f"a whole number from {self.low:,.0f} to {self.high:,.0f}"
            case "float":
                return f"a number from {self.low:g} to {self.high:g}"
            case "ints":
                assert self.lengths is not None
                return f"{self.lengths[0]} to {self.lengths[1]} whole numbers from {self.low:g} to {self.high:g}"
        return "one of auto, cpu, mps, cuda, cuda:0 …" if self.name == "device" else "a data set's name"

    def format(self, value: Any) -> str:
        """Write a value as it stands in a URL or on a command line."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            return "-".join(map(str, value))
        return str(value)


def _bounds(metadata: Iterable[Any]) -> dict[str, Any]:
    """Collect `ge`, `le`, `min_length` and `max_length` from pydantic's field metadata."""
    names = ("ge", "le", "min_length", "max_length")
    return {name: getattr(m, name) for m in metadata for name in names if getattr(m, name, None) is not None}


def _knobs() -> dict[str, Knob]:
    knobs = {}
    for group, group_field in RunConfig.model_fields.items():
        group_class = group_field.annotation
        assert isinstance(group_class, type) and issubclass(group_class, BaseModel)
        for name, field in group_class.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict) and name not in knobs, name
            bounds, lengths, options = _bounds(field.metadata), None, ()
            kind = field.annotation.__name__ if isinstance(field.annotation, type) else ""
            if get_origin(field.annotation) is Literal:
                kind, options = "choice", get_args(field.annotation)
            elif table := next((m.table for m in field.metadata if isinstance(m, OneOf)), None):
                kind, options = "choice", table
            elif get_origin(field.annotation) is tuple:
                kind, lengths = "ints", (bounds["min_length"], bounds["max_length"])
                bounds = _bounds(get_args(field.annotation)[0].__metadata__[0].metadata)
            knobs[name] = Knob(
                name=name,
                group=group,
                kind="text" if kind == "str" else kind,
                default=field.default,
                label=field.title or name,
                help=field.description or "",
                unit=str(extra["unit"]),
                log=bool(extra["log"]),
                options=options,
                low=bounds.get("ge"),
                high=bounds.get("le"),
                lengths=lengths,
            )
    return knobs


KNOBS: Mapping[str, Knob] = types.MappingProxyType(_knobs())
"""Every knob by its name, in the order of the form."""


def flatten(config: RunConfig) -> dict[str, Any]:
    """Return the config as `{knob name: value}`."""
    return {name: getattr(getattr(config, knob.group), name) for name, knob in KNOBS.items()}


def from_flat(values: Mapping[str, Any], base: RunConfig | None = None) -> RunConfig:
    """Build a config from `{knob name: value}`; knobs that are not named keep `base`'s value.

    Values may be text, as they come from a URL or a command line. Names that knobs had once are taken, too.

    Raises:
        ConfigError: a name is no knob, or a value is not allowed; one line that names the knob and what it takes.
    """
    groups: dict[str, dict[str, Any]] = {group: {} for group in RunConfig.model_fields}
    for name, value in {**(flatten(base) if base else {}), **rename(values)}.items():
        if name not in KNOBS:
            raise ConfigError(f"{_shown(name)} is no knob; the knobs are {', '.join(KNOBS)}")
        groups[KNOBS[name].group][name] = value
    try:
        return RunConfig.model_validate(groups)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def to_json(config: RunConfig) -> str:
    """Write a config as `config.json` holds it: the format's number and all knobs, those at their default too."""
    return json.dumps({"format": FORMAT, **config.model_dump(mode="json")}, indent=1) + "\n"


def from_json(text: str | bytes) -> RunConfig:
    """Read a config that `to_json` wrote, in this format or an older one.

    Raises:
        ConfigError: the text is not JSON, not a config, or of a newer format; one line.
    """
    try:
        stored = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"the config: this is no JSON ({_shown(error)})") from None
    if not isinstance(stored, dict):
        raise ConfigError("the config: this is no JSON object")
    try:
        # As JSON again, since pydantic takes a list for a tuple there and 1.0 for a whole number nowhere else.
        return RunConfig.model_validate_json(json.dumps(migrate(stored)))
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def to_query(config: RunConfig) -> dict[str, str]:
    """Return the knobs that differ from the default as URL parameters; `from_flat` reads them back."""
    return {name: KNOBS[name].format(value) for name, (_, value) in diff(RunConfig(), config).items()}


def diff(base: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return `{knob name: (base's value, other's value)}` for the knobs that differ."""
    before, after = flatten(base), flatten(other)
    return {name: (before[name], after[name]) for name in KNOBS if before[name] != after[name]}


def _one_line(error: ValidationError) -> str:
    """Say the first thing that is wrong, by the knob's name and what it takes."""
    first = error.errors(include_url=False)[0]
    name = next((str(part) for part in reversed(first["loc"]) if part in KNOBS), None)
    if name is None or first["type"] == "extra_forbidden":
        where = _shown(".".join(map(str, first["loc"])))
        return f"{where or 'the config'}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    value = first["input"] if isinstance(first["input"], str) else json.dumps(first["input"], default=str)
    return f"{KNOBS[name].label} ({name}) cannot be {_shown(value) or 'empty'}; it takes {KNOBS[name].allowed}"


def _shown(text: object) -> str:
    """Make text from outside fit to stand in a line: short, and with no line breaks or control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)[:60])
