"""The one error of this package."""


class InterpretError(ValueError):
    """A layer, map, pixel, class or image that this network does not have; the message is one line, fit to be shown."""
