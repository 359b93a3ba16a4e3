"""The parts of the page that looks into a network; each view draws itself from a `scene.Scene`."""
