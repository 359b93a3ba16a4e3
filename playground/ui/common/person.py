"""Who looks at the page: a middleware tells each request's person, and a page asks for it."""

from typing import Any

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground import people
from playground.runs import RunFolder

HEADER = "x-playground-person"
"""Set by the middleware on the way in; what a browser sends under this name is dropped."""
COOKIE_SECONDS = 400 * 24 * 3600  # browsers keep none for longer


def current_person() -> str:
    """Return the person for whom the page is being drawn."""
    return st.context.headers.get(HEADER, people.MACHINE)


def is_mine(run: RunFolder) -> bool:
    """Whether this person may change a run; the machine's owner may change all."""
    return people.may_change(run.owner, current_person())


class Middleware:
    """Tells the pages who asks, and gives a browser from elsewhere its cookie."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        person = _person(scope)
        headers = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
        scope = {**scope, "headers": [*headers, (HEADER.encode(), person.encode())]}
        await self.app(scope, receive, _with_cookie(scope, send, person) if person else send)


def _person(scope: Scope) -> str:
    headers = Headers(scope=scope)
    client, server = scope.get("client") or [None], scope.get("server") or [None]
    if people.is_on_this_machine(client[0], server[0], headers.keys()):
        return people.MACHINE
    cookies = cookie_parser(headers.get("cookie", ""))
    return people.read_cookie(cookies.get(people.name_cookie(), "")) or people.make_person()


def _with_cookie(scope: Scope, send: Send, person: str) -> Send:
    """Add the cookie to what a browser opens, a page or its websocket; each time, so that it does not run out."""
    headers = Headers(scope=scope)
    opened = scope["type"] == "websocket" or "text/html" in headers.get("accept", "")
    secure = scope["scheme"] in ("https", "wss") or headers.get("x-forwarded-proto", "").startswith("https")
    path = "/" + st.get_option("server.baseUrlPath").strip("/")
    cookie = f"{people.name_cookie()}={people.write_cookie(person)}; Path={path}; Max-Age={COOKIE_SECONDS}"
    cookie += "; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    async def send_with_cookie(message: Message) -> None:
        if opened and message["type"] in ("http.response.start", "websocket.accept"):
            message: dict[str, Any] = {"headers": [], **message}
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return send_with_cookie
