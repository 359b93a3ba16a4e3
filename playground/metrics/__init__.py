"""What a network's predictions are worth: arrays in, figures out. It knows no runs, no data sets and no Streamlit."""

IGNORE = 255
"""The value in a mask that belongs to no class and counts for nothing."""
