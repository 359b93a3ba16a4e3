"""Train: choose the knobs, press play, watch the network learn."""

from playground.ui.pages.train import page

page.draw()
