"""Choosing an image: one of the test images, an upload, or the camera."""

from pathlib import Path

import numpy as np
import streamlit as st

from playground import images
from playground.data import catalog, store
from playground.data.catalog import DataError, DatasetInfo
from playground.images import ImageError
from playground.runs import RunError, RunFolder
from playground.ui.common import session
from playground.ui.common.escape import escape
from playground.ui.common.session import Picked
from playground.ui.components.gallery import PAGE, Item, data_url, gallery

SOURCES = {"Test images": ":material/grid_view:", "Upload": ":material/upload:", "Camera": ":material/photo_camera:"}


@st.cache_data(max_entries=16, show_spinner=False)
def _read(data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
    return images.read_photo(data)


def _photo(source: str) -> Picked | None:
    if source == "Camera":
        file = st.camera_input(
            "Take a photo", key="predict_camera", resolution="720p", help="It stays in this session and is not kept."
        )
        waiting = "Allow the camera, and take a photo: the network sees the square in its middle."
    else:
        # Any type may be chosen: a file that is no photo is told what it is, which a greyed-out name does not do.
        file = st.file_uploader(
            "A photo: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF",
            key="predict_upload",
            max_upload_size=images.MAX_BYTES >> 20,
            help="It stays in this session and is not kept.",
        )
        waiting = "Choose a photo, or drop one here: the network sees the square in its middle."
    if file is None:
        st.caption(waiting)
        return None
    try:
        pixels, size = _read(file.getvalue())
        return Picked(pixels, file.name if source == "Upload" else "Your photo", size=size)
    except ImageError as error:
        st.error(escape(str(error)), icon=":material/broken_image:")
        return None


def pick_image(run: RunFolder, epoch: int | None) -> Picked | None:
    """Let a person choose an image: a test image of the run's data set, a file, or one from the camera."""
    source = st.segmented_control(
        "Image",
        list(SOURCES),
        key="predict_source",
        default="Test images",
        required=True,
        width="stretch",
        wrap=True,
        label_visibility="collapsed",
        persist_state="session",
        format_func=lambda name: f"{SOURCES[name]} {name}",
    )
    if source != "Test images":
        return _photo(source)
    found = choose_test_image(run, epoch)
    if found is None:
        return None
    pixels, row, truth = found
    colour = np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0))
    return Picked(colour, f"Test image {row}", truth)


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
    session.TEST_ROW.set(row)


def choose_test_image(run: RunFolder, epoch: int | None) -> tuple[np.ndarray, int, str] | None:
    """Let a person choose one of the test images of a run's data set.

    Args:
        run: The run, which also says which images it got right.
        epoch: After which epoch; None where there is none yet.

    Returns:
        The image, uint8 (C, H, W), its number and its class; None where there is none to choose.
    """
    try:
        info = catalog.find_info(run.predictions_dataset)
        if not (info.bundled or catalog.is_ready(info.name)):
            st.info(
                f"{escape(info.title)} is not on this machine yet, so it has no test images to show.",
                icon=":material/cloud:",
            )
            st.page_link("data.py", label="Get it on the Data page", icon=":material/dataset:")
            return None
        data = store.open_arrays(info.name)
    except DataError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return None
    targets = np.asarray(data.test_targets)
    right = _verdicts(run, epoch, info.name, targets)
    rows = _filtered(info, targets, right)
    if not len(rows):
        st.caption("No test image passes these filters.")
        return None
    chosen = session.TEST_ROW.get() if session.TEST_ROW.chosen else -1
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
