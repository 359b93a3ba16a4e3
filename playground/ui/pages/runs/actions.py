"""What can be done to a run on the shelf: a bar of buttons, and what they do."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from playground.config import ConfigError, to_query
from playground.exports.tensors import import_weights as import_files
from playground.jobs import client
from playground.people import name_person
from playground.runs import RunError, RunFolder, export_zip
from playground.ui.common import form, person, session
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_ago
from playground.ui.pages.runs import export, table, trash
from playground.ui.pages.runs.table import Row
from playground.ui.pages.train.transport import BADGES

# What the buttons do: as callbacks, so that the table is drawn after it is done


def attempt(action: Callable[[], Any], done: str = "") -> None:
    """Do something about a run; say in one line what went wrong, or that it is done."""
    try:
        action()
    except (RunError, ConfigError, OSError) as error:
        session.SHELF_ERROR.set(str(error))
    else:
        if done:
            session.SHELF_DONE.set(done)


def save_about(run: RunFolder) -> None:
    """Keep the name and the note that stand in the form."""

    def action() -> None:
        run.rename(st.session_state[f"name_{run.id}"], by=person.current_person())
        run.annotate(st.session_state[f"note_{run.id}"], by=person.current_person())

    attempt(action, "Saved")


def stop_run(run: RunFolder) -> None:
    """End the run; its state is saved."""
    attempt(lambda: client.stop_run(run, by=person.current_person()), f"Stopping {run.name}")


def resume_run(run: RunFolder) -> None:
    """Let the run go on from where it was saved."""
    attempt(lambda: client.resume_run(run, by=person.current_person()), f"{run.name} goes on")


def import_chosen() -> None:
    """Import what was uploaded, choose the new run, and empty the field."""
    generation = st.session_state.get("shelf_uploads", 0)
    if files := st.session_state.get(f"shelf_upload_{generation}"):

        def action() -> None:
            given = [(file.name, file) for file in files]
            taken = [run.id for run in import_files(given, owner=person.current_person())]
            session.SHELF_RUN.set(taken[-1])
            session.TICKED.set(taken)

        attempt(action, f"Imported {' and '.join(file.name for file in files)}")
        st.session_state["shelf_uploads"] = generation + 1


def go_to(page: str, run: RunFolder) -> None:
    """Leave for a page that shows the run."""
    session.LEAVE.set((page, {"run": run.id}))


def compare(run_ids: Sequence[str]) -> None:
    """Leave for the Compare page with these runs."""
    session.LEAVE.set(("compare.py", {"runs": ",".join(run_ids)}))


def duplicate(run: RunFolder) -> None:
    """Take the run's knobs into the form of the Train page."""

    def action() -> None:
        form.load_config(run.config)
        session.RUN.set("")
        session.LEAVE.set(("train.py", to_query(run.config)))

    attempt(action)


def leave() -> None:
    """Go where a button asked to; not in its callback, before the pages of this drawing are known."""
    if target := session.LEAVE.take():
        page, query = target
        st.switch_page(page, query_params=query)


# The bar of actions

MOST = 20
"""How many runs are packed into one file."""


def file_name(row: Row) -> str:
    """Make a file name of a run's name."""
    return (re.sub(r"[^A-Za-z0-9]+", "-", row.name).strip("-")[:60] or row.id) + ".zip"


def edit_popover(run: RunFolder | None, row: Row | None) -> None:
    """Let a person change name and note."""
    usable = run is not None and row is not None and row.may_change(person.current_person())
    with st.popover(
        "Rename",
        icon=":material/edit:",
        disabled=not usable,
        key=f"edit_{row.id if row else ''}",
        help="Name and note of the run.",
    ):
        if usable and run and row:
            with st.form(f"edit_form_{run.id}", border=False):
                st.text_input(
                    "Name", row.name, max_chars=100, key=f"name_{run.id}", help="What the run is called everywhere."
                )
                st.text_area(
                    "Note",
                    row.note,
                    max_chars=2000,
                    key=f"note_{run.id}",
                    height=110,
                    help="What you want to remember of it; the search finds its words.",
                )
                st.form_submit_button(
                    "Save",
                    key=f"save_{run.id}",
                    type="primary",
                    on_click=save_about,
                    args=(run,),
                    help="Keep name and note.",
                )


def button(label: str, icon: str, usable: bool, on_click: Callable[..., None], *args: Any, **options: Any) -> None:
    """Draw one action."""
    st.button(
        label,
        icon=f":material/{icon}:",
        key=f"act_{label.lower()}",
        disabled=not usable,
        on_click=on_click,
        args=args,
        **options,
    )


def draw_actions(run: RunFolder | None, row: Row | None, ticked: Sequence[RunFolder] = ()) -> None:
    """Draw what can be done to the chosen run, the one that was ticked last, and to all that are ticked."""
    some, by = run is not None and row is not None, person.current_person()
    all_of_them = f"All {len(ticked)} ticked runs." if len(ticked) > 1 else None
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="shelf_actions"):
        button("Open", "monitoring", some, go_to, "train.py", run, type="primary" if some else "secondary")
        button("Predict", "image_search", some, go_to, "predict.py", run)
        ids = [each.id for each in ticked]
        button("Compare", "compare_arrows", some, compare, ids, help="Tick several runs to compare them.")
        button("Duplicate", "content_copy", some, duplicate, run, help="Take its knobs into the form on Train.")
        mine = row is not None and row.may_change(by)
        if row and row.active:
            button("Stop", "stop", mine, stop_run, run)
        else:
            button("Resume", "play_arrow", bool(row and mine and row.resumable), resume_run, run)
        edit_popover(run, row)
        st.download_button(
            "Download",
            data=lambda: export_zip(*ticked),
            file_name=f"{len(ticked)}-runs.zip" if len(ticked) > 1 else file_name(row) if row else "run.zip",
            mime="application/zip",
            icon=":material/download:",
            key="act_download",
            on_click="ignore",
            disabled=not 0 < len(ticked) <= MOST,
            help=f"At most {MOST} runs at once." if len(ticked) > MOST else all_of_them,
        )
        export.popover(ticked[:MOST])
        doomed = [each for each in ticked if (found := table.row(each)).may_change(by) and not found.active]
        why = "Stop it first." if row and row.active else "Into the trash, from which it comes back for a week."
        button("Delete", "delete", bool(doomed), trash.delete_runs, ticked, help=all_of_them or why if ticked else None)
    trash.undo()
    if row:
        many = f"{len(ticked)} runs ticked, the last:" if len(ticked) > 1 else ""
        made = f"made {format_ago(row.created)}" if row.created else ""
        whose = "" if row.read_only or row.owner == person.current_person() else f"of {escape(name_person(row.owner))}"
        about = [f"{many} **{escape(row.name)}**".strip(), whose, BADGES[row.state][0].lower(), made]
        st.caption(" · ".join(part for part in (*about, escape(row.message), escape(row.note)) if part))
    else:
        st.caption("Select a run to open, compare or change it.")


def import_popover() -> None:
    """Take in a run or weights from elsewhere."""
    with st.popover(
        "Import", icon=":material/upload:", key="shelf_import", help="Take in runs or weights from a file."
    ):
        st.file_uploader(
            "A zip of runs, as Download makes it, or weights: model.safetensors and config.json, zipped or together",
            help="It is checked before anything is kept, and gets a new id.",
            accept_multiple_files=True,
            key=f"shelf_upload_{st.session_state.get('shelf_uploads', 0)}",
            on_change=import_chosen,
        )
