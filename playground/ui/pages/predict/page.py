"""Predict: show an image to any run at any epoch, or to two runs side by side."""

import sys

import numpy as np
import streamlit as st

from playground import images, plots, runs
from playground.data.catalog import DatasetInfo
from playground.inference.preprocess import crop_square
from playground.runs import RunError, RunFolder
from playground.tasks import of_page
from playground.ui.common import guard, image_picker, pickers, session, url
from playground.ui.common.escape import escape
from playground.ui.common.session import Picked
from playground.ui.common.url import Part
from playground.ui.components.gallery import pixels_url
from playground.ui.components.live_chart import live_chart

TICK = 1.0
TOP = 5
IMAGE = {"image": Part("predict_row")}
SIDES = ("", "2")  # suffixes of the first and the second run, in the session and in the URL


def is_active(run_id: str | None) -> bool:
    """Whether the run waits, works or is paused."""
    try:
        return bool(run_id) and runs.open_run(run_id).status().active
    except RunError:
        return False


def follow_url() -> None:
    """Take runs and epochs from the URL when it was changed from outside: a link, another page, back and forward."""
    params = st.query_params.to_dict()
    if url.take_changed("predict") and params:
        url.take_parts(IMAGE)
        if "image" in params:
            session.SOURCE.set("Test images")
        for side in SIDES:
            if named := params.get(f"run{side}"):
                try:
                    st.session_state[f"predict_run{side}"] = runs.open_run(named).id
                except RunError as error:
                    st.error(escape(str(error)), icon=":material/error:")
                    continue
            epoch = params.get(f"epoch{side}", "")
            known = epoch.isdecimal() and len(epoch) < 5
            pickers.choose_epoch(f"predict_epoch{side}", int(epoch) if known else None)
        st.session_state["predict_two"] = "run2" in params
    if not st.session_state.get("predict_run"):
        st.session_state["predict_run"] = next(filter(None, map(pickers.find_default_run, of_page("predict"))), "")


def write_url(chosen: list[RunFolder]) -> None:
    """Mirror the choice in the URL, so that a link shows the same."""
    query = {}
    for side, run in zip(SIDES, chosen, strict=False):
        query[f"run{side}"] = run.id
        if (epoch := st.session_state.get(f"predict_epoch{side}")) is not None:
            query[f"epoch{side}"] = str(epoch)
    photo = session.SOURCE.get() != "Test images"
    url.write_address("predict", query | ({} if photo else url.read_parts(IMAGE)))


def classify(run: RunFolder, epoch: int, seen: np.ndarray) -> np.ndarray:
    """Return the probabilities (num_classes,) of what the network sees, (C, size, size)."""
    if "torch" in sys.modules:
        from playground.inference.classify import predict
    else:
        with st.spinner("Starting the network; the first time takes some seconds …"):
            from playground.inference.classify import predict
    return predict(run, epoch, seen[None])[0]


def verdict(probs: np.ndarray, info: DatasetInfo, truth: str | None) -> None:
    """Write the likeliest class, and whether it is the right one."""
    best = int(probs.argmax())
    guess, share = info.classes[best], pickers.format_percent(float(probs[best]))
    with st.container(gap="xsmall"):
        st.metric("The network says", escape(guess))
        if truth is None:
            st.badge(f"with {share}", color="gray")
        elif truth == guess:
            st.badge(f"Right: {share}", icon=":material/check:", color="green")
        elif truth in info.classes:
            st.badge(f"Wrong: {share}", icon=":material/close:", color="red")
            st.caption(
                f"True class: {escape(truth)} ({pickers.format_percent(float(probs[info.classes.index(truth)]))})"
            )
        else:
            st.badge(f"with {share}; {escape(truth)} is none of its classes", icon=":material/help:", color="gray")


def answer(run: RunFolder, epoch: int, picked: Picked, side: str, wide: bool) -> None:
    """Show what the network sees and what it takes it for; the bars beside it where it is `wide`, else below."""
    info = run.dataset
    seen = crop_square(picked.image, info)
    probs = classify(run, epoch, seen)
    look, words = st.columns([1, 2] if wide else [1, 1.2], gap="small")
    look.image(
        pixels_url(images.enlarge(seen, 384)),
        caption=f"The network sees {info.size} × {info.size}{'' if info.channels == 3 else ' grey'} pixels",
        alt=f"{picked.title}, cropped and shrunk to {info.size} by {info.size} pixels",
        width="stretch",
    )
    with words:
        verdict(probs, info, picked.truth)
    order = probs.argsort()[::-1][:TOP]
    spoken = ", ".join(f"{info.classes[i]} {pickers.format_percent(float(probs[i]))}" for i in order)
    with words if wide else st.container():
        live_chart(
            plots.draw_probabilities(probs.tolist(), info.classes, top=TOP, revision=run.id),
            key=f"predict_bars{side}",
            alt=f"The likeliest classes after epoch {epoch}: {spoken}",
            height=44 + 30 * len(order),
            version=f"{run.id} {epoch} {probs.tobytes().hex()[:64]}",
        )


def waiting(run: RunFolder) -> str:
    """Say why a run cannot be asked yet."""
    status = run.status()
    if status.active:
        return f"{escape(run.name)} is {status.state}; it can be asked as soon as it has weights."
    return f"{escape(run.name)} is {status.state} and kept no weights; choose another run."


def choose(side: str, slot: st.delta_generator.DeltaGenerator) -> tuple[RunFolder | None, int | None]:
    """Draw the pickers of one side."""
    with slot:
        run = pickers.pick_run("Run" if not side else "Second run", f"predict_run{side}", tasks=of_page("predict"))
        return run, pickers.pick_epoch(run, f"predict_epoch{side}") if run else None


def board(active: bool) -> None:
    """Everything below the heading; while a chosen run trains it is drawn again every `TICK` seconds."""
    two = bool(st.session_state.get("predict_two"))
    columns = st.columns([1.15, 1, 1] if two else [1.15, 1.5], gap="medium")
    slots = [column.container(border=True) for column in columns[1:]]
    chosen = [choose(side, slot) for side, slot in zip(SIDES, slots, strict=False)]
    run, epoch = chosen[0]
    with columns[0]:
        picked = image_picker.pick_image(run, epoch) if run else None
        if picked and picked.size:
            height, width = picked.size
            st.image(
                images.with_crop(picked.image),
                caption=f"{escape(picked.title)}, {width:,} × {height:,} pixels; the network sees the square",
                alt=f"{picked.title}, with the centred square that the network sees outlined",
                width="stretch",
            )
    for side, slot, (run, epoch) in zip(SIDES, slots, chosen, strict=False):
        with slot, guard.guard():
            if run and epoch is None:
                st.info(waiting(run), icon=":material/hourglass_empty:")
            elif run and epoch is not None and picked:
                answer(run, epoch, picked, side, wide=not two)
            else:
                st.caption("What the network sees, and what it predicts, appears here.")
    known = [run for run, _ in chosen if run]
    write_url(known)
    if any(run.status().active for run in known) != active:
        url.say_moved()
        st.rerun()


def draw() -> None:
    """Draw the page."""
    follow_url()
    if st.session_state["predict_run"] or runs.list_runs():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Show an image to a network**", width="stretch")
            st.toggle(
                "Compare two runs",
                key="predict_two",
                persist_state="session",
                help="Ask a second run beside the first.",
            )
        if not st.session_state.get("predict_run2"):
            others = (run.id for run in runs.usable_runs() if run.id != st.session_state["predict_run"])
            st.session_state["predict_run2"] = next(others, st.session_state["predict_run"])
        sides = SIDES if st.session_state.get("predict_two") else SIDES[:1]
        active = any(is_active(st.session_state.get(f"predict_run{side}")) for side in sides)
        st.fragment(board, run_every=TICK if active else None)(active)
    else:
        st.info(
            "There is no trained network yet. Train one; it can be asked after its first epoch.", icon=":material/info:"
        )
        st.page_link("train.py", label="Train a network", icon=":material/model_training:")
