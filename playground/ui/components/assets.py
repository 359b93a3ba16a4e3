"""The one file the browser needs besides Streamlit's own: plotly.min.js, out of the installed plotly wheel."""

from importlib.metadata import version
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

PLOTLY_PATH = f"assets/plotly-{version('plotly')}.min.js"
"""Where the server serves it, relative to the app's root. The version is in the name, so it never changes."""


async def _plotly_js(request: Request) -> FileResponse:
    return FileResponse(
        str(files("plotly") / "package_data" / "plotly.min.js"),
        media_type="text/javascript",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


ROUTES = (Route(f"/{PLOTLY_PATH}", _plotly_js),)
