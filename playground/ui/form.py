"""What the form of all knobs holds, and its place in the URL.

A widget's value lives in the session under `knob_<name>`; the URL mirrors the knobs that differ from the default.
Whoever opens the link, goes back in the browser's history or comes from another page with parameters gets that form.
"""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from playground.config import KNOBS, ConfigError, RunConfig, flatten, from_flat, to_query
from playground.data import catalog

MAX_BLOCKS = KNOBS["channels"].lengths[1] if KNOBS["channels"].lengths else 6


# The session: what the widgets hold


def load(config: RunConfig) -> None:
    """Put a config into the form; to be called before the form is drawn, or in a callback."""
    for key, value in _held(config).items():
        st.session_state[key] = value
    st.session_state["form"] = config


def _held(config: RunConfig) -> dict[str, Any]:
    """Return `{widget key: value}` for a config."""
    held = {f"knob_{name}": value for name, value in flatten(config).items()}
    channels = held.pop("knob_channels")
    return held | {"knob_channels_blocks": len(channels)} | {f"knob_channels_{i}": c for i, c in enumerate(channels)}


def value(name: str, fallback: Any) -> Any:
    """Return what a knob's widget holds; `fallback` where it holds nothing yet."""
    if name == "channels":
        blocks = st.session_state.get("knob_channels_blocks", len(fallback))
        padded = [*fallback, *[min(512, fallback[-1] * 2)] * MAX_BLOCKS]
        return tuple(st.session_state.get(f"knob_channels_{i}", padded[i]) for i in range(blocks))
    held = st.session_state.get(f"knob_{name}")
    return fallback if held is None else held


def current() -> RunConfig:
    """Return the form's config as the widgets stand now, drawn or not."""
    before = st.session_state.get("form", RunConfig())
    return from_flat({name: value(name, before_value) for name, before_value in flatten(before).items()})


def _restore() -> None:
    """Give the widgets the values again that Streamlit forgot.

    It forgets all of them while another page is shown, and those that were not drawn yet when a quick second change
    cut a run of the page short.
    """
    config = st.session_state.setdefault("form", RunConfig())
    for key, value in _held(config).items():
        if key not in st.session_state:
            st.session_state[key] = value


# The URL


def read_query(params: Mapping[str, str], base: RunConfig | None = None) -> tuple[RunConfig, list[str]]:
    """Return the config that URL parameters say, and one line for each that cannot be; those keep `base`'s value."""
    config, errors = base or RunConfig(), []
    for name, text in params.items():
        if name not in KNOBS:
            errors.append(f"{name} in the link is no knob; it was left out")
            continue
        try:
            config = from_flat({name: text}, config)
            if name == "dataset":
                catalog.info(text)
        except (ConfigError, catalog.DataError) as error:
            errors.append(f"The link was mended: {error}")
            config = from_flat({name: KNOBS[name].default}, config)
    return config, errors


def follow_url(kept: tuple[str, ...] = (), base: RunConfig | None = None) -> list[str]:
    """Load the form from the URL when the URL was changed from outside: a link, a reload, back and forward.

    Args:
        kept: parameters that are not the form's.
        base: where a URL without knobs starts from; None keeps what this session had last.

    Returns:
        One line for each value that cannot be; they are shown until a knob is changed.
    """
    if st.query_params.to_dict() != st.session_state.get("url"):
        knobs = {name: value for name, value in st.query_params.to_dict().items() if name not in kept}
        if knobs or base or "form" not in st.session_state:
            config, errors = read_query(knobs, None if knobs else base)
            load(config)
            st.session_state["url_errors"] = (config, errors)
    _restore()
    config, errors = st.session_state.get("url_errors", (None, []))
    return errors if config == current() else []


def write_url(config: RunConfig, kept: Mapping[str, str]) -> None:
    """Mirror the form in the URL."""
    query = {**kept, **to_query(config)}
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)
    st.session_state["url"] = query
