"""The parts of the page Studies."""
