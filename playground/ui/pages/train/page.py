"""Train: choose the knobs, press play, watch the network learn."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground import runs
from playground.config import KNOBS, RunConfig, diff, to_query
from playground.diagnosis import find_overfitting
from playground.runs import RunError, RunFolder
from playground.ui.common import diagnosis, form, knobs, person, run_views, session, url
from playground.ui.common.escape import escape
from playground.ui.components.live_chart import live_chart
from playground.ui.components.strip import strip
from playground.ui.pages.train import network, transport

TICK = 0.3
CHARTS = (
    ("loss", 250, "Loss on the training and validation images, by epoch"),
    ("accuracy", 250, "Accuracy on the training, validation and test images, by epoch"),
    ("learning_rate", 150, "Learning rate, by epoch"),
    ("throughput", 150, "Images trained a second, by epoch"),
)


def chosen_run(followed: bool) -> RunFolder | None:
    """Return the run that the URL names, or the session shows, or on arrival the person's last one."""
    arrived = form.key("epochs") not in st.session_state
    if followed and (named := st.query_params.get("run")):
        session.RUN.set(named)
    elif arrived and not st.query_params and (last := run_views.find_latest_run(person.current_person())):
        session.RUN.set(last.id)
    elif arrived and st.query_params:
        session.RUN.set("")
    try:
        return runs.open_run(session.RUN.get()) if session.RUN.get() else None
    except RunError as error:
        session.RUN.set("")
        session.NOTICE.set(str(error))
        return None


def send_live(name: str) -> None:
    """Give a run in progress the new value of a knob."""
    if run_id := session.RUN.get():
        transport.change_live(run_id, name, form.value(name, None))


def mirror_in_url(config: RunConfig, run: RunFolder | None) -> None:
    """Write run and knobs into the URL."""
    kept = {"run": run.id} if run else {}
    if run and not to_query(config) and (other := diff(run.config, config)):
        # A run without knobs stands for the run's own; one knob at its default says that these are others.
        name = next(iter(other))
        kept[name] = KNOBS[name].format(other[name][1])
    form.write_url(config, kept)


def curves(view: run_views.View | None, whose: str) -> None:
    """Draw the switches and the four curves."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="curve_options"):
        st.markdown(f"**Curves**{whose}", width="stretch")
        st.caption("Smoothing", width="content")
        smoothing = st.slider(
            "Smoothing",
            0.0,
            0.95,
            0.6,
            0.05,
            key="smoothing",
            width=160,
            label_visibility="collapsed",
            help="Weight of the past in the moving average; the raw curve stays behind it, faintly.",
        )
        log = st.toggle("Log scale", key="log", help="Logarithmic loss and learning rate.")
    if view:
        since = find_overfitting(diagnosis.find_findings(view))
        figures, version = run_views.draw_figures(view, log=log, smoothing=smoothing, overfitting_since=since)
    else:
        figures = run_views.plots.draw_curves({}, [], total_epochs=form.read_config().training.epochs, log=log)
        version = f"empty {form.read_config().training.epochs} {log}"
    with st.grid(2, min_column_width=300, gap=("xxsmall", "small"), key="curves"):
        for name, height, alt in CHARTS:
            live_chart(figures[name], key=f"chart_{name}", alt=alt, height=height, version=version)


def test_images(view: run_views.View | None, config: RunConfig, whose: str) -> None:
    """Draw the strip of test images with the latest predictions."""
    dataset = view.run.predictions_dataset if view else config.data.dataset
    epoch = next((row.epoch for row in reversed(view.feed.epochs)), None) if view else None
    judged = f" after epoch {epoch}" if epoch is not None else ", not yet judged"
    st.markdown(f"**Test images**{whose or judged}")
    if not strip(dataset, view.run if view else None, epoch):
        st.caption("The test images appear when the data set is on this machine.")


def live(active: bool, config: RunConfig, blocked: str, below: DeltaGenerator) -> None:
    """Everything that moves; while the run is active it is drawn again every `TICK` seconds.

    The diagnosis goes `below` all else: its cards come and go, and would push what is looked at.
    """
    run_id = session.RUN.get()
    try:
        view = run_views.watch_run(runs.open_run(run_id)) if run_id else None
    except RunError as error:  # deleted meanwhile
        view = None
        session.RUN.set("")
        session.NOTICE.set(str(error))
    again = transport.draw_bar(view, config, blocked)
    transport.draw_status(view)
    again |= bool(view) and (transport.draw_owner(view) or transport.draw_changed(view, config))
    again |= bool(view and view.status.active) != active
    if not again and (notice := session.NOTICE.take()):  # else it would be gone with this drawing
        st.error(escape(notice), icon=":material/error:")
    whose = ""
    if not session.RUN.chosen and (demo := runs.demo_run()):  # nothing chosen yet: the page is alive all the same
        view, whose = run_views.watch_run(demo), " of the bundled run, until you press play"
    curves(view, whose)
    test_images(view, config, whose)
    with below:
        st.markdown("**Diagnosis**" if view else "")  # a fragment must write here in the page's first run
        if view:
            diagnosis.draw_cards(view, key="train_diagnosis")
    if again:
        url.say_moved()  # the browser may not have heard of the last address yet
        st.rerun()


def draw() -> None:
    """Draw the page."""
    followed = url.take_changed("train")
    run = chosen_run(followed)
    shows_run = run and (not session.FORM.chosen or st.query_params.get("run"))
    errors = form.follow_url(
        followed, kept=("run",), base=run_views.watch_run(run).config if run and shows_run else None
    )
    active = bool(run and run.status().active)

    with st.sidebar:
        for error in errors:
            st.error(escape(error), icon=":material/link_off:")
        knobs.draw_presets()
        st.caption("A bolt marks what acts on the run in progress; every other knob starts a new run.")
        config = knobs.draw_settings(on_live_change=send_live)
    mirror_in_url(config, run)

    blocked = network.find_problem(config)
    board = st.grid(3, min_column_width=300, gap="medium")
    below = st.container(key="diagnosis", gap="small")
    with board.cell(column_span=2):
        st.fragment(live, run_every=TICK if active else None)(active, config, blocked, below)
    with board.cell():
        st.markdown("**Network**")
        if blocked:
            st.error(escape(blocked), icon=":material/error:")
        else:
            network.draw_network(config)
