"""The address of a page: taken when it was changed from outside, written when what it tells of was changed on the page.

Streamlit sends each drawing the address that the browser had when it asked for it. Whoever moves a second widget before
the browser has heard of the address that the first one made sends an older one along; read as a step back in the
history, it would undo what was moved. So whatever changes what an address tells of says `moved`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import streamlit as st

REMEMBERED = 100
"""So many addresses of a page are known again as its own."""


def say_moved() -> None:
    """Say that the next drawing comes of something on the page; to be called in callbacks, and before `st.rerun`."""
    st.session_state["url_moved"] = True


def take_changed(page: str) -> bool:
    """Whether the address was changed from outside: by a link, a reload, back and forward. Once true, then false."""
    query, ours = st.query_params.to_dict(), _ours(page)
    if ours and (query == ours[-1] or (st.session_state.get("url_moved") and query in ours)):
        return False
    _keep(ours, query)
    return True


def write_address(page: str, query: Mapping[str, str]) -> None:
    """Mirror what the page shows in the address; a new one is a step in the browser's history."""
    # First kept, then sent: Streamlit may break this drawing off for a newer one between any two lines.
    _keep(_ours(page), dict(query))
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)
    st.session_state["url_moved"] = False


# What an address tells of, beside runs and epochs


@dataclass(frozen=True)
class Part:
    """A choice that an address tells: a name, or a whole number.

    Attributes:
        key: of the session, under which it is kept.
        names: what it may be; or a regular expression of it; or None for a number.
    """

    key: str
    names: Collection[str] | re.Pattern[str] | None = None

    def read(self, text: str) -> str | int | None:
        """Return what a link says; None if it cannot be that."""
        if self.names is None:
            return int(text) if re.fullmatch("[0-9]{1,6}", text) else None
        fits = self.names.fullmatch(text) if isinstance(self.names, re.Pattern) else text in self.names
        return text if fits else None


def take_parts(parts: Mapping[str, Part]) -> None:
    """Put into the session what the address tells; to be called before the widgets are drawn."""
    for name, part in parts.items():
        if (told := part.read(st.query_params.get(name, ""))) is not None:
            st.session_state[part.key] = told


def read_parts(parts: Mapping[str, Part]) -> dict[str, str]:
    """Return what the session holds, for the address."""
    held = {name: st.session_state.get(part.key) for name, part in parts.items()}
    return {name: str(value) for name, value in held.items() if value is not None}


def _ours(page: str) -> list[dict[str, str]]:
    """Return the addresses that the page had in this session, the latest last."""
    return st.session_state.setdefault(f"url_{page}", [])


def _keep(ours: list[dict[str, str]], query: dict[str, str]) -> None:
    if query in ours:
        ours.remove(query)
    ours.append(query)
    del ours[:-REMEMBERED]
