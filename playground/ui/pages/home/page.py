"""Home: what this is, in one screen, with a trained run alive in it."""

import time
from typing import Literal

import streamlit as st

from playground import runs
from playground.data import catalog
from playground.data.catalog import DataError
from playground.runs import RunFolder
from playground.ui.common import person, run_views
from playground.ui.common.escape import escape
from playground.ui.components.live_chart import live_chart
from playground.ui.components.strip import strip
from playground.ui.pages.train.network import format_count, format_duration

WAYS_ON: tuple[tuple[str, str, str, Literal["primary", "secondary"]], ...] = (
    ("train", "Train a network", "model_training", "primary"),
    ("predict", "Show it a photo", "image_search", "secondary"),
    ("inside", "Look inside", "visibility", "secondary"),
    ("segment", "Segment an image", "texture", "secondary"),
)
TICK = 0.6  # seconds an epoch is shown for while the run is played


def pick(key: str, value: object) -> None:
    """Keep a value in the session; for callbacks."""
    st.session_state[key] = value


def hold() -> None:
    """Stop the film where it is."""
    pick("home_playing", False)


def play(first: int) -> None:
    """Start the film anew."""
    state = st.session_state
    state["home_playing"], state["home_shown"], state["home_turned"] = True, first, time.monotonic()


def scrubbed() -> None:
    """Stop the film when a person takes the slider; a slow browser may also just be echoing what it was told."""
    if st.session_state["home_epoch"] not in st.session_state.get("home_told", []):
        pick("home_playing", False)


def scrubber(epochs: list[int]) -> tuple[int, bool]:
    """Draw the play button and the epoch slider; returns the epoch to show and whether it is being played."""
    state = st.session_state
    epoch = state.get("home_shown", epochs[0])
    playing = state.setdefault("home_playing", True)
    if playing and time.monotonic() - state.get("home_turned", 0.0) > TICK / 2 and "home_shown" in state:
        epoch = next((later for later in epochs if later > epoch), epochs[-1])
    if epoch not in epochs:
        epoch = epochs[-1]
    if "home_epoch" not in state or state["home_epoch"] not in epochs or playing:
        state["home_epoch"] = epoch
        state["home_turned"] = time.monotonic()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="scrubber"):
        st.button(  # one key, so that the keyboard's focus stays
            "Pause" if playing else "Play",
            icon=":material/pause:" if playing else ":material/play_arrow:",
            key="home_play",
            help="Hold it at this epoch." if playing else "Watch it learn from the start.",
            on_click=hold if playing else play,
            args=() if playing else (epochs[0],),
        )
        epoch = st.select_slider(
            "After epoch",
            epochs,
            key="home_epoch",
            help="Epoch 0 is the network before its first step.",
            on_change=scrubbed,
        )
    state["home_shown"] = epoch
    state["home_told"] = [*state.get("home_told", []), epoch][-3:]
    return epoch, state["home_playing"]


def facts(view: run_views.View, epoch: int) -> None:
    """Draw what the run had reached after an epoch."""
    row = next((row for row in view.feed.epochs if row.epoch == epoch), None)
    accuracy = f"{row.test.accuracy:.1%}".replace("%", " %") if row else "–"
    with st.grid(4, min_column_width=110, gap="small", key="home_facts"):
        st.metric("Test accuracy", accuracy, help="Share of the test images that it gets right after this epoch.")
        st.metric("Training time", format_duration(row.seconds) if row else "–")
        st.metric("Parameters", format_count(view.status.parameters) if view.status.parameters else "–")
        st.metric("Epochs", view.status.epochs)


def alive(run: RunFolder, played: bool) -> None:
    """The run, epoch by epoch; drawn again by a timer while it is played."""
    view = run_views.watch_run(run)
    epochs = run.predicted_epochs()
    epoch, playing = scrubber(epochs)
    images = st.container(key="home_images")  # filled last: a new home has to unpack them, which takes seconds
    note = images.empty()
    if run.read_only and not catalog.is_ready(run.predictions_dataset):
        note.caption("Unpacking the test images …")
    facts(view, epoch)
    figures, version = run_views.draw_figures(view, smoothing=0.6, cursor=float(epoch))
    with st.grid(2, min_column_width=300, gap=("xxsmall", "small"), key="home_curves"):
        for name in ("accuracy", "loss"):
            live_chart(
                figures[name], key=f"home_{name}", alt=f"{name.capitalize()} by epoch", height=230, version=version
            )
    with images:
        try:
            strip(run.predictions_dataset, run, epoch, key="home_strip")
            note.empty()
        except DataError as error:
            note.caption(escape(str(error)))
    if playing and epoch == epochs[-1]:
        st.session_state["home_playing"] = playing = False
    if playing != played:
        st.rerun()


def draw() -> None:
    """Draw the page."""
    run = next(
        (run for run in (runs.demo_run(), run_views.find_latest_finished()) if run and len(run.predicted_epochs()) > 1),
        None,
    )

    board = st.grid(3, min_column_width=270, gap="medium")
    with board.cell():
        st.title("CNN playground")
        st.markdown(
            "Train small convolutional networks on real photographs, watch every step, and see what each knob does.\n\n"
            "- **Choose** the network and how it learns: every knob says what it is for.\n"
            "- **Watch** it learn live. Pause it, take single steps, change the learning rate on the way. "
            "Close the tab; it goes on.\n"
            "- **Look inside**: maps, kernels and reasons, for your own photo, at any epoch.\n"
            "- **Evaluate it**: click the confusion matrix, compare runs, let a study find better knobs.\n"
            "- **Segment**: from one label an image to one for each pixel."
        )
        with st.container(gap="xsmall", key="ways_on"):
            for page, label, icon, kind in WAYS_ON:
                if st.button(
                    label,
                    icon=f":material/{icon}:",
                    key=f"way_{page}",
                    type=kind,
                    width="stretch",
                    help="Opens the page.",
                ):
                    st.switch_page(f"{page}.py")
        if active := run_views.find_latest_run(person.current_person(), active=True):
            st.page_link(
                "train.py",
                label=f"A run is {active.status().state}: watch it",
                icon=":material/monitoring:",
                query_params={"run": active.id},
            )
    with board.cell(column_span=2), st.container(border=True, key="stage"):
        if run:
            where = "the bundled run" if run.read_only else f"run {escape(run.name)}"
            st.markdown(f"**What a network makes of images it has never seen** :gray[· {where}]")
            played = st.session_state.get("home_playing", True)
            st.fragment(alive, run_every=TICK if played else None)(run, played)
        else:
            st.markdown("**Images that a network can learn to tell apart**")
            strip("cifar10-mini", key="home_strip")
            st.caption("No network has been trained here yet. Press play on the Train page; it takes seconds.")
