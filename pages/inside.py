"""Inside: look into a trained network, at any image and any epoch."""

from playground.ui.pages.inside import page

page.draw()
