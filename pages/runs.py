"""Runs: the shelf of all runs, with everything that can be done to one."""

from playground.ui.pages.runs import page

page.draw()
