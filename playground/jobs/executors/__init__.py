"""Where runs compute: on this machine, or elsewhere."""
