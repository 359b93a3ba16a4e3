"""From one label an image to a label for each place: sliding windows, and scenes whose true map is known."""

from playground.errors import PlaygroundError


class SegmentError(PlaygroundError, ValueError):
    """An image that cannot be labelled place by place; the message is one line, fit to be shown."""
