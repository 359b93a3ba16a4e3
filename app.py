"""The server: `streamlit run app.py`."""

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route

import playground.ui.common.form
import playground.ui.components.strip
import playground.ui.pages.train.transport  # noqa: F401 - what the first page needs is there before the server answers
from playground.data import store
from playground.data.catalog import DataError
from playground.jobs import client
from playground.studies import lifecycle
from playground.ui.common import guard, person
from playground.ui.components import assets, thumbnails


def unpack_images() -> None:
    """Unpack the bundled images, which the first page shows; where that fails, the page says why."""
    with suppress(DataError, OSError):
        store.open_arrays("cifar10-mini")


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncGenerator[dict[str, Any]]:
    """Keep the job service running beside the server; it starts in a thread of its own, so no page waits for it."""
    threading.Thread(target=unpack_images, daemon=True).start()
    with client.hold_presence():
        threading.Thread(target=lifecycle.revive_studies, daemon=True).start()  # studies that were at work go on
        yield {}


base = "/".join(["", *filter(None, st.get_option("server.baseUrlPath").split("/"))])  # Streamlit moves its own alone
routes = [Route(base + route.path, route.endpoint) for route in (*assets.ROUTES, *thumbnails.ROUTES)]
middleware = (Middleware(person.Middleware),)
app = st.App(
    "pages/frame.py", lifespan=lifespan, routes=routes, middleware=middleware, on_script_error=guard.show_error
)
