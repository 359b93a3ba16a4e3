"""What a person sees when something goes wrong: one line, never a traceback."""

import streamlit as st

from playground.ui.escape import escape


def show(error: Exception) -> bool:
    """Show one line for an uncaught error; True: Streamlit need not show it (it has logged it to the console)."""
    st.error(escape(words(error)), icon=":material/error:")
    return True


def words(error: Exception) -> str:
    """Return what a person can make use of: our own errors say what is wrong, and so does the system."""
    if type(error).__module__.startswith("playground."):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"This page could not be drawn: {error.strerror}{f' ({error.filename})' if error.filename else ''}."
    return "This page could not be drawn; what went wrong is in the server's console. The other pages are not affected."
