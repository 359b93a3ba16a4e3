"""Compare: several runs side by side, their curves, knobs, costs and mistakes."""

import streamlit as st

from playground import runs
from playground.ui.common import diagnosis, run_views
from playground.ui.common.escape import escape
from playground.ui.pages.compare import chosen_runs, mistakes, run_curves, significance, table

TICK = 1.0


def closer(views: list[run_views.View], names: list[str]) -> None:
    """Draw the chosen closer look; the others compute nothing."""
    chosen = st.segmented_control(
        "A closer look",
        list(chosen_runs.VIEWS),
        format_func=lambda name: f":material/{chosen_runs.VIEWS[name][1]}: {chosen_runs.VIEWS[name][0]}",
        key="compare_view",
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    match chosen:
        case "luck":
            significance.draw(views, names)
        case "diagnosis":
            for view, name in zip(views, names, strict=True):
                st.markdown(f"**{escape(name)}**")
                diagnosis.draw_cards(view, key=f"compare_{view.run.id}")
        case _:
            mistakes.draw(views, names)


def board(active: bool) -> None:
    """Everything below the picker; while one of the runs is at work it is drawn again every `TICK` seconds."""
    before = list(st.session_state[chosen_runs.RUNS])
    chosen = chosen_runs.present()
    if chosen:
        views = [run_views.watch_run(run) for run in chosen]
        names = chosen_runs.names(chosen)
        run_curves.draw(views, names, chosen_runs.numbers(chosen))
        table.draw(views, names)
        closer(views, names)
    else:
        st.info("Choose the runs to compare.", icon=":material/compare_arrows:")
    if len(chosen) == 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Choose another run to compare with, or train one.", width="content")
            st.page_link("train.py", label="Train another", icon=":material/model_training:")
    chosen_runs.write_url(chosen)
    if any(run.status().active for run in chosen) != active or [run.id for run in chosen] != before:
        st.rerun()


def draw() -> None:
    """Draw the page."""
    chosen_runs.follow_url()
    if st.session_state[chosen_runs.RUNS] or runs.list_runs():
        chosen_runs.picker()
        active = any(run.status().active for run in runs.list_runs() if run.id in st.session_state[chosen_runs.RUNS])
        st.fragment(board, run_every=TICK if active else None)(active)
    else:
        st.info("There is no run to compare yet. Train one; its curves appear here at once.", icon=":material/info:")
        st.page_link("train.py", label="Train a network", icon=":material/model_training:")
