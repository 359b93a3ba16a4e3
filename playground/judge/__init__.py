"""Judging a network by its answers to the test images: numbers in, numbers out; no torch, no Streamlit."""
