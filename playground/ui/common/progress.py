"""A bar that follows long work."""

from typing import Any

from playground.data.progress import Progress, Report


def follow_progress(bar: Any) -> Report:
    """Return what moves one of Streamlit's progress bars."""

    def move(now: Progress) -> None:
        bar.progress(min(1.0, now.done / now.total) if now.total else 0.0, now.what)

    return move
