"""What is wrong with something from outside, said in one line that can be shown as it is."""

from pydantic import ValidationError


class PlaygroundError(Exception):
    """Something that a person can mend; the message is one line, fit to be shown.

    Every error of ours is one, and a ValueError or an OSError beside. Whatever else is raised is a mistake in the
    program: it belongs into the log, with its traceback.
    """

    def __str__(self) -> str:
        """Return the message, in one line whatever it names: files are called anything."""
        message = super().__str__()
        return " ".join(one_line(message, len(message)).split())


def one_line(what: object, limit: int = 80) -> str:
    """Say it in one line of at most `limit` characters, none of which is a control character."""
    return "".join(c if c.isprintable() else " " for c in str(what)[:limit])


def first_fault(error: ValidationError) -> str:
    """Say the first thing that is wrong in one line of at most 120 characters, without what was read."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part)[:30] for part in first["loc"])
    return one_line(f"{where}: {first['msg']}" if where else first["msg"], 120)
