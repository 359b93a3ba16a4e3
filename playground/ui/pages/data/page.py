"""Data: the data sets, those that can be fetched, and a person's own."""

import streamlit as st

from playground.data import catalog
from playground.jobs import fetch
from playground.ui.common import session
from playground.ui.common.escape import escape
from playground.ui.pages.data import datasets, draw_shapes, import_zip


def cards(fetching: bool, shown: str) -> None:
    """Draw every data set; while one is being downloaded, again and again."""
    busy = False
    with st.grid(2, min_column_width=420, gap="small", border=True) as grid:
        for info in catalog.list_available():
            if info.name == shown:  # It is up there, in view.
                continue
            with grid.cell(), st.container(gap="xsmall", key=f"card_{info.name}"):
                busy |= datasets.card(info)
        for name, reason in catalog.list_damaged().items():
            with grid.cell(), st.container(gap="xsmall", key=f"card_{name}"):
                datasets.damaged_card(name, reason)
    if busy != fetching:
        st.rerun()


def draw() -> None:
    """Draw the page."""
    if done := session.DATA_DONE.take():
        st.toast(escape(done), icon=":material/check:")
    with st.expander("Use your own images", icon=":material/add_photo_alternate:", key="own_images"):
        import_zip.import_form()
    with st.expander("Draw shapes", icon=":material/draw:", key="own_shapes"):
        draw_shapes.draw_form()
    shown = import_zip.new_set()
    fetching = any(fetch.read_progress(info.name).state == "running" for info in catalog.list_available())
    st.fragment(cards, run_every=datasets.TICK if fetching else None)(fetching, shown)
