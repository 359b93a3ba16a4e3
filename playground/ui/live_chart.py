"""A Plotly chart that is updated in place.

`st.plotly_chart` takes the figure into its identity: each new point replaces the chart, which blinks and forgets the
zoom. This component keeps its DOM node and hands every new figure to `Plotly.react`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from playground.ui.assets import PLOTLY_PATH

_mount = st.components.v2.component(
    "cnn_playground_live_chart",
    html='<div class="live-chart" role="figure"></div>',
    css=".live-chart { width: 100%; overflow: hidden; }\n",
    js=Path(__file__).with_name("live_chart.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # Plotly puts its own style sheet into the document's head
)


def live_chart(figure: Mapping[str, Any], *, key: str, alt: str, height: int = 260, version: object = None) -> None:
    """Draw a figure and, on later calls with the same key, update it where it stands.

    Args:
        figure: a Plotly figure as a JSON-able dict with "data" and "layout"; `layout.uirevision` says for how long a
            person's zoom is kept.
        key: the chart's identity on the page.
        alt: what the chart shows, for those who do not see it.
        height: in pixels.
        version: changes whenever the figure does; None redraws on each call.
    """
    _mount(
        key=key,
        data={"figure": figure, "alt": alt, "height": height, "version": version, "plotly": PLOTLY_PATH},
        height=height,
    )
