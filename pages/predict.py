"""Predict: show an image to any run at any epoch, or to two runs side by side."""

from playground.ui.pages.predict import page

page.draw()
