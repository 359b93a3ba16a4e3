"""Studies: many runs that answer one question. Sweeps, cross-validation, several seeds, range tests."""

from dataclasses import replace

import streamlit as st

from playground import studies
from playground.config import ConfigError
from playground.runs import RunError
from playground.studies import Study, StudyError, StudyFolder, lifecycle
from playground.ui.common import person, session, url
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_ago
from playground.ui.pages.studies import new, view

TICK = 1.0
NEW = ""  # the choice in the list that is no study
OFFERED = 100


def follow_url() -> None:
    """Take the study from the URL when it was changed from outside: a link, another page, back and forward."""
    params = st.query_params.to_dict()
    if url.take_changed("studies") and (named := params.get("study")):
        try:
            session.STUDY.set(studies.open_study(named).id)
        except StudyError as error:
            st.error(escape(str(error)), icon=":material/link_off:")
    if not session.STUDY.chosen:
        mine = (folder.id for folder in studies.list_studies() if folder.owner == person.current_person())
        session.STUDY.set(next(mine, NEW))


def write_url() -> None:
    """Mirror the choice in the URL, so that a link shows the same."""
    query = {"study": session.STUDY.get()} if session.STUDY.get() else {}
    url.write_address("studies", query)


def label(folder: StudyFolder) -> str:
    """Write a study for the list."""
    try:
        return f"{folder.name} · {format_ago(folder.study.created)} ({folder.id[-6:]})"
    except StudyError:
        return f"{folder.id} (damaged)"


def choose() -> StudyFolder | None:
    """Let a person choose a study or the form of a new one."""
    offered = studies.list_studies()[:OFFERED]
    known = {folder.id: folder for folder in offered}
    if session.STUDY.get() not in known:
        try:
            folder = studies.open_study(session.STUDY.get())
            known[folder.id] = folder
        except StudyError:  # deleted meanwhile
            session.STUDY.set(NEW)
    labels = {NEW: "New study …", **{folder.id: label(folder) for folder in known.values()}}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.session_state["study_list"] = session.STUDY.get()
        st.selectbox(
            "Study",
            list(labels),
            format_func=lambda study_id: labels.get(study_id, study_id),
            key="study_list",
            on_change=lambda: st.session_state.update(study=st.session_state["study_list"]),
            width=520,
            help="Which study is shown; the newest comes first.",
        )
        if session.STUDY.get():
            st.button(
                "New study",
                icon=":material/add:",
                key="study_new",
                on_click=lambda: st.session_state.update(study=NEW),
                help="Choose what to find out with several runs.",
            )
    return known.get(session.STUDY.get())


def start(study: Study) -> None:
    """Set a study going and show it."""
    try:
        with st.spinner("Starting the runs …"):
            session.STUDY.set(lifecycle.start_study(replace(study, owner=person.current_person())).id)
    except (StudyError, ConfigError, RunError, OSError) as error:
        st.error(escape(str(error)), icon=":material/error:")
    else:
        st.rerun()


def draw() -> None:
    """Draw the page."""
    follow_url()
    folder = choose()
    write_url()
    if folder is None:
        if error := session.STUDY_ERROR.take():
            st.error(escape(error), icon=":material/error:")
        if done := session.STUDY_DONE.take():
            st.toast(escape(done), icon=":material/check:")
        new.draw(start)
    else:
        try:
            running = bool(folder.study) and view.watch(folder).state == "running"
        except StudyError as error:
            st.error(escape(str(error)), icon=":material/error:")
            view.delete_popover(folder)
        else:
            tick = TICK if running else 0.0
            st.fragment(view.draw, run_every=tick or None)(folder, tick)
