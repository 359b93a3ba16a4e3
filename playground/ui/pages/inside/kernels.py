"""The kernels as pictures, how weights and gradients are spread, and units that say nothing any more."""

from dataclasses import replace

import numpy as np
import streamlit as st

from playground.data.catalog import DataError
from playground.interpret.colormap import choose_limits
from playground.interpret.ops import shown
from playground.ui.common.escape import escape
from playground.ui.components.live_chart import live_chart
from playground.ui.components.sheets import Picture, make_image_picture, make_sheet_picture, sheets, tidy_sheet
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside import figures
from playground.ui.pages.inside.context import PageContext
from playground.ui.pages.inside.maps import LAYER, MAP, choose_layer, marked, number

MOST = 64  # rows and columns of the grid; more cannot be told apart
_TILE = 48


def _choose(name: str, tile: int, row: int, column: int) -> None:
    st.session_state[MAP] = tile


def _choose_column(name: str, tile: int, row: int, column: int) -> None:
    st.session_state[MAP] = tile % int(name)


def colour_sheet(kernels: np.ndarray, name: str, chosen: int) -> Picture:
    """Lay kernels over three channels side by side as colour images."""
    from playground.interpret.kernels import draw_in_colour

    colours = draw_in_colour(kernels)
    count, size = len(colours), colours.shape[1]
    zoom = max(1, _TILE // size)
    tile, gap, columns = size * zoom, 4, min(count, 12)
    rows = -(-count // columns)
    canvas = np.full((rows * (tile + gap), columns * (tile + gap), 3), 127, np.uint8)
    for i, kernel in enumerate(colours):
        top, left = i // columns * (tile + gap), i % columns * (tile + gap)
        canvas[top : top + tile, left : left + tile] = kernel.repeat(zoom, 0).repeat(zoom, 1)
    alt = f"The {count} kernels of {name} as colour images; grey is zero"
    made = replace(
        make_image_picture(canvas, name, alt),
        tile=(tile, tile),
        columns=columns,
        count=count,
        gap=gap,
        zoom=zoom,
        pick=True,
        width=min(640, columns * (tile + gap)),
    )
    return marked([made], name, chosen)[0]


def _pictures(scene: PageContext, name: str) -> None:
    from playground.interpret import kernels

    found = kernels.read_kernels(scene.net, name)
    outs, sources, size, _ = found.shape
    chosen = number(f"Map that the kernel makes, 0 to {outs - 1}", MAP, outs)
    kernel = kernels.read_layer_kernels(scene.net, name, chosen)
    if sources == 3:
        st.caption("Each kernel as a colour image, scaled by itself: grey is zero, brighter is more of that channel.")
        sheets([colour_sheet(found, name, chosen)], key="inside_kernels_colour", label="Kernels", on_pick=_choose)
    grid = found[:MOST, :MOST]
    made_maps, looked_at = grid.shape[:2]
    limit = choose_limits([grid.reshape(-1, size, size)], "layer")[0]
    made = tidy_sheet(grid.swapaxes(0, 1).reshape(-1, size, size), limit, columns=made_maps)
    note = f"{outs} × {sources} kernels of {size} × {size}; a column for each map made, a row for each map looked at"
    if found.shape[:2] != grid.shape[:2]:
        note += f"; the first {made_maps} × {looked_at} are shown"
    width = min(640, max(120, made.pixels.shape[1]))
    alt = f"Kernels of {name}: {note}"
    all_of_them = make_sheet_picture(made, str(made_maps), alt, title=name, note=note, unit="kernel", width=width)
    row = tidy_sheet(kernel[:MOST], limit, columns=8)
    note = f"one kernel for each of {sources} maps, from {shown(float(kernel.min()))} to {shown(float(kernel.max()))}"
    one = make_sheet_picture(row, "", f"Map {chosen}: {note}", title=f"Map {chosen}", note=note, width=320, pick=False)
    st.caption("Blue is below zero, white zero, red above; one scale for the layer.")
    sheets([one, all_of_them], key="inside_kernels", label="Kernels", on_pick=_choose_column)


def _spread(scene: PageContext, name: str) -> None:
    weights, slopes = scenes.make_histograms(scene)[name]
    kinds = [("Weights", "weights", weights), ("Gradients", "gradients", slopes)]
    for title, word, counted in kinds:
        if counted is None:
            st.caption("Gradients need the test images, which are not on this machine.")
            continue
        around = f"mean {shown(counted.mean)}, deviation {shown(counted.std)}"
        title = f"{title}, {shown(counted.mean)} ± {shown(counted.std)}"
        alt = f"Histogram of the {word} of {name} after epoch {scene.epoch}: {around}"
        live_chart(
            figures.histogram(title, counted, f"{scene.run.id} {name}"),
            key=f"inside_{word}",
            alt=alt,
            height=190,
            version=f"{scene.weights_key} {name} {word}",
        )


def _health(scene: PageContext) -> None:
    label = "Look for dead and saturated units"
    if not st.toggle(label, key="inside_health", persist_state="session", help="On all test images, at each epoch."):
        return
    try:
        found = scenes.examine_layers(scene)
    except DataError as error:
        st.caption(f"Dead and saturated units need the test images: {escape(str(error))}.")
        return
    if not found:
        return
    seen = found[0].images
    st.markdown(f"**Dead and saturated units** over {seen:,} test images")
    for layer in found:
        icon = ":material/check:" if not layer.count else ":material/warning:"
        which = ", ".join(map(str, np.flatnonzero(layer.flat)[:20]))
        more = " …" if layer.count > 20 else ""
        st.markdown(f"{icon} {layer.sentence}{f' ({which}{more})' if layer.count else ''}")
    for meaning in dict.fromkeys(layer.meaning for layer in found):
        st.caption(meaning)


def draw(scene: PageContext) -> None:
    """Draw the view."""
    chain = scenes.trace_layers(scene).chain
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        conv = [layer.name for layer in chain if layer.kind == "conv"]
        wanted = st.session_state.get(LAYER)
        other = next((layer.kind for layer in chain if layer.name == wanted), None)
        if wanted in ("input", "softmax") or (other and other != "conv"):  # chosen in another view, where it exists
            st.session_state[LAYER] = conv[0]
        name = choose_layer(conv, "Convolution")
        _pictures(scene, name)
    with right:
        _spread(scene, name)
        _health(scene)
