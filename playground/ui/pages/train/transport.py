"""The transport bar and the line that says where a run stands."""

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from playground import runs
from playground.config import KNOBS, RunConfig, diff, flatten, from_flat
from playground.jobs import client
from playground.people import name_person
from playground.runs import METRICS, RESUMABLE, RunFolder
from playground.ui.common import form, person, run_views, session
from playground.ui.common.escape import escape
from playground.ui.common.run_views import View
from playground.ui.pages.train.network import format_duration

BADGES = {
    "": ("No run yet", ":material/radio_button_unchecked:", "gray"),
    "queued": ("Queued", ":material/hourglass_top:", "orange"),
    "preparing": ("Preparing", ":material/downloading:", "blue"),
    "running": ("Running", ":material/play_circle:", "green"),
    "paused": ("Paused", ":material/pause_circle:", "orange"),
    "finished": ("Finished", ":material/check_circle:", "blue"),
    "stopped": ("Stopped", ":material/stop_circle:", "gray"),
    "interrupted": ("Interrupted", ":material/power_off:", "orange"),
    "diverged": ("Diverged", ":material/trending_up:", "red"),
    "failed": ("Failed", ":material/error:", "red"),
    "damaged": ("Damaged", ":material/broken_image:", "red"),
    "died": ("Died", ":material/heart_broken:", "red"),
}


# What the buttons do


def _attempt(action: Callable[[], Any]) -> None:
    """Do something about a run; what goes wrong is kept as one line for the next drawing."""
    try:
        action()
    except (runs.RunError, OSError) as error:
        session.NOTICE.set(str(error))


def start_run(config: RunConfig, first: str = "", instead_of: RunFolder | None = None) -> None:
    """Make a new run of the config, put it into the queue and show it.

    Args:
        first: "step_batch" or "step_epoch" to pause after that.
        instead_of: a run to stop first.
    """

    def action() -> None:
        if instead_of:
            client.stop_run(instead_of, by=person.current_person())
        run = runs.create_run(config, owner=person.current_person())
        if first:
            run.command(by=person.current_person(), do=first)
        session.RUN.set(run.id)
        client.submit_run(run)

    _attempt(action)


def _continue(run: RunFolder, do: str) -> None:
    """Let an active run go on or step."""

    def action() -> None:
        by = person.current_person()
        if do == "play":
            client.resume_run(run, by=by)
        elif do == "pause":
            client.pause_run(run, by=by)
        else:
            if run.status().state == "paused" and not run.is_locked():
                client.resume_run(run, by=by)  # it waited so long that its worker gave its memory back
            run.command(by=by, do=do)

    _attempt(action)


def change_live(run_id: str, knob: str, value: float) -> None:
    """Give a run in progress the new value of a knob that a person has moved, unless it has that value."""

    def action() -> None:
        run = runs.open_run(run_id)
        if run.status().active and person.is_mine(run) and value != flatten(_told(run_views.watch_run(run)))[knob]:
            run.command(by=person.current_person(), set={knob: value})
            st.session_state.setdefault("told", {})[run.id, knob] = value

    _attempt(action)


def _told(view: View) -> RunConfig:
    """Return a run's knobs as they will be once it has heard what this person told it."""
    told = {knob: value for (run_id, knob), value in st.session_state.get("told", {}).items() if run_id == view.run.id}
    return from_flat(told, view.config)


def _reset(run: RunFolder | None, active: bool) -> None:
    if run and active:
        _attempt(lambda: client.stop_run(run, by=person.current_person()))
    session.RUN.set("")


# How it looks


def _button(label: str, icon: str, key: str, help: str, **options: Any) -> bool:
    return st.button(label, icon=f":material/{icon}:", key=key, help=help, **options)


def _switch(label: str, icon: str, key: str, help: str, **options: Any) -> str:
    """Draw a button whose label turns with the state of the run; the key stays, and with it the keyboard's focus.

    Returns:
        What stood on it when it was pressed, which the run may have outpaced since; empty if it was not pressed.
    """
    said = st.session_state.get(f"{key}_said", label)
    st.session_state[f"{key}_said"] = label
    return said if _button(label, icon, key, help, **options) else ""


def draw_bar(view: View | None, config: RunConfig, blocked: str) -> bool:
    """Draw the buttons and do what they say; True if one was pressed, so that the page has to be drawn again.

    Args:
        blocked: why the knobs cannot make a run; empty when they can.
    """
    run = view.run if view else None
    state = view.status.state if view else ""
    mine = run is not None and person.is_mine(run)
    active = mine and state in runs.ACTIVE
    going = mine and state in ("queued", "preparing", "running")
    effect = "Continues this run." if active else "Starts a new run."
    stuck = bool(blocked) and not active
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="transport"):
        reset = _button(
            "Reset",
            "replay",
            "reset",
            "Clear the curves; the knobs stay. " + ("Ends this run, which stays on the shelf." if active else ""),
            disabled=run is None,
        )
        if going:
            play = _switch(
                "Pause", "pause", "play", "Wait between two steps. Continues this run later.", type="primary"
            )
        else:
            play = _switch("Play", "play_arrow", "play", f"Train. {effect}", type="primary", disabled=stuck)
        batch = _button("Batch", "skip_next", "step_batch", f"Train one batch, then pause. {effect}", disabled=stuck)
        epoch = _button("Epoch", "fast_forward", "step_epoch", f"Train one epoch, then pause. {effect}", disabled=stuck)
        if run and mine and not run.read_only and state in RESUMABLE - {"paused"}:
            end = _switch("Resume", "resume", "stop", "Continue this run from where it was saved.")
        else:
            end = _switch("Stop", "stop", "stop", "End this run. It is kept, and can be resumed.", disabled=not active)
        st.caption("continues this run" if active else "starts a new run", width="content")
    if reset:
        _reset(run, active)
    elif end == "Stop" and run:
        _attempt(lambda: client.stop_run(run, by=person.current_person()))
    elif end == "Resume" and run:
        _attempt(lambda: client.resume_run(run, by=person.current_person()))
    elif play or batch or epoch:
        do = "step_batch" if batch else "step_epoch" if epoch else play.lower()
        if run and active:
            _continue(run, do)
        elif do != "pause":  # there is nothing to pause in a run that has just ended
            start_run(config, "" if do == "play" else do)
    return bool(reset or end or play or batch or epoch)


def epochs_words(epoch: float) -> str:
    """Write how many epochs are behind, with at most one decimal and never more than they are: 2.96 as 2.9."""
    return f"{int(10 * epoch + 1e-6) / 10:g}"


def _where(view: View) -> str:
    """Say how far a run is."""
    status, total = view.status, view.status.epochs
    done = f"epoch {epochs_words(view.latest_epoch)} of {total}"
    metric, held_back = METRICS[status.metric], status.best_split == "val"
    best = f"best {status.best_label} {status.best_score:.1%}" if status.best_epoch and held_back else ""
    best += f" after epoch {status.best_epoch}" if best else ""
    test = f"test {metric} {status.test_score:.1%}" if status.test_score is not None else ""
    test += " then" if best and test and status.best_epoch != status.epoch else ""
    parts: list[str] = []
    match status.state:
        case "queued":
            ahead = client.find_position(view.run)
            parts = [f"{ahead} ahead in the queue" if ahead else "next in the queue", status.message]
        case "preparing":
            parts = [status.message or "getting the images ready"]
        case "running":
            share = view.latest_epoch / total if total else 0
            left = f"{format_duration(status.seconds / share * (1 - share))} left" if share > 0.005 else "starting"
            parts = [done, left, f"{speed:,.0f} images/s" if (speed := view.images_per_second) else "", best]
        case "paused":
            parts = [done, f"step {status.step:,}", best]
        case "finished":
            parts = [best, test, f"{total} epochs in {format_duration(status.seconds)}"]
        case "diverged" | "failed" | "died":
            parts = [status.message, done]
        case _:
            parts = [done, status.message, best]
    return " · ".join(part for part in parts if part).replace("%", " %")


def progress_of(view: View) -> float:
    """Return how much of what a run is doing is done, 0 to 1."""
    status = view.status
    if status.state == "preparing":
        percent = re.search(r"(\d+)%", status.message)
        return min(1.0, int(percent[1]) / 100) if percent else 0.0
    return min(1.0, view.latest_epoch / status.epochs) if status.epochs else 0.0


def draw_status(view: View | None) -> None:
    """Draw where the run stands."""
    label, icon, colour = BADGES[view.status.state if view else ""]
    with st.container(gap="xsmall", key="status_line"):
        st.markdown(
            f":{colour}-badge[{icon} {label}] {escape(_where(view)) if view else 'Choose the knobs and press play.'}"
        )
        st.progress(progress_of(view) if view else 0.0)


def _take(config: RunConfig) -> None:
    form.load_config(config)
    session.RUN.set("")


def draw_owner(view: View) -> bool:
    """Say whose a stranger's run is, and offer its settings; True if they were taken."""
    if view.run.read_only or person.is_mine(view.run):
        return False
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small", key="whose_run"):
        whose = f"This is a run of **{escape(name_person(view.run.owner))}**"
        st.markdown(f":material/group: {whose}. You may watch it; Play starts one of your own.", width="stretch")
        return st.button(
            "Take its settings into my form",
            icon=":material/content_copy:",
            key="take_settings",
            help="Leave this run, and stand before Play with its settings.",
            on_click=_take,
            args=(view.config,),
        )


def draw_changed(view: View, config: RunConfig) -> bool:
    """Say which knobs differ from those of the run in progress and offer a new run; True if it was taken."""
    differing = diff(_told(view), config)
    if not differing or not view.status.active or not person.is_mine(view.run):
        return False
    shown = [
        f"{KNOBS[name].label} {KNOBS[name].format(old)} → **{KNOBS[name].format(new)}**"
        for name, (old, new) in list(differing.items())[:4]
    ]
    more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small", key="changed_knobs"):
        st.markdown(f":material/tune: {', '.join(shown)}{more}: for a new run.", width="stretch")
        anew = _button("Start anew", "restart_alt", "start_anew", "Stop this run and start one with these knobs.")
        beside = _button(
            "Queue beside",
            "queue",
            "start_beside",
            "Start another run; this one goes on. They run side by side where there are cores for both.",
        )
    if anew or beside:
        start_run(config, instead_of=view.run if anew else None)
    return anew or beside
