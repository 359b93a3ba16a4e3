"""Segment: a label for each place of an image, by any network."""

from playground.ui.pages.segment import page

page.draw()
