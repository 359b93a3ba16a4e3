"""The frame around every page: its title, its icon and the navigation."""

from base64 import b64encode
from pathlib import Path

import streamlit as st

COMMON = Path(__file__).parent
# In the page itself: a Material icon would be fetched from the net, and a file that Streamlit serves is forgotten when
# a drawing is broken off before the browser has asked for it.
ICON = "data:image/png;base64," + b64encode((COMMON / "icon.png").read_bytes()).decode()

PAGES = {
    "home": ("Home", "home", "What this is, with a trained network alive in it."),
    "train": ("Train", "model_training", "Choose a network, train it in the background and watch it learn."),
    "runs": ("Runs", "inventory_2", "The shelf of runs: compare, rename, share, delete."),
    "compare": (
        "Compare",
        "compare_arrows",
        "Several runs side by side: curves, knobs, mistakes, and what is significant.",
    ),
    "predict": ("Predict", "image_search", "Show a photo to any run, at any epoch."),
    "inside": ("Inside", "visibility", "See inside a trained network: its maps, kernels and reasons, at any epoch."),
    "segment": ("Segment", "texture", "A label for each place of a larger image: slide any network over it."),
    "evaluate": ("Evaluate", "fact_check", "What a network gets right and wrong, class by class and image by image."),
    "studies": ("Studies", "science", "Many runs that answer one question: sweeps, cross-validation, seeds."),
    "data": ("Data", "dataset", "The data sets, and your own as a zip of folders."),
}


def draw() -> None:
    """Draw the navigation, and the page that is asked for."""
    st.set_page_config(page_title="CNN playground", page_icon=ICON, layout="wide", initial_sidebar_state=340)
    st.html(COMMON / "style.css")
    st.html(f"<script>{(COMMON / 'address.js').read_text(encoding='utf-8')}</script>", unsafe_allow_javascript=True)
    page = st.navigation(
        [
            st.Page(f"{name}.py", title=title, icon=f":material/{icon}:", help=help, default=name == "home")
            for name, (title, icon, help) in PAGES.items()
        ]
        + [st.Page(_moved, title="Evaluate", url_path="judge", visibility="hidden")],
        position="top",
    )
    st.set_page_config(page_title=f"{page.title} · CNN playground")
    if page.url_path:  # Home has a title of its own; the others' stands in the navigation, for those who see it
        with st.container(key="page_heading"):
            st.title(page.title, anchor=False)
    page.run()


def _moved() -> None:
    """Lead a link to `/judge`, as the page was called once, to where it is now."""
    st.switch_page("evaluate.py", query_params=st.query_params.to_dict())
