"""Text that is not ours, drawn as it stands."""

import re


def escape(text: str) -> str:
    """Return text that Streamlit's markdown shows as it is: no bold, no formula, no link, no picture."""
    return re.sub(r"([\\`*_\[\]<>$~#|!{}&:])", r"\\\1", " ".join(text.split()))
