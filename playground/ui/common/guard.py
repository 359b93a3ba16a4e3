"""What a person sees when something goes wrong: one line, never a traceback."""

import streamlit as st

from playground.errors import PlaygroundError
from playground.ui.common.escape import escape


def show_error(error: Exception) -> bool:
    """Show one line for an uncaught error; True: Streamlit need not show it (it has logged it to the console)."""
    st.error(escape(describe_error(error)), icon=":material/error:")
    return True


class guard:
    """Inside, an error that a person can mend is one line where it arose, and the rest of the page stays.

    Any other goes on: it is a mistake of ours, which `show` says and Streamlit logs.
    """

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Show what a person can mend, and say that it is dealt with."""
        if not isinstance(error, PlaygroundError):
            return False
        st.error(escape(describe_error(error)), icon=":material/error:")
        return True


def describe_error(error: BaseException) -> str:
    """Return what a person can make use of: our own errors say what is wrong, and so does the system."""
    if isinstance(error, PlaygroundError) and str(error).strip():
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"This page could not be drawn: {error.strerror}{f' ({error.filename})' if error.filename else ''}."
    return "This page could not be drawn; what went wrong is in the server's console. The other pages are not affected."
