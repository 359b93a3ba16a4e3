"""Choosing one of many images. Streamlit has no clickable image; this is one, as a grid of real buttons."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from playground.data import catalog, store
from playground.data.catalog import DataError, DatasetInfo
from playground.plots import RIGHT, WRONG
from playground.runs import RunError, RunFolder
from playground.ui.common.escape import escape

PAGE = 60
"""Images on a page of the gallery."""

_mount = st.components.v2.component(
    "cnn_playground_gallery",
    html='<div class="gallery" role="group"></div>\n',
    css=Path(__file__).with_name("gallery.css").read_text(encoding="utf-8"),
    js=Path(__file__).with_name("gallery.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Item:
    """One image to choose.

    Attributes:
        row: its number in the data set; what is given back when it is chosen.
        image: as a URL, see `data_url`.
        label: what it is, for the tooltip and for those who do not see it.
        verdict: "right", "wrong" or "".
    """

    row: int
    image: str
    label: str
    verdict: str = ""


def data_url(image: np.ndarray) -> str:
    """Write an image, uint8 (C, H, W) of 1 or 3 channels, as a PNG in a URL."""
    return pixels_url(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def pixels_url(pixels: np.ndarray) -> str:
    """Write pixels, uint8 (H, W) or (H, W, 3), as a PNG in a URL.

    For `st.image`, too: what it is given as pixels it keeps on the server, and forgets before a browser has fetched it
    where the page was drawn anew or left meanwhile.
    """
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def gallery(
    items: Sequence[Item], chosen: int | None, *, key: str, label: str, on_choice: Callable[[int], None]
) -> None:
    """Draw the images; `on_choice` is called with the row of the one that a person picks."""

    def picked() -> None:
        if (row := st.session_state[key].row) is not None:
            on_choice(int(row))

    _mount(
        key=key,
        data={
            "items": [asdict(item) for item in items],
            "chosen": chosen,
            "label": label,
            "right": RIGHT,
            "wrong": WRONG,
        },
        on_row_change=picked,
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _guesses(path: str, epoch: int, written: int) -> np.ndarray:
    return RunFolder(Path(path)).predictions(epoch).argmax(1)


def _verdicts(run: RunFolder, epoch: int | None, dataset: str, targets: np.ndarray) -> np.ndarray | None:
    """Return (N,) bool, whether the run took each test image for what it is; None where it is not known."""
    if epoch is None or run.predictions_dataset != dataset or epoch not in run.predicted_epochs():
        return None
    try:
        guesses = _guesses(str(run.path), epoch, run.prediction_file(epoch).stat().st_mtime_ns)
    except (RunError, OSError):
        return None
    return guesses == targets if len(guesses) == len(targets) else None


def _filtered(info: DatasetInfo, targets: np.ndarray, right: np.ndarray | None) -> np.ndarray:
    """Draw the filters and return the rows that pass them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox(
            "Class",
            ["All classes", *info.classes],
            key="predict_class",
            persist_state="session",
            width="stretch",
            help="Show the images of one class alone.",
        )
        verdict = st.segmented_control(
            "Predicted",
            ["All", "Right", "Wrong"],
            key="predict_verdict",
            default="All",
            required=True,
            disabled=right is None,
            help="By what the first run takes them for at the chosen epoch.",
        )
    keep = np.ones(len(targets), bool)
    if label in info.classes:
        keep &= targets == info.classes.index(label)
    if right is not None and verdict != "All":
        keep &= right == (verdict == "Right")
    return np.flatnonzero(keep)


def _choose_row(row: int) -> None:
    st.session_state["predict_row"] = row


def choose_test_image(run: RunFolder, epoch: int | None) -> tuple[np.ndarray, int, str] | None:
    """Let a person choose one of the test images of a run's data set.

    Args:
        run: The run, which also says which images it got right.
        epoch: After which epoch; None where there is none yet.

    Returns:
        The image, uint8 (C, H, W), its number and its class; None where there is none to choose.
    """
    try:
        info = catalog.info(run.predictions_dataset)
        if not (info.bundled or catalog.is_ready(info.name)):
            st.info(
                f"{escape(info.title)} is not on this machine yet, so it has no test images to show.",
                icon=":material/cloud:",
            )
            st.page_link("data.py", label="Get it on the Data page", icon=":material/dataset:")
            return None
        data = store.arrays(info.name)
    except DataError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return None
    targets = np.asarray(data.test_targets)
    right = _verdicts(run, epoch, info.name, targets)
    rows = _filtered(info, targets, right)
    if not len(rows):
        st.caption("No test image passes these filters.")
        return None
    chosen = st.session_state.get("predict_row", -1)
    if not 0 <= chosen < len(targets):
        chosen = int(rows[0])
    pages = -(-len(rows) // PAGE)
    place = st.container()
    page = min(st.pagination(pages, key="predict_page", max_visible_pages=5), pages) if pages > 1 else 1
    shown = rows[(page - 1) * PAGE : page * PAGE]
    with place:
        gallery(
            [
                Item(
                    int(row),
                    data_url(np.asarray(data.test_images[row])),
                    f"{info.classes[targets[row]]}, test image {row}",
                    "" if right is None else "right" if right[row] else "wrong",
                )
                for row in shown
            ],
            chosen,
            key="predict_gallery",
            label=f"Test images of {info.title}",
            on_choice=_choose_row,
        )
    return np.asarray(data.test_images[chosen]), chosen, info.classes[targets[chosen]]
