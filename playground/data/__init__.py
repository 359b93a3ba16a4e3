"""The images: which sets there are, where they come from, and how they are kept and varied."""
