"""The one error of this package."""

from playground.errors import PlaygroundError


class InterpretError(PlaygroundError, ValueError):
    """A layer, map, pixel, class or image that this network does not have; the message is one line, fit to be shown."""
