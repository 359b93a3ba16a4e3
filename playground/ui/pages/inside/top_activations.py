"""The test images that excite a map most, and where."""

import numpy as np
import streamlit as st

from playground import images
from playground.interpret.ops import shown
from playground.ui.components.sheets import make_image_picture, sheets
from playground.ui.pages.inside import context as scenes
from playground.ui.pages.inside.context import PageContext
from playground.ui.pages.inside.maps import LAYER, choose_layer, choose_map


def draw(scene: PageContext) -> None:
    """Draw the view."""
    chain = scenes.trace_layers(scene).chain
    names = [layer.name for layer in chain]
    if st.session_state.get(LAYER) in ("input", "softmax"):  # which other views have, and which excite nothing
        st.session_state[LAYER] = names[0] if st.session_state[LAYER] == "input" else names[-1]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_layer(names)
        chosen = choose_map(next(layer.out_shape for layer in chain if layer.name == name))
    found = scenes.find_top_activations(scene, name)
    data = scenes.open_test_set(scene.run)
    seen = f"{found.seen:,} of {len(data.test_images):,}" if found.seen < len(data.test_images) else f"{found.seen:,}"
    word = "Map" if found.places is not None else "Unit"
    st.markdown(f"**{word} {chosen} of {name}**: the test images that excite it most, of {seen}")
    if not (found.values[chosen] > 0).any() and next(layer.kind for layer in chain if layer.name == name) != "conv":
        st.caption("No test image lifts it above zero.")
    pictures = []
    for rank, row in enumerate(found.images[chosen].tolist()):
        image, field = np.asarray(data.test_images[row]), found.field(chosen, rank)
        factor = max(1, 160 // image.shape[1])
        scaled = type(field)(*(s * factor for s in (field.left, field.top, field.right, field.bottom)), field.clipped)
        truth = data.info.classes[int(data.test_targets[row])]
        note = f"{truth}, {shown(float(found.values[chosen, rank]))}"
        alt = f"Test image {row}, {truth}: value {shown(float(found.values[chosen, rank]))}; the patch is framed"
        big = images.enlarge(image, factor * image.shape[1])
        pictures.append(make_image_picture(big, "", alt, scaled, title=f"Test image {row}", note=note, width=150))
    sheets(pictures, key="inside_exciting", label="Test images with the top activations")
    patches = []
    for rank, row in enumerate(found.images[chosen].tolist()):
        field = found.field(chosen, rank)
        if not field.empty and found.places is not None:
            patch = np.asarray(data.test_images[row])[:, field.top : field.bottom, field.left : field.right]
            alt = f"The patch of test image {row} that the map saw"
            patches.append(make_image_picture(images.enlarge(patch, 96), "", alt, width=72))
    if patches:
        st.caption("The patch in each that made the map's highest value; framed above.")
        sheets(patches, key="inside_patches", label="Patches")
