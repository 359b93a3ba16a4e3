"""Inside: look into a trained network, at any image and any epoch."""

import importlib
import sys

import streamlit as st

from playground import images, runs
from playground.inference.preprocess import crop_square
from playground.runs import RunFolder
from playground.tasks import of_page
from playground.ui.common import guard, pickers, url
from playground.ui.common.escape import escape
from playground.ui.common.session import Picked
from playground.ui.components.sheets import make_image_picture, sheets
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside import subject
from playground.ui.pages.inside.context import PageContext

TICK = 1.0
VIEWS = {  # what the address calls each view: its title, its icon and its module
    "maps": ("Feature maps", "grid_on", "maps"),
    "kernels": ("Kernels", "blur_on", "kernels"),
    "why": ("Attribution", "target", "attribution"),
    "over_time": ("Over time", "timeline", "over_time"),
    "exciting": ("Top activations", "bolt", "top_activations"),
    "edit": ("Edit", "edit", "edit"),
    "embedding": ("Embedding", "scatter_plot", "embedding"),
}


def compose(run: RunFolder, epoch: int, picked: Picked) -> PageContext:
    """Put together what is looked at. The first time on a server this imports torch, which takes seconds."""
    if "torch" not in sys.modules:
        with st.spinner("Starting the network; the first time takes some seconds …"):
            importlib.import_module("playground.inference.classify")
    from playground.inference.load import find_dataset

    info, mean, std = find_dataset(run)
    seen = crop_square(picked.image, info)
    return PageContext(run, epoch, info, mean, std, seen, picked.title, picked.truth)


def verdict(scene: PageContext) -> None:
    """Show the image small, with what the network takes it for."""
    probs = scenes.trace_layers(scene).probs
    best = int(probs.argmax())
    guess = scene.classes[best]
    note = f"{guess}, {pickers.format_percent(float(probs[best]))}"
    if scene.truth in scene.classes:
        note += " ✓" if scene.truth == guess else f" ✗, it is {scene.truth}"
    alt = f"{scene.title} as the network sees it, predicted as {guess}"
    small = make_image_picture(images.enlarge(scene.seen, 128), "seen", alt, title=scene.title, note=note, width=132)
    sheets([small], key="inside_seen", label="The image")


def head() -> tuple[RunFolder, int | None, PageContext | None]:
    """Draw the pickers and return what they chose; what is wrong with it is said in one line."""
    columns = st.columns([1.2, 1.8, 1], gap="medium")
    with columns[0]:
        run = pickers.pick_run("Run", subject.RUN, tasks=of_page("inside"))
    if run is None:
        st.stop()  # the picker has said why
    subject.step(run)
    with columns[1]:
        epoch = pickers.pick_epoch(run, subject.EPOCH)
        with st.container(horizontal=True):
            subject.play_button(run)
            picked = subject.image(run, epoch)
    if epoch is None:
        state = run.status().state
        active = run.status().active
        later = "it can be looked into as soon as it has weights" if active else "it kept none; choose another run"
        st.info(f"{escape(run.name)} is {state}; {later}.", icon=":material/hourglass_empty:")
        return run, None, None
    if picked is None:
        return run, epoch, None
    with columns[2]:
        scene = compose(run, epoch, picked)
        verdict(scene)
    return run, epoch, scene


def view(scene: PageContext) -> None:
    """Draw the chosen view; the others compute nothing."""
    st.session_state.setdefault(subject.VIEW, "maps")  # not as the widget's default: a link may set it
    chosen = st.segmented_control(
        "View",
        list(VIEWS),
        format_func=lambda name: f":material/{VIEWS[name][1]}: {VIEWS[name][0]}",
        key=subject.VIEW,
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    with guard.guard():
        module = VIEWS[chosen or next(iter(VIEWS))][2]
        importlib.import_module(f"playground.ui.pages.inside.{module}").draw(scene)


def board(active: bool, played: bool) -> None:
    """Everything; drawn again by itself while the run trains or the epochs play."""
    found = None
    with guard.guard():
        found = head()
    if found:
        run, _, scene = found
        if scene:
            view(scene)
    else:
        run = runs.open_run(st.session_state[subject.RUN])
    pickers.write_url("inside", run, subject.link_of(st.session_state.get(subject.VIEW, "")))
    if run.status().active != active or subject.playing() != played:
        url.say_moved()
        st.rerun()


def draw() -> None:
    """Draw the page."""
    subject.follow_url(VIEWS)
    if st.session_state[subject.RUN] or runs.list_runs():
        with_weights = st.session_state[subject.RUN]
        active = bool(with_weights) and runs.open_run(with_weights).status().active
        played = subject.playing()
        every = subject.STEP if played else TICK if active else None
        st.fragment(board, run_every=every)(active, played)
    else:
        st.info("There is no trained network yet. Train one; it can be looked into at once.", icon=":material/info:")
        st.page_link("train.py", label="Train a network", icon=":material/model_training:")
