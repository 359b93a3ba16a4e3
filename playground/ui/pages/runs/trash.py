"""Deleted runs on the shelf: Undo right after a deletion, and the trash from which they come back for a week."""

from collections.abc import Sequence

import streamlit as st

from playground import runs
from playground.runs import RunError, RunFolder
from playground.runs.trash import KEPT_DAYS
from playground.ui.common import person, session
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_ago
from playground.ui.pages.runs import table

SHOWN = 10


def delete_runs(doomed: Sequence[RunFolder]) -> None:
    """Move runs into the trash; say which could not be, and remember the others for Undo."""
    gone, kept = {}, []
    for run in doomed:
        name = run.name
        try:
            if (row := table.row(run)).active:
                raise RunError(f"{name} is {row.state}; stop it first")
            run.delete(by=person.current_person())
            gone[run.id] = name
        except (RunError, OSError) as error:
            kept.append(str(error))
    if kept:
        session.SHELF_ERROR.set("; ".join(kept))
    st.session_state["shelf_gone"] = gone
    session.SHELF_RUN.set(None)


def restore_runs(*run_ids: str) -> None:
    """Take runs out of the trash and choose them."""
    back, st.session_state["shelf_gone"] = [], {}
    try:
        for run_id in run_ids:
            back.append(runs.restore_run(run_id, by=person.current_person()).id)
    except (RunError, OSError) as error:
        session.SHELF_ERROR.set(str(error))
    if back:
        session.SHELF_RUN.set(back[-1])
        session.TICKED.set(back)
        session.SHELF_DONE.set("Brought back" if len(back) == 1 else f"Brought back {len(back)} runs")


def _empty() -> None:
    st.session_state["shelf_gone"] = {}
    try:
        many = runs.empty_trash(by=person.current_person())
    except OSError as error:
        session.SHELF_ERROR.set(str(error))
        return
    session.SHELF_DONE.set(f"Deleted {many} {'run' if many == 1 else 'runs'} for good")


def undo() -> None:
    """Say what was just deleted, and offer to bring it back."""
    gone: dict[str, str] = st.session_state.get("shelf_gone", {})
    if not gone:
        return
    what = f"**{escape(next(iter(gone.values())))}**" if len(gone) == 1 else f"{len(gone)} runs"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="shelf_undo_line"):
        st.markdown(f"Deleted {what}; the trash keeps {'it' if len(gone) == 1 else 'them'} for {KEPT_DAYS} days.")
        st.button(
            "Undo",
            icon=":material/undo:",
            key="shelf_undo",
            on_click=restore_runs,
            args=tuple(gone),
            help="Bring it back as it was.",
        )


def popover() -> None:
    """List the deleted runs, each with a way back; nothing while there is none."""
    deleted = runs.list_trash(by=person.current_person())
    if not deleted:
        return
    with st.popover(
        f"Trash ({len(deleted)})", icon=":material/delete:", key="shelf_trash", help="Deleted runs, and the way back."
    ):
        st.caption(f"Deleted runs are kept for {KEPT_DAYS} days.")
        for each in deleted[:SHOWN]:
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.markdown(f"{escape(each.name)}  \n:small[deleted {format_ago(each.deleted)}]", width="content")
                st.button(
                    "Restore",
                    key=f"restore_{each.id}",
                    on_click=restore_runs,
                    args=(each.id,),
                    help="Bring it back as it was.",
                )
        if len(deleted) > SHOWN:
            st.caption(f"and {len(deleted) - SHOWN} older ones, which come back once these are restored")
        st.button(
            "Empty the trash",
            icon=":material/delete_forever:",
            key="shelf_empty",
            on_click=_empty,
            help="There is no way back.",
        )
