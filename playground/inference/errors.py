"""The one error of this package."""

from playground.errors import PlaygroundError


class InferenceError(PlaygroundError, ValueError):
    """A run that cannot predict, or an image that it cannot predict from."""
