"""Runs: the shelf of all runs, with everything that can be done to one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from playground import runs
from playground.people import name_person
from playground.ui.common import person, pickers, session
from playground.ui.common.escape import escape
from playground.ui.pages.runs import actions, trash
from playground.ui.pages.runs import table as shelf
from playground.ui.pages.runs.table import Row
from playground.ui.pages.train.transport import BADGES

PAGE = 20
TICK = 2.0  # seconds between two looks while a run on the page is at work
IDLE_TICK = 10.0  # and while none is: a run that was started elsewhere appears too


def selected() -> list[str]:
    """Return the ids of the ticked runs; `shelf_run`, which the actions are about, is the one ticked last."""
    chosen, ticked = session.SHELF_RUN.get(), session.TICKED.get()
    return list(ticked) if chosen in ticked else [chosen] if chosen else []


def select_rows() -> None:
    """Take over which rows are ticked in the table."""
    ids = st.session_state.get("shelf_ids", [])
    tick_here([ids[row] for row in st.session_state["shelf"]["selection"]["rows"] if row < len(ids)])


def tick_here(here: list[str]) -> None:
    """Tick these runs of the page that is shown; ticks on its other pages stay."""
    before, ids = selected(), st.session_state.get("shelf_ids", [])
    ticked = [run_id for run_id in before if run_id not in ids] + here
    added = [run_id for run_id in ticked if run_id not in before]
    if added or session.SHELF_RUN.get() not in ticked:
        session.SHELF_RUN.set((added or ticked or [None])[-1])
    session.TICKED.set(ticked)


def whose(row: Row) -> str:
    """Say whose a run is that is not the person's own."""
    return "" if row.read_only or row.owner == person.current_person() else name_person(row.owner)


def columns() -> dict[str, Any]:
    """Say how each column is shown."""
    config = st.column_config
    titles = [title for state, (title, _, _) in BADGES.items() if state]
    colours = [colour for state, (_, _, colour) in BADGES.items() if state]
    return {
        "Name": config.TextColumn(width=190, pinned=True),
        "Whose": config.TextColumn(width=130, help="Nothing stands here beside your own."),
        "State": config.MultiselectColumn(options=titles, color=colours, width=105),
        "Metric": config.TextColumn(width=85, help="What the run is judged by: pixels by the mean IoU of the classes."),
        "Validation": config.ProgressColumn(
            "Best validation",
            format="%.1f %%",
            min_value=0,
            max_value=100,
            width=130,
            help="The metric on the images held back, after the epoch that was best on them.",
        ),
        "Test": config.NumberColumn(
            format="%.1f %%",
            width=75,
            help="The metric on the test images after that epoch; after the last one where no images are held back.",
        ),
        "Epochs": config.TextColumn(width=75, alignment="right"),
        "Time": config.NumberColumn(format="compact", width=80, help="Training, in hours, minutes and seconds."),
        "Parameters": config.NumberColumn(format="compact", width=95),
        "Made": config.DatetimeColumn(format="distance", width=120),
        "Knobs": config.ListColumn("Knobs that differ from the default", width=420),
    }


def table(rows: list[Row], ticked: list[str]) -> None:
    """Draw the rows of one page; a run stays ticked wherever its row moves."""
    st.session_state["shelf_ids"] = [row.id for row in rows]
    place = [i for i, row in enumerate(rows) if row.id in ticked]
    st.session_state["shelf"] = {"selection": {"rows": place, "columns": [], "cells": []}}
    st.dataframe(
        {
            "Name": [row.name for row in rows],
            **({"Whose": [whose(row) for row in rows]} if any(map(whose, rows)) else {}),
            "State": [[BADGES[row.state][0]] for row in rows],
            "Metric": [row.metric if row.test is not None else "" for row in rows],
            "Validation": [None if row.best is None else 100 * row.best for row in rows],
            "Test": [None if row.test is None else 100 * row.test for row in rows],
            "Epochs": [f"{row.epoch} / {row.epochs}" for row in rows],
            "Time": [timedelta(seconds=round(row.seconds)) if row.seconds else None for row in rows],
            "Parameters": [row.parameters or None for row in rows],
            "Made": [datetime.fromtimestamp(row.created, UTC) if row.created else None for row in rows],
            "Knobs": [list(row.knobs) for row in rows],
        },
        column_config=columns(),
        hide_index=True,
        height="content",
        key="shelf",
        on_select=select_rows,
        selection_mode="multi-row",
        placeholder="",
        alt=f"{len(rows)} runs with their state, accuracy, time and knobs",
    )


def short_list(rows: list[Row], ticked: list[str]) -> None:
    """Draw the rows as buttons one below the other; style.css shows them in place of the table on a phone."""
    labels: dict[str, str] = {}  # no two the same: the browser knows a choice by its label
    for row in rows:
        score = f"test {row.metric} {pickers.format_percent(row.test)}" if row.test is not None else ""
        parts = (escape(row.name), escape(whose(row)), BADGES[row.state][0].lower(), score)
        label = " · ".join(part for part in parts if part)
        labels[row.id] = f"{label} ({row.id})" if label in labels.values() else label
    st.session_state["shelf_short"] = [run_id for run_id in labels if run_id in ticked]
    st.pills(
        "Runs",
        list(labels),
        selection_mode="multi",
        format_func=lambda run_id: labels.get(run_id, run_id),
        key="shelf_short",
        on_change=lambda: tick_here(list(st.session_state["shelf_short"])),
        label_visibility="collapsed",
        width="stretch",
        help="Tick one to open or change it, several to compare them.",
    )


def board(text: str, group: str, sort: str, tick: float) -> None:
    """Draw the actions, the table and the pages of it; drawn again every `tick` seconds."""
    actions.leave()
    if error := session.SHELF_ERROR.take():
        st.error(escape(error), icon=":material/error:")
    if done := session.SHELF_DONE.take():
        st.toast(escape(done), icon=":material/check:")
    everything = runs.list_runs()
    found = shelf.select(everything, text, group, sort)
    pages = max(1, -(-len(found) // PAGE))
    chosen = session.SHELF_RUN.get()
    known = {run.id: run for run in everything}
    run = known.get(chosen or "")
    ticked = [run_id for run_id in selected() if run_id in known]
    actions.draw_actions(run, shelf.row(run) if run else None, [known[run_id] for run_id in ticked])
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        page = min(st.pagination(pages, key="shelf_page"), pages) if pages > 1 else 1
        many = f"{len(found):,} of {len(everything):,} runs" if len(found) < len(everything) else f"{len(found):,} runs"
        st.caption(many.replace("1 runs", "1 run") if len(found) == 1 else many, width="content")
        trash.popover()
    rows = [shelf.row(run) for run in found[(page - 1) * PAGE : page * PAGE]]
    with place:
        if rows:
            table(rows, ticked)
            short_list(rows, ticked)
        elif everything:
            st.info("No run passes these filters.", icon=":material/filter_alt_off:")
        else:
            st.info("There is no run yet. Train a network; it appears here at once.", icon=":material/info:")
            st.page_link("train.py", label="Train a network", icon=":material/model_training:")
    if (TICK if any(row.active for row in rows) else IDLE_TICK) != tick:
        st.session_state["shelf_tick"] = TICK if tick == IDLE_TICK else IDLE_TICK
        st.rerun()


def draw() -> None:
    """Draw the page."""
    with st.container(horizontal=True, vertical_alignment="center", key="shelf_filters"):
        text = st.text_input(
            "Search",
            key="shelf_text",
            type="search",
            live=True,
            placeholder="Search names, notes, knobs",
            label_visibility="collapsed",
            persist_state="session",
        )
        group = st.segmented_control(
            "State",
            list(shelf.GROUPS),
            key="shelf_group",
            default="All",
            required=True,
            label_visibility="collapsed",
            persist_state="session",
        )
        sort = st.selectbox(
            "Sort by",
            list(shelf.SORTS),
            key="shelf_sort",
            label_visibility="collapsed",
            width=180,
            persist_state="session",
            help="What comes first.",
        )
        actions.import_popover()
    tick = st.session_state.get("shelf_tick", IDLE_TICK)
    st.fragment(board, run_every=tick)(text or "", group or "All", sort, tick)
