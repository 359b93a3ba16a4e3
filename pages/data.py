"""Data: the data sets, those that can be fetched, and a person's own."""

from playground.ui.pages.data import page

page.draw()
