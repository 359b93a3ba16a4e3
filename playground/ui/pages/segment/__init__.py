"""The views of the Segment page."""
