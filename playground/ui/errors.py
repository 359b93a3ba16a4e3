"""What a person sees when something goes wrong: one line, never a traceback."""

import streamlit as st

from playground.config import ConfigError
from playground.data.catalog import DataError
from playground.runs import RunError


def show(error: Exception) -> bool:
    """Show one line for an uncaught error; True: Streamlit need not show it (it has logged it to the console)."""
    told = isinstance(error, ConfigError | DataError | RunError)
    st.error(
        str(error)
        if told
        else "This page could not be drawn; what went wrong is in the server's console. Reloading it may help.",
        icon=":material/error:",
    )
    return True
