"""A person's own images: a zip or a folder is understood, shown, corrected, and taken in."""
