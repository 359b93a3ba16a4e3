"""The network layer by layer: every map of each, and the arithmetic behind one number."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground import images
from playground.interpret.colormap import ColorLimits, choose_limits
from playground.interpret.ops import shown
from playground.ui.components.sheets import Picture, make_image_picture, make_sheet_picture, sheets, tidy_sheet
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside.arithmetic import written_out
from playground.ui.pages.inside.context import PageContext

if TYPE_CHECKING:
    from playground.interpret.trace import Output, Trace

LAYER, MAP, ROW, COLUMN = "inside_layer", "inside_map", "inside_row", "inside_column"
SCOPES = {"map": "Per map", "layer": "Per layer", "global": "Whole network"}
MOST = 1024  # thumbnails of a layer; more cannot be told apart


def limits_of(trace: "Trace", scope: str) -> list[ColorLimits]:
    """Return the colours' limits for each of the trace's outputs."""
    return choose_limits([output.values for output in trace.outputs], scope)  # ty: ignore[invalid-argument-type]


def shape_words(shape: Sequence[int]) -> str:
    """Write a shape, such as "24 × 32 × 32"."""
    return " × ".join(map(str, shape))


def choose_layer(names: Sequence[str], label: str = "Layer") -> str:
    """Let a person choose a layer; one that this network does not have is replaced, and the person told."""
    wanted = st.session_state.get(LAYER)
    if wanted not in names:
        first = next((name for name in names if "conv" in name), names[0])
        if wanted is not None:
            st.info(f"This network has no layer {wanted[:60]} to show here; this is {first}.", icon=":material/info:")
        st.session_state[LAYER] = first
    return st.selectbox(label, names, key=LAYER, persist_state="session", help="Which step of the network is shown.")


def number(label: str, key: str, count: int, first: int = 0) -> int:
    """Let a person choose one of `count`, from 0; unasked it is `first`, and what is beyond becomes the last."""
    if count < 2:
        return 0
    wanted = st.session_state.get(key)
    st.session_state[key] = min(max(first if wanted is None else int(wanted), 0), count - 1)
    return int(
        st.number_input(
            label,
            0,
            count - 1,
            step=1,
            key=key,
            persist_state="session",
            help="Which one is shown; a click on a picture chooses it, too.",
        )
        or 0
    )


def choose_map(shape: Sequence[int], layer: str = "") -> int:
    """Let a person choose a map or a unit of a layer."""
    what = "Map" if len(shape) == 3 else "Unit"
    colours = " (R, G, B)" if scenes.name_channel(layer, shape[0], 0) else ""
    return number(f"{what}, 0 to {shape[0] - 1}{colours}", MAP, shape[0])


def _choose(name: str, tile: int, row: int, column: int) -> None:
    st.session_state[LAYER], st.session_state[MAP] = name, tile


def _choose_place(name: str, tile: int, row: int, column: int) -> None:
    st.session_state[ROW], st.session_state[COLUMN] = row, column


def _statistics(output: "Output") -> str:
    return f"{shape_words(output.shape)}\n{shown(output.low)} … {shown(output.mean)} … {shown(output.high)}"


@st.cache_resource(max_entries=32, show_spinner=False)
def _thumbnails(key: str, scope: str, _trace: "Trace") -> list[Picture]:
    pictures = []
    for output, limit in zip(_trace.outputs, limits_of(_trace, scope), strict=True):
        values = output.values[:MOST]
        if limit.high.ndim == 3 and len(limit.high) > MOST:
            limit = ColorLimits(limit.low[:MOST], limit.high[:MOST], limit.signed)
        unit = "map" if values.ndim == 3 else "unit"
        alt = f"{output.name}: {len(values)} {unit}s, values from {shown(output.low)} to {shown(output.high)}"
        made = tidy_sheet(values, limit)
        colours = ": R, G, B" if scenes.name_channel(output.name, len(values), 0) else ""
        pictures.append(
            make_sheet_picture(
                made,
                output.name,
                alt + colours,
                title=output.name + colours,
                note=_statistics(output),
                unit=unit,
                width=150,
            )
        )
    return pictures


def marked(pictures: Sequence[Picture], name: str, chosen: int) -> list[Picture]:
    """Frame the chosen tile of the picture of that name."""
    found = []
    for picture in pictures:
        if picture.name == name and chosen < picture.count:
            (height, width), gap = picture.tile, picture.gap
            top, left = (chosen // picture.columns) * (height + gap), (chosen % picture.columns) * (width + gap)
            box = (left, top, left + width, top + height)
            picture = replace(picture, box=box, at=(chosen, 0, 0))
        found.append(picture)
    return found


def _enlarged(values: np.ndarray, name: str, chosen: int, limit: ColorLimits, place: Sequence[int]) -> Picture:
    one = values[chosen : chosen + 1]
    if limit.high.ndim == 3 and len(limit.high) > 1:
        limit = ColorLimits(limit.low[chosen : chosen + 1], limit.high[chosen : chosen + 1], limit.signed)
    made = tidy_sheet(one, limit)
    row, column = place
    zoom = made.zoom
    box = (column * zoom, row * zoom, (column + 1) * zoom, (row + 1) * zoom)
    colour = scenes.name_channel(name, len(values), chosen)
    called = f"map {chosen} ({colour})" if colour else f"map {chosen}"
    alt = f"M{called[1:]} of {name}, enlarged; row {row}, column {column} is framed"
    note = f"colours from {shown(float(limit.low.min()))} to {shown(float(limit.high.max()))}"
    at = (0, row, column)
    return make_sheet_picture(made, name, alt, title=f"{name}, {called}", note=note, box=box, at=at, width=288)


def draw(scene: PageContext) -> None:
    """Draw the view."""
    trace = scenes.trace_layers(scene)
    left, right = st.columns([1.1, 1], gap="medium")
    with right, st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_layer(trace.names)
        output = trace[name]
        chosen = choose_map(output.shape, name)
    with left:
        scope = st.segmented_control(
            "Colour scale",
            list(SCOPES),
            format_func=lambda name: SCOPES[name],
            key="inside_scope",
            default="layer",
            required=True,
            persist_state="session",
            help="Maps scaled each by itself look falsely alike. Blue is below zero, red above; without negative "
            "values zero is dark and the highest yellow.",
        )
        st.caption("Each layer with its shape and its lowest … mean … highest value. Point at a map to enlarge it.")
        with st.container(height=760, border=False):
            pictures = marked(_thumbnails(scene.key, scope, trace), name, chosen)
            sheets(pictures, key="inside_network", label="The network, layer by layer", on_pick=_choose)
    with right:
        limit = limits_of(trace, scope)[trace.names.index(name)]
        _one(scene, trace, name, chosen, limit)


def _one(scene: PageContext, trace: "Trace", name: str, chosen: int, limit: ColorLimits) -> None:
    output = trace[name]
    place: tuple[int, ...] = (chosen,)
    if len(output.shape) == 3:
        with st.container(horizontal=True):
            row = number(f"Row, 0 to {output.shape[1] - 1}", ROW, output.shape[1], output.shape[1] // 2)
            column = number(f"Column, 0 to {output.shape[2] - 1}", COLUMN, output.shape[2], output.shape[2] // 2)
        place = (chosen, row, column)
    found = scenes.explain_number(scene, name, place)
    factor = max(1, 288 // scene.info.size)
    field = found.field
    sees = f"rows {field.top} to {field.bottom - 1}, columns {field.left} to {field.right - 1}"
    sees = "nothing but padding" if field.empty else sees + (" and padding" if field.clipped else "")
    big = images.enlarge(scene.seen, factor * scene.info.size)
    scaled = type(field)(*(side * factor for side in (field.left, field.top, field.right, field.bottom)), field.clipped)
    alt = f"{scene.title} as the network sees it; the receptive field is framed: {sees}"
    shown_image = make_image_picture(big, "image", alt, scaled, title="Receptive field", note=sees, width=288)
    pictures = [shown_image]
    if len(place) == 3:
        pictures.insert(0, _enlarged(output.values, name, chosen, limit, place[1:]))
    sheets(pictures, key="inside_map_large", label="The map enlarged, and the image", on_pick=_choose_place)
    written_out(scene, trace, found)
