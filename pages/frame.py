"""The frame around every page: its title, its icon and the navigation. The server starts here."""

from playground.ui.common import frame

frame.draw()
