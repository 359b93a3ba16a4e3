"""Home: what this is, in one screen, with a trained run alive in it."""

from playground.ui.pages.home import page

page.draw()
