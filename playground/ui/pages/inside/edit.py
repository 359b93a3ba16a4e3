"""Change a kernel and see what becomes of the maps and the prediction. Nothing is written unless it is saved."""

from typing import TYPE_CHECKING, get_args

import numpy as np
import streamlit as st

from playground import plots
from playground.runs import RunFolder
from playground.ui.common import person
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.live_chart import live_chart
from playground.ui.components.sheets import make_sheet_picture, sheets, tidy_sheet
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside.context import PageContext
from playground.ui.pages.inside.maps import LAYER, MAP, choose_layer, limits_of, number

if TYPE_CHECKING:
    from playground.interpret.edit import Edit

SOURCE, EDITS, TURN = "inside_source", "inside_edits", "inside_turn"


def _kept() -> "dict[str, dict[tuple[str, int, int | None], Edit]]":
    """Return this person's edits by run."""
    return st.session_state.setdefault(EDITS, {})


def edits_of(run: RunFolder) -> "tuple[Edit, ...]":
    """Return this person's edits of a run, in order."""
    return tuple(_kept().get(run.id, {}).values())


def _put(run: RunFolder, edit: "Edit") -> None:
    mine = _kept().setdefault(run.id, {})
    key = (edit.layer, edit.out_channel, edit.in_channel)
    mine.pop(key, None)  # the last one made counts last: an edit of all input maps covers one of a single map
    mine[key] = edit


def _new_turn() -> None:
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1


def _reset(run: RunFolder) -> None:
    _kept().pop(run.id, None)
    _new_turn()


def _preset(run: RunFolder, name: str, place: "tuple[str, int, int | None]", kernel: np.ndarray) -> None:
    from playground.interpret.edit import Edit, choose_preset

    _put(run, Edit.of(*place, choose_preset(name, len(kernel), like=kernel)))  # ty: ignore[invalid-argument-type]
    _new_turn()


def _current(scene: PageContext, layer: str, out: int, source: int | None) -> np.ndarray:
    """Return a kernel as it is with the edits made, (k, k); of all input maps their mean."""
    from playground.interpret.edit import edit_network
    from playground.interpret.kernels import read_layer_kernels

    edits = edits_of(scene.run)
    net = edit_network(scene.net, edits) if edits else scene.net
    kernels = read_layer_kernels(net, layer, out)
    return (kernels.mean(0) if source is None else kernels[source]).astype(np.float64)


def _numbers(scene: PageContext, place: "tuple[str, int, int | None]") -> None:
    """Draw the kernel's numbers, to be typed over."""
    from playground.interpret.edit import Edit

    layer, out, source = place
    turn = st.session_state.get(TURN, 0)
    widget = f"inside_kernel_{scene.run.id}_{scene.epoch}_{layer}_{out}_{source}_{turn}"
    # The editor lays what is typed over what it was given first: this must stay the same from drawing to drawing.
    held = st.session_state.get("inside_base")
    if not held or held[0] != widget:
        before = _kept().get(scene.run.id, {}).get(place)
        held = st.session_state["inside_base"] = (widget, _current(scene, layer, out, source), before)
    typed = st.data_editor(held[1], key=widget, hide_index=True, alt=f"The kernel of {layer}, map {out}")
    typed = np.asarray(typed, np.float64)
    if not np.array_equal(typed, held[1]):
        _put(scene.run, Edit.of(layer, out, source, typed))
    elif _kept().get(scene.run.id, {}).get(place) != held[2]:  # what was typed was typed back
        _kept()[scene.run.id].pop(place, None)
        if held[2]:
            _put(scene.run, held[2])


def _compare(scene: PageContext, layer: str, out: int) -> None:
    before, after = scenes.trace_layers(scene), scenes.trace_layers(scene, edits_of(scene.run))
    one, two = (trace[layer].values for trace in (before, after))
    limit = limits_of(before, "layer")[before.names.index(layer)]
    pictures = []
    for title, values in (("As trained", one), ("Edited", two)):
        made = tidy_sheet(values[out : out + 1], limit)
        alt = f"Map {out} of {layer}, {title.lower()}"
        pictures.append(make_sheet_picture(made, "", alt, title=title, note=f"map {out}", width=176, pick=False))
    sheets(pictures, key="inside_edited", label="The map before and after")
    for title, trace, key in (("As trained", before, "before"), ("Edited", after, "after")):
        order = np.argsort(-trace.probs, kind="stable")[:5]
        words = ", ".join(f"{scene.classes[i]} {format_percent(float(trace.probs[i]))}" for i in order)
        first = int(order[0])
        st.caption(f"{title}: {escape(scene.classes[first])} {format_percent(float(trace.probs[first]))}")
        live_chart(
            plots.draw_probabilities(trace.probs.tolist(), scene.classes, truth=scene.truth, revision=scene.run.id),
            key=f"inside_bars_{key}",
            alt=f"{title}, the likeliest classes: {words}",
            height=44 + 26 * len(order),
            version=f"{scene.key} {trace.probs.tobytes().hex()[:80]}",
        )


def _save(scene: PageContext) -> None:
    from playground.interpret.edit import save_edit

    edits = edits_of(scene.run)
    with st.expander("Save as a new run", icon=":material/save:"):
        name = st.text_input(
            "Name",
            f"{scene.run.name}, edited"[:100],
            max_chars=100,
            key="inside_name",
            help="What the new run is called.",
        )
        st.caption("; ".join(edit.sentence for edit in edits[:5]) + (" …" if len(edits) > 5 else ""))
        if st.button(
            "Save",
            key="inside_save",
            disabled=not edits,
            type="primary",
            help="Evaluate the edited network on the test images and keep it as a run; this one stays as it is.",
        ):
            data = scenes.open_test_set(scene.run)
            with st.spinner("Judging the edited network on the test images …"):
                child = save_edit(
                    scene.run,
                    scene.epoch,
                    edits,
                    data,
                    scene.mean,
                    scene.std,
                    " ".join(name.split()),
                    person.current_person(),
                )
            st.success(f"Saved as {escape(child.name)}; it is on the shelf of runs.", icon=":material/check:")


def draw(scene: PageContext) -> None:
    """Draw the view."""
    from playground.interpret.edit import Preset

    chain = scenes.trace_layers(scene).chain
    conv = [layer for layer in chain if layer.kind == "conv"]
    if st.session_state.get(LAYER) in ("input", "softmax", *(step.name for step in chain if step.kind != "conv")):
        st.session_state[LAYER] = conv[0].name
    left, right = st.columns([1.3, 1], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = choose_layer([layer.name for layer in conv], "Convolution")
            layer = next(layer for layer in conv if layer.name == name)
            out = number(f"Map, 0 to {layer.out_shape[0] - 1}", MAP, layer.out_shape[0])
            sources = layer.in_shape[0]
            options = [None, *range(sources)]
            if st.session_state.get(SOURCE) not in options:
                st.session_state[SOURCE] = None
            source = st.selectbox(
                "Looks at",
                options,
                format_func=lambda i: "all input maps" if i is None else f"input map {i}",
                key=SOURCE,
                persist_state="session",
                help="Each kernel has one square for each of its input maps: which one is shown.",
            )
        place = (name, out, source)
        buttons = st.container(horizontal=True)
        _numbers(scene, place)  # first: what is typed changes what the buttons can do
        with buttons:
            for preset in get_args(Preset):
                st.button(
                    preset.capitalize(),
                    key=f"inside_preset_{preset}",
                    on_click=_preset,
                    args=(scene.run, preset, place, _current(scene, *place)),
                    help="Replaces the square of numbers that is shown.",
                )
            st.button(
                "Reset",
                key="inside_reset",
                icon=":material/undo:",
                on_click=_reset,
                args=(scene.run,),
                disabled=not edits_of(scene.run),
                help="Bring the trained kernels back.",
            )
        st.caption(
            "Type numbers, or take a preset; it keeps the kernel's strength. "
            + ("The mean over all input maps is shown; what you type goes to each." if source is None else "")
        )
        _save(scene)
    with right:
        _compare(scene, name, out)
