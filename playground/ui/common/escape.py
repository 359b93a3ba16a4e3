"""Text that is not ours, drawn as it stands.

Names, notes, titles, classes, file names, parameters of the address, and error lines that quote any of these may be
anybody's. In whatever Streamlit reads as markdown (texts, labels, help, captions; not the options of a select box and
not the cells of a table) they go through `escape`; in figures, through `playground.plots.style.plain`.
"""

import re

_MARKS = re.compile(r"([\\`*\[\]<$~]|(?<!\w)_|_(?!\w)|:(?=[^\W\d])|&(?=#|\w+;)|^[-+>#])")
"""What means something to markdown: where it does, so that most names stay as they are."""
_NUMBER = re.compile(r"^(\d{1,9})([.)])")
_JOINER = "\u2060"
"""A character without width, at which no line is broken."""
_AFTERWARDS = re.compile(
    r"(?<=:)(?=(?!\d+:)[\w+-]+:|[\w]+/\w+:)"  # emoji and icons
    r"|(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)"  # addresses
    r"|(?<=(?<!\S)[<>~-])(?=[->=]+(?!\S))",  # arrows and signs: ->, <-, --, >=
    re.IGNORECASE,
)
"""Where the browser replaces things in text whose backslashes are gone already."""


def escape(text: str) -> str:
    """Return text that Streamlit's markdown shows as it is, in one line: no bold, formula, link, picture or icon."""
    broken = _AFTERWARDS.sub(_JOINER, " ".join(text.split()))
    return _NUMBER.sub(r"\1\\\2", _MARKS.sub(r"\\\1", broken))
