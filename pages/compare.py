"""Compare: several runs side by side, their curves, knobs, costs and mistakes."""

import streamlit as st

from playground import runs
from playground.ui import diagnosis, feeds
from playground.ui.compare import choose, curves, luck, pair, table
from playground.ui.escape import escape

TICK = 1.0


def closer(views: list[feeds.View], names: list[str]) -> None:
    """Draw the chosen closer look; the others compute nothing."""
    chosen = st.segmented_control(
        "A closer look",
        list(choose.VIEWS),
        format_func=lambda name: f":material/{choose.VIEWS[name][1]}: {choose.VIEWS[name][0]}",
        key="compare_view",
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    match chosen:
        case "luck":
            luck.draw(views, names)
        case "diagnosis":
            for view, name in zip(views, names, strict=True):
                st.markdown(f"**{escape(name)}**")
                diagnosis.cards(view, key=f"compare_{view.run.id}")
        case _:
            pair.draw(views, names)


def board(active: bool) -> None:
    """Everything below the picker; while one of the runs is at work it is drawn again every `TICK` seconds."""
    before = list(st.session_state[choose.RUNS])
    chosen = choose.present()
    if chosen:
        views = [feeds.watch(run) for run in chosen]
        names = choose.names(chosen)
        curves.draw(views, names, choose.numbers(chosen))
        table.draw(views, names)
        closer(views, names)
    else:
        st.info("Choose the runs to compare.", icon=":material/compare_arrows:")
    if len(chosen) == 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Choose another run to compare with, or train one.", width="content")
            st.page_link("train.py", label="Train another", icon=":material/model_training:")
    choose.write_url(chosen)
    if any(run.status().active for run in chosen) != active or [run.id for run in chosen] != before:
        st.rerun()


choose.follow_url()
if st.session_state[choose.RUNS] or runs.list_runs():
    choose.picker()
    active = any(run.status().active for run in runs.list_runs() if run.id in st.session_state[choose.RUNS])
    st.fragment(board, run_every=TICK if active else None)(active)
else:
    st.info("There is no run to compare yet. Train one; its curves appear here at once.", icon=":material/info:")
    st.page_link("train.py", label="Train a network", icon=":material/model_training:")
