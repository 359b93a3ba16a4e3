"""A run as a program that stands alone: what of this program's own source it needs, simplified for one run."""
