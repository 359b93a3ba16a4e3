"""A study as it stands: how far it is, what it has found, its members, and what can be done about it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from playground.config import KNOBS, ConfigError, RunConfig, from_flat, to_query
from playground.data.catalog import DataError
from playground.jobs.client import ServiceError
from playground.people import may_change, name_person
from playground.runs import RunError, open_run
from playground.studies import StudyError, StudyFolder, lifecycle
from playground.studies.results import Result, StudyReader, find_best
from playground.ui.common import form, person, session
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_ago
from playground.ui.pages.runs import actions as run_actions
from playground.ui.pages.studies import findings
from playground.ui.pages.studies.new import KINDS
from playground.ui.pages.train.network import format_duration
from playground.ui.pages.train.transport import BADGES

STATES = {
    "running": ("Running", ":material/play_circle:", "green"),
    "finished": ("Finished", ":material/check_circle:", "blue"),
    "stopped": ("Stopped", ":material/stop_circle:", "gray"),
    "interrupted": ("Interrupted", ":material/power_off:", "orange"),
}
FRESH = 0.2
"""Seconds for which what was read is new enough for the next viewer."""
COMPARED = 20
"""Runs that the Compare page takes."""


@st.cache_resource(max_entries=32, show_spinner=False)
def _feed(path: str) -> tuple[StudyReader, list[float]]:
    return StudyReader(StudyFolder(Path(path))), [-1.0]


def watch(folder: StudyFolder) -> StudyReader:
    """Return the study's reader, up to date: one for all who look at it."""
    feed, read_at = _feed(str(folder.path))
    if time.monotonic() - read_at[0] > FRESH or st.session_state.pop("study_acted", False):
        feed.update()
        read_at[0] = time.monotonic()
    return feed


# What the buttons do


def attempt(action: Callable[[], Any], done: str = "") -> None:
    """Do something about a study; what goes wrong is kept as one line for the next drawing."""
    try:
        action()
    except (StudyError, RunError, ConfigError, DataError, ServiceError, OSError) as error:
        session.STUDY_ERROR.set(str(error))
    else:
        st.session_state["study_acted"] = True
        if done:
            session.STUDY_DONE.set(done)


def use(config: RunConfig, base: RunConfig) -> None:
    """Take a member's knobs into the form of the Train page, but where it ran; and go there."""
    where = {name: getattr(base.training, name) for name in ("threads", "device")}
    taken = from_flat({**where, "folds": base.data.folds, "fold": base.data.fold}, base=config)
    form.load_config(taken)
    session.RUN.set("")
    session.LEAVE.set(("train.py", to_query(taken)))


def _use_rate(base: RunConfig, rate: float) -> None:
    held = session.FORM.get()
    attempt(lambda: use(from_flat({"learning_rate": rate}, base=held), held))


def _use_member(folder: StudyFolder, run_id: str) -> None:
    attempt(lambda: use(open_run(run_id).config, folder.study.base))


def _delete(folder: StudyFolder, with_runs: bool) -> None:
    attempt(lambda: lifecycle.delete_study(folder, with_runs, by=person.current_person()), f"Deleted {folder.name}")
    if not folder.path.exists():
        session.STUDY.set("")


def _open(page: str, run_id: str) -> None:
    attempt(lambda: run_actions.go_to(page, open_run(run_id)))


def _compare(ids: list[str]) -> None:
    run_actions.compare(ids)


# The drawing


def head(folder: StudyFolder, feed: StudyReader) -> None:
    """Draw the name, the state, the progress and the actions."""
    study, state = folder.study, feed.state
    title, icon, colour = STATES[state]
    mine = may_change(folder.owner, person.current_person())
    whose = "" if folder.owner == person.current_person() else f" · of {escape(name_person(folder.owner))}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{escape(folder.name)}**", width="content")
        st.markdown(f":{colour}-badge[{icon} {title}]", width="content")
        st.caption(f"{KINDS[study.kind][0]} · {format_ago(study.created)}{whose}", width="stretch")
        if mine:
            _buttons(folder, state)
    over = sum(not result.active for result in feed.results)
    text = f"{over} of {folder.wanted if state == 'running' else len(feed.results)} runs"
    left = feed.seconds_left()
    if state == "running":
        text += f", about {format_duration(left)} left" if left is not None else ", waiting for the first epoch"
    st.progress(feed.done, text)


def _buttons(folder: StudyFolder, state: str) -> None:
    """Draw what its owner can do about the study."""
    if state == "running":
        st.button(
            "Stop",
            icon=":material/stop:",
            key="study_stop",
            on_click=attempt,
            args=(_stop(folder),),
            help="Stop its runs; what they have is kept.",
        )
    elif state in ("stopped", "interrupted"):
        st.button(
            "Go on",
            icon=":material/play_arrow:",
            key="study_resume",
            type="primary",
            on_click=attempt,
            args=(lambda: lifecycle.resume_study(folder, by=person.current_person()),),
            help="Resume its runs where they were saved.",
        )
    delete_popover(folder, state)


def _stop(folder: StudyFolder) -> Callable[[], None]:
    return lambda: lifecycle.stop_study(folder, by=person.current_person())


def delete_popover(folder: StudyFolder, state: str = "") -> None:
    """Let a person delete a study, a damaged one too."""
    with st.popover(
        "Delete",
        icon=":material/delete:",
        key=f"study_delete_{folder.id}",
        disabled=state == "running",
        help="Delete this study, with or without its runs.",
    ):
        st.write(f"Delete **{escape(folder.name)}**?")
        with_runs = st.toggle(
            f"And its {len(folder.members())} runs",
            True,
            key=f"study_with_runs_{folder.id}",
            help="Without them the runs stay on the shelf, as runs by themselves.",
        )
        st.button(
            "Delete for good",
            icon=":material/delete_forever:",
            type="primary",
            key="study_delete_yes",
            on_click=_delete,
            args=(folder, with_runs),
            help="The study's figures are lost; runs that are deleted with it go to the trash.",
        )


def _shown(knob: str, value: str) -> str | float:
    if KNOBS[knob].kind in ("int", "float"):
        return float(value) if KNOBS[knob].kind == "float" else int(value)
    return value


def table(folder: StudyFolder, results: list[Result]) -> Result | None:
    """Draw the members, best first; return the one that is selected."""
    measure, test = findings.brief(folder), f"Test {findings.lower(findings.measure(folder))}"
    ranked = sorted(results, key=lambda r: (r.score is None, not r.finished, -(r.score or 0)))
    if folder.study.kind in ("folds", "seeds"):
        ranked = results
    knobs = list(dict.fromkeys(name for result in results for name in result.member.values if name != "folds"))
    badges = {**BADGES, "pruned": ("Pruned", "", "gray"), "deleted": ("Deleted", "", "gray")}
    columns: dict[str, list[Any]] = {
        KNOBS[name].label: [_shown(name, result.member.values[name]) for result in ranked] for name in knobs
    }
    columns |= {
        measure: [None if r.score is None else 100 * r.score for r in ranked],
        test: [None if r.test is None else 100 * r.test for r in ranked],  # the same column where none is held back
        "Epochs": [f"{r.status.epoch} / {r.status.epochs}" if r.status else "" for r in ranked],
        "Seconds": [r.status.seconds if r.status else None for r in ranked],
        "State": [badges[r.state][0] for r in ranked],
        "Message": [r.status.message if r.status else "" for r in ranked],
    }
    config = st.column_config
    chosen = st.dataframe(
        columns,
        hide_index=True,
        height=min(35 * (len(ranked) + 1) + 3, 420),
        key=f"study_table_{folder.id}",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{len(ranked)} runs of the study with their values, accuracy, time and state",
        column_config={
            test: config.NumberColumn(format="%.1f %%", help="After the last epoch."),
            measure: config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100, help="After the last epoch."),
            "Seconds": config.NumberColumn(format="%.1f"),
            **{KNOBS[name].label: config.NumberColumn(format="%g") for name in knobs if KNOBS[name].kind == "float"},
        },
    )
    rows = chosen["selection"]["rows"]
    return ranked[rows[0]] if rows and rows[0] < len(ranked) else None


def actions(folder: StudyFolder, feed: StudyReader, chosen: Result | None) -> None:
    """Draw what can be done with the members."""
    top = find_best(feed.results)
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        if folder.study.kind == "sweep":
            st.button(
                "Use the best in the form",
                icon=":material/star:",
                type="primary",
                key="study_use_best",
                disabled=top is None,
                on_click=_use_member,
                args=(folder, top.member.run_id if top else ""),
                help="Take the knobs of the best finished run to the Train page.",
            )
        ids = [r.member.run_id for r in feed.results if r.status][:COMPARED]
        st.button(
            "Compare the runs",
            icon=":material/compare_arrows:",
            key="study_compare",
            disabled=len(ids) < 2,
            on_click=_compare,
            args=(ids,),
            help="Their curves side by side.",
        )
        usable = chosen is not None and chosen.status is not None
        run_id = chosen.member.run_id if chosen else ""
        for label, icon, page in (("Open", "monitoring", "train.py"), ("Evaluate", "fact_check", "evaluate.py")):
            st.button(
                label,
                icon=f":material/{icon}:",
                key=f"study_{label.lower()}",
                disabled=not usable,
                on_click=_open,
                args=(page, run_id),
                help="Select a run in the table first." if not usable else None,
            )


def draw(folder: StudyFolder, tick: float) -> None:
    """Draw the study; in a fragment, drawn again every `tick` seconds while it runs."""
    run_actions.leave()
    if error := session.STUDY_ERROR.take():
        st.error(escape(error), icon=":material/error:")
    if done := session.STUDY_DONE.take():
        st.toast(escape(done), icon=":material/check:")
    try:
        lifecycle.continue_study(folder)  # whoever was to add members may have been killed
        feed = watch(folder)
        head(folder, feed)
        findings.draw(folder, feed, _use_rate)
        if feed.results:
            actions(folder, feed, table(folder, feed.results))
    except (StudyError, RunError, ConfigError, DataError, OSError) as error:
        st.error(escape(str(error)), icon=":material/error:")
        return
    if (feed.state == "running") != bool(tick):
        st.rerun()
