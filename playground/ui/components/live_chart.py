"""A Plotly chart that is updated in place.

`st.plotly_chart` takes the figure into its identity: each new point replaces the chart, which blinks and forgets the
zoom. This component keeps its DOM node and hands every new figure to `Plotly.react`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from playground.ui.components.assets import PLOTLY_PATH

_mount = st.components.v2.component(
    "cnn_playground_live_chart",
    html='<div class="live-chart" role="figure"></div>',
    css=Path(__file__).with_name("live_chart.css").read_text(encoding="utf-8"),
    js=Path(__file__).with_name("live_chart.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # Plotly puts its own style sheet into the document's head
)


@dataclass(frozen=True)
class Pictures:
    """A sheet of square tiles; a point whose customdata is a tile's number shows it under the pointer.

    Attributes:
        path: where the server serves it, relative to the app's root.
        columns, rows: how many tiles the sheet has.
        side: of a tile on the screen, in pixels.
    """

    path: str
    columns: int
    rows: int
    side: int = 96


def live_chart(
    figure: Mapping[str, Any],
    *,
    key: str,
    alt: str,
    height: int = 260,
    version: object = None,
    on_click: Callable[[dict[str, Any]], None] | None = None,
    pictures: Pictures | None = None,
) -> None:
    """Draw a figure and, on later calls with the same key, update it where it stands.

    Args:
        figure: a Plotly figure as a JSON-able dict with "data" and "layout"; `layout.uirevision` says for how long a
            person's zoom is kept.
        key: the chart's identity on the page.
        alt: what the chart shows, for those who do not see it.
        height: in pixels.
        version: changes whenever the figure does; None redraws on each call.
        on_click: is called with what was clicked: "curve" (the trace), "point" (its number; [row, column] in a
            heatmap), "x", "y" and "customdata". A mouse alone clicks: give the keyboard another way.
        pictures: what the points show under the pointer.
    """

    def clicked() -> None:
        if on_click and (what := st.session_state[key].click):
            on_click(dict(what))

    data = {"figure": figure, "alt": alt, "height": height, "version": version, "plotly": PLOTLY_PATH}
    more = {"clicks": on_click is not None, "pictures": asdict(pictures) if pictures else None}
    _mount(key=key, data=data | more, height=height, on_click_change=clicked)
