"""What became of stored configs since they were written: `config.json` says its format, and older ones are migrated.

A run is kept for years and a knob is renamed in a minute. Whoever renames, removes or adds one with another effect than
before raises `FORMAT` and appends one step here; the knobs of every stored run stay readable. A step takes the groups
of knobs as plain JSON, {"data": {…}, "model": {…}, "training": {…}}, in the format before it, and returns them in its
own; it may change what it is given. `tests/golden/` holds runs of each format.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from playground.config.models import ConfigError

Step = Callable[[dict[str, Any]], dict[str, Any]]


def _name_old_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """Format 0, which did not say its number, may leave out knobs; it then meant the defaults of its day."""
    for group, knob in (("data", "flip"), ("model", "batch_norm")):
        if isinstance(found := stored.setdefault(group, {}), dict):
            found.setdefault(knob, False)
    return stored


def _name_the_norm(stored: dict[str, Any]) -> dict[str, Any]:
    """Format 1 asked whether there is batch normalisation; since then there are other norms, too."""
    if isinstance(model := stored.get("model"), dict):
        stored["model"] = rename(model)
    return stored


STEPS: tuple[Step, ...] = (_name_old_defaults, _name_the_norm)
"""The step at place k leads from format k to format k + 1."""
FORMAT = len(STEPS)


_IS_ON: TypeAdapter[bool] = TypeAdapter(bool)
RENAMED: Mapping[str, tuple[str, Mapping[bool, str]]] = {"batch_norm": ("norm", {True: "batch", False: "none"})}
"""What knobs were called that could be on or off: their name today, and what the two are in it.

Links, commands, sweeps and scripts that people have kept go on saying these names.
"""


def rename(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{knob name: value}` by the names of today; where both names are there, the one of today holds."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in RENAMED:
            found[name] = value
            continue
        new, meanings = RENAMED[name]
        with contextlib.suppress(ValidationError):  # what it does not take is refused under its name of today
            value = meanings[_IS_ON.validate_python(value)]
        found.setdefault(new, value)
    return found


def migrate(stored: dict[str, Any], steps: tuple[Step, ...] = STEPS) -> dict[str, Any]:
    """Return the groups of knobs in today's format, without the format's number.

    Raises:
        ConfigError: the number is none, or that of a format to come.
    """
    number = stored.get("format", 0)
    if type(number) is not int or number < 0:
        raise ConfigError("the config: its format has to be a whole number")
    if number > len(steps):
        raise ConfigError(f"the config: it is of format {number:,.0f}; this version reads formats up to {len(steps)}")
    groups = {key: value for key, value in stored.items() if key != "format"}
    for step in steps[number:]:
        groups = step(groups)
    return groups
