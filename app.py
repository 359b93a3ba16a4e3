"""The server: `streamlit run app.py`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st

from playground.jobs import client
from playground.ui import errors
from playground.ui.assets import ROUTES


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncGenerator[dict[str, Any]]:
    """Keep the job service running beside the server; it starts in a thread of its own, so no page waits for it."""
    with client.client():
        yield {}


app = st.App("pages/frame.py", lifespan=lifespan, routes=ROUTES, on_script_error=errors.show)
