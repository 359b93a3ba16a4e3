"""Compare: several runs side by side, their curves, knobs, costs and mistakes."""

from playground.ui.pages.compare import page

page.draw()
