"""What the form of all knobs holds, and its place in the URL.

A widget's value lives in the session under `key(name)`; the URL mirrors the knobs that differ from the default.
Whoever opens the link, goes back in the browser's history or comes from another page with parameters gets that form.
"""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from playground.config import KNOBS, ConfigError, RunConfig, flatten, from_flat, rename, to_query
from playground.data import catalog
from playground.ui.common import session, url

MAX_BLOCKS = KNOBS["channels"].lengths[1] if KNOBS["channels"].lengths else 6


# The session: what the widgets hold


def key(name: str) -> str:
    """Return the session's key of a knob's widget; another one each time that `load` has changed it.

    To change a widget from here would race with the browser, which may just be reporting where it stood before; that
    would be taken for a person's wish. So what is loaded is drawn as a new widget.
    """
    turn = st.session_state.get("form_turns", {}).get(name, 0)
    return f"knob_{name}_{turn}" if turn else f"knob_{name}"


def load_config(config: RunConfig) -> None:
    """Put a config into the form at a person's wish; to be called before the form is drawn, or in a callback."""
    url.say_moved()
    _put(config)


def _put(config: RunConfig) -> None:
    turns = st.session_state.setdefault("form_turns", {})
    for name, value in _widgets_of(config).items():
        if st.session_state.get(key(name), value) != value:
            turns[name] = turns.get(name, 0) + 1
        st.session_state[key(name)] = value
    st.session_state["form_loaded"] = config
    session.FORM.set(config)


def loaded() -> RunConfig:
    """Return what was last put into the form; a person has moved its knobs since."""
    return st.session_state.get("form_loaded", RunConfig())


def _widgets_of(config: RunConfig) -> dict[str, Any]:
    """Return `{name: value}` of a config's widgets."""
    values = flatten(config)
    channels = values.pop("channels")
    return values | {"channels_blocks": len(channels)} | {f"channels_{i}": c for i, c in enumerate(channels)}


def value(name: str, fallback: Any) -> Any:
    """Return what a knob's widget holds; `fallback` where it holds nothing yet."""
    if name == "channels":
        blocks = st.session_state.get(key("channels_blocks"), len(fallback))
        padded = [*fallback, *[min(512, fallback[-1] * 2)] * MAX_BLOCKS]
        return tuple(st.session_state.get(key(f"channels_{i}"), padded[i]) for i in range(blocks))
    now = st.session_state.get(key(name))
    return fallback if now is None else now


def held() -> RunConfig:
    """Return the config that the form held when it was last drawn, loaded or moved."""
    return session.FORM.get()


def take_moved(name: str) -> bool:
    """Keep what a knob's widget holds, at once; False if the form held it before, so that nobody has moved it.

    For callbacks: Streamlit also calls those of widgets that it forgot, as a quick second change cut a drawing short.
    """
    if value(name, None) in (None, flatten(held())[name]):
        return False
    session.FORM.set(read_config())
    return True


def read_config() -> RunConfig:
    """Return the form's config as the widgets stand now, drawn or not."""
    return from_flat({name: value(name, before) for name, before in flatten(held()).items()})


def _restore() -> None:
    """Give the widgets the values again that Streamlit forgot.

    It forgets all of them while another page is shown, and those that were not drawn yet when a quick second change
    cut a run of the page short.
    """
    if not session.FORM.chosen:
        session.FORM.set(RunConfig())
    config = session.FORM.get()
    for name, value in _widgets_of(config).items():
        if key(name) not in st.session_state:
            st.session_state[key(name)] = value


# The URL


def read_query(params: Mapping[str, str], base: RunConfig | None = None) -> tuple[RunConfig, list[str]]:
    """Return the config that URL parameters say, and one line for each that cannot be; those keep `base`'s value."""
    config, errors = base or RunConfig(), []
    for name, text in rename(params).items():
        if name not in KNOBS:
            errors.append(f"{name} in the link is no knob; it was left out")
            continue
        try:
            config = from_flat({name: text}, config)
            if name == "dataset":
                catalog.find_info(text)
        except (ConfigError, catalog.DataError) as error:
            errors.append(f"The link was mended: {error}")
            config = from_flat({name: KNOBS[name].default}, config)
    return config, errors


def follow_url(changed: bool, kept: tuple[str, ...] = (), base: RunConfig | None = None) -> list[str]:
    """Load the form from the URL when the URL was changed from outside: a link, a reload, back and forward.

    Args:
        changed: whether it was.
        kept: parameters that are not the form's.
        base: where a URL without knobs starts from; None keeps what this session had last.

    Returns:
        One line for each value that cannot be; they are shown until a knob is changed.
    """
    if changed:
        knobs = {name: value for name, value in st.query_params.to_dict().items() if name not in kept}
        if knobs or base or not session.FORM.chosen:
            config, errors = read_query(knobs, None if knobs else base)
            _put(config)
            st.session_state["url_errors"] = (config, errors)
    _restore()
    config, errors = st.session_state.get("url_errors", (None, []))
    return errors if config == read_config() else []


def write_url(config: RunConfig, kept: Mapping[str, str]) -> None:
    """Mirror the form in the URL."""
    url.write_address("train", {**kept, **to_query(config)})
