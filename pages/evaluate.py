"""Judge: what a network gets right and wrong, at any epoch, with every figure's formula and counts."""

from playground.ui.pages.evaluate import page

page.draw()
