"""Values as a script writes them, and a config whose numbers know which setting they are."""

import json
from typing import Any


class Code(str):
    """What the script alone will know: an expression, as text."""


class _Number:
    """A number that is a setting's; the script writes the setting's name for it."""

    knob: str


class _Int(_Number, int):
    pass


class _Float(_Number, float):
    pass


def of_knob(value: Any, name: str) -> Any:
    """Return the value of a setting; a number is one still, and knows the setting's name."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = _Int(value) if isinstance(value, int) else _Float(value)
    number.knob = name
    return number


def written(value: Any) -> str:
    """Write a value as Python: what is not ours gets into the program through this alone. Text in double quotes.

    Raises:
        TypeError: it is an object that cannot be written.
    """
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, _Number):
        return value.knob.upper()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, tuple | list | dict):
        return repr(value)
    raise TypeError(f"{type(value).__name__} cannot be written")
