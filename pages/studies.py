"""Studies: many runs that answer one question. Sweeps, cross-validation, several seeds, range tests."""

from playground.ui.pages.studies import page

page.draw()
