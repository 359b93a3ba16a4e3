"""What pages share in a person's session, by name and type. What one page keeps for itself needs no entry here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import streamlit as st

from playground.config import RunConfig

T = TypeVar("T")


class Shared(Generic[T]):
    """One value of the session.

    Attributes:
        key: under which Streamlit keeps it; a widget with this key shows it.
        default: what it is until it is set.
    """

    def __init__(self, key: str, default: T) -> None:
        self.key, self.default = key, default

    @property
    def chosen(self) -> bool:
        """Whether it was set."""
        return self.key in st.session_state

    def get(self) -> T:
        """Return the value."""
        return st.session_state.get(self.key, self.default)

    def set(self, value: T) -> None:
        """Set the value."""
        st.session_state[self.key] = value

    def take(self) -> T:
        """Return the value, and forget it."""
        return st.session_state.pop(self.key, self.default)


@dataclass(frozen=True)
class Picked:
    """An image that a person chose.

    Attributes:
        image: uint8 (H, W, 3).
        title: what to call it.
        truth: its class, where it is known.
        size: (height, width) of the file that it is from; None for a test image.
    """

    image: np.ndarray
    title: str
    truth: str | None = None
    size: tuple[int, int] | None = None

    @property
    def photo(self) -> bool:
        """Whether it came from outside, so that its crop is worth showing."""
        return self.size is not None


FORM = Shared("form", RunConfig())
"""The settings on the form."""
RUN = Shared("run", "")
"""The id of the run on the Train page."""
NOTICE = Shared("notice", "")
"""What went wrong with it, to be said once."""
LEAVE: Shared[tuple[str, dict[str, str]] | None] = Shared("shelf_leave", None)
"""The page to go to at the end of this drawing, and its address."""

TEST_ROW = Shared("predict_row", 0)
"""The test image that Predict and Inside show."""
SOURCE = Shared("predict_source", "Test images")
"""Where Predict's image is from."""
PHOTO: Shared[Picked | None] = Shared("inside_photo", None)
"""The photo that Inside shows in place of the test image."""

SHELF_RUN: Shared[str | None] = Shared("shelf_run", None)
"""The run on the shelf that was ticked last."""
TICKED: Shared[Sequence[str]] = Shared("shelf_ticked", ())
"""All that are ticked."""
SHELF_ERROR, SHELF_DONE = Shared("shelf_error", ""), Shared("shelf_done", "")
"""What went wrong on the shelf, and what was done, to be said once."""

STUDY = Shared("study", "")
"""The id of the study that is shown; "" for a new one."""
STUDY_ERROR, STUDY_DONE = Shared("study_error", ""), Shared("study_done", "")
"""What went wrong with it, and what was done, to be said once."""
DATA_DONE = Shared("data_done", "")
"""What was done with a data set, to be said once."""
