"""What the Data page shows of a data set, and getting and deleting one."""

import numpy as np
import streamlit as st

from playground.data import catalog, own, shapes, store
from playground.data.catalog import DataError, DatasetInfo
from playground.jobs import fetch
from playground.jobs.fetch import FetchProgress
from playground.metrics import IGNORE
from playground.plots.masks import color_mask, to_rgb
from playground.tasks import TASKS
from playground.ui.common import session
from playground.ui.common.escape import escape
from playground.ui.components.gallery import pixels_url
from playground.ui.pages.segment.legend import legend

COLUMNS, ROWS = 10, 2
"""Sample images on a card."""
PAIRS = 5
"""Sample images with masks on a card."""
TICK = 1.0


def on_disk(name: str) -> int:
    """Return the bytes that a data set takes on this disk."""
    try:
        return sum(path.stat().st_size for path in catalog.find_folder(name).glob("*") if path.is_file())
    except OSError:
        return 0


def megabytes(size: float) -> str:
    """Write bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else "under 1 MB"


def side_by_side(info: DatasetInfo) -> str:
    """Write how large the images are: "32 × 32 pixels", the width first."""
    _, height, width = info.shape
    return f"{width} × {height} pixels"


@st.cache_data(max_entries=32, show_spinner=False)
def samples(name: str, written: int) -> np.ndarray:
    """Lay out training images, the classes in turn: uint8 (height, width, 3), pixel by pixel.

    Args:
        name: A data set that is ready.
        written: when its folder was written, so that a new set of the same name is drawn anew.
    """
    data = store.open_arrays(name)
    targets = np.asarray(data.train_targets[:20_000])
    first, rows = np.unique(targets, return_index=True), []
    per_class = -(-COLUMNS * ROWS // len(first[0]))
    for label in first[0]:
        rows.append(np.flatnonzero(targets == label)[:per_class])
    turn = [group[i] for i in range(per_class) for group in rows if i < len(group)][: COLUMNS * ROWS]
    size, factor = data.info.size, max(1, round(64 / data.info.size))
    side = size * factor
    sheet = np.full((-(-len(turn) // COLUMNS) * side, min(COLUMNS, len(turn)) * side, 3), 255, np.uint8)
    for place, row in enumerate(turn):
        image = np.asarray(data.train_images[row]).repeat(factor, 1).repeat(factor, 2)
        top, left = place // COLUMNS * side, place % COLUMNS * side
        sheet[top : top + side, left : left + side] = np.broadcast_to(image, (3, side, side)).transpose(1, 2, 0)
    return sheet


@st.cache_data(max_entries=32, show_spinner=False)
def pairs(name: str, written: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay out training images over their masks: uint8 (height, width, 3); and return those masks, (n, H, W).

    Args:
        name: A data set with a label for each pixel, that is ready or is drawn by the app.
        written: when its folder was written, so that a new set of the same name is drawn anew.
    """
    info = catalog.find_info(name)
    if info.bundled and not written:  # The first few are drawn at once, all of them only when they are needed.
        images, masks = shapes.generate(PAIRS, info.size, 0, shapes.Difficulty())
    else:
        data = store.open_arrays(name)
        count = len(data.train_images)
        # Frames of a film resemble their neighbours, so they are taken from all over.
        rows = np.arange(PAIRS) if info.bundled else np.unique(np.linspace(0, count - 1, PAIRS).astype(int))
        images, masks = data.train_images[rows], data.train_targets[rows]
    factor = max(1, round(128 / info.size))
    above = np.concatenate([to_rgb(image) for image in images], axis=1)
    below = np.concatenate([color_mask(mask) for mask in masks], axis=1)
    return np.concatenate([above, below]).repeat(factor, 0).repeat(factor, 1), masks


def _attempt_start(name: str) -> None:
    try:
        fetch.start_fetch(name)
    except (DataError, OSError) as error:
        st.session_state[f"data_error_{name}"] = str(error)


def _delete(name: str, title: str) -> None:
    try:
        own.delete_dataset(name)
        session.DATA_DONE.set(f"Deleted {escape(title)}")
    except DataError as error:
        st.session_state[f"data_error_{name}"] = str(error)


def _badge(info: DatasetInfo, here: bool, progress: FetchProgress) -> None:
    if progress.state == "running":
        st.badge("On its way", icon=":material/downloading:", color="blue")
    elif info.bundled:
        st.badge("Part of the app", icon=":material/check_circle:", color="green")
    elif here:
        st.badge(f"On this machine, {megabytes(on_disk(info.name))}", icon=":material/check_circle:", color="green")
    else:
        st.badge("Not on this machine", icon=":material/cloud:", color="gray")


def _facts(info: DatasetInfo) -> None:
    colour = "colour" if info.channels == 3 else "grey"
    st.markdown(
        f"{info.num_classes} classes · {side_by_side(info)}, {colour} · "
        f"{info.train_count:,} training and {info.test_count:,} test images"
    )
    names = escape(", ".join(info.classes[:12]))
    more = f" … and {info.num_classes - 12} more" if info.num_classes > 12 else ""
    st.caption(f"{names}{more}  \nLicence: {escape(info.licence)}")


def _pictures(info: DatasetInfo, here: bool) -> bool:
    """Show some images; return whether they could be read."""
    if not here:
        st.caption(":material/image: Sample images appear once it is downloaded.")
        return True
    try:
        folder = catalog.find_folder(info.name)
        written = folder.stat().st_mtime_ns if folder.exists() else 0
        if TASKS[info.task].target == "mask":
            sheet, masks = pairs(info.name, written)
        else:
            sheet, masks = samples(info.name, written), None
    except DataError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return False
    what = "the classes in turn" if masks is None else "each above its mask in the colours of the classes"
    st.image(pixels_url(sheet), alt=f"Training images of {info.title}, {what}", width="stretch")
    if masks is not None:
        legend(masks, info.classes)
        st.caption("Shares of the area in these images" + ("; grey has no class" if (masks == IGNORE).any() else ""))
    return True


def _progress(info: DatasetInfo, progress: FetchProgress) -> None:
    share = min(1.0, progress.done / progress.total) if progress.total else 0.0
    amount = f" · {megabytes(progress.done)} of {megabytes(progress.total)}" if progress.total > 1e6 else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(share, f"{escape(progress.message) or 'Downloading'}{amount}", width="stretch")
        st.button(
            "Cancel",
            icon=":material/close:",
            key=f"cancel_{info.name}",
            on_click=fetch.cancel_fetch,
            args=(info.name,),
            help="End the download; what has come is kept, and the next one goes on from it.",
        )


def _knobs(info: DatasetInfo) -> dict[str, str]:
    """Return what a link to the form says: the data set, and no flips where a mirrored image is no longer its class."""
    return {"dataset": info.name} | ({} if catalog.may_flip(info.classes) else {"flip": "false"})


def _actions(info: DatasetInfo, here: bool, damaged: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if here:
            st.page_link("train.py", label="Train on it", icon=":material/model_training:", query_params=_knobs(info))
        else:
            st.button(
                f"Download, {info.download_mb:,.0f} MB",
                icon=":material/download:",
                key=f"download_{info.name}",
                on_click=_attempt_start,
                args=(info.name,),
                help="From the place that its source names, onto this computer.",
            )
        with st.popover(
            "Source and citation",
            icon=":material/info:",
            type="tertiary",
            key=f"source_{info.name}",
            help="Where it comes from, its licence, and how to cite it.",
        ):
            source = escape(info.source) if info.own else info.source  # the catalog's are links
            st.markdown(f"**Source**  \n{source}\n\n**Cite as**  \n{escape(info.citation)}")
        if info.own or damaged:
            _delete_popover(info.name, info.title)


def _delete_popover(name: str, title: str) -> None:
    with st.popover(
        "Delete",
        icon=":material/delete:",
        type="tertiary",
        key=f"delete_{name}",
        help="Delete this data set from this computer.",
    ):
        st.write(f"Delete **{escape(title)}** from this machine? Runs that learned from it stay.")
        st.button(
            "Delete for good",
            icon=":material/delete_forever:",
            type="primary",
            key=f"delete_yes_{name}",
            on_click=_delete,
            args=(name, title),
            help="Runs that were trained on it stay.",
        )


def damaged_card(name: str, reason: str) -> None:
    """Draw a data set of which nothing can be read, and let a person delete it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{name}**", width="stretch")
        st.badge("Damaged", icon=":material/broken_image:", color="red")
    st.caption(f"It cannot be read: {escape(reason)}")
    if error := st.session_state.pop(f"data_error_{name}", ""):
        st.error(escape(error), icon=":material/error:")
    _delete_popover(name, name)


def card(info: DatasetInfo) -> bool:
    """Draw one data set; return whether it is being downloaded."""
    here = info.bundled or catalog.is_ready(info.name)
    progress = FetchProgress() if here else fetch.read_progress(info.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape(info.title)}** :gray[{info.name}]", width="stretch")
        _badge(info, here, progress)
    _facts(info)
    damaged = not _pictures(info, here)
    if error := st.session_state.pop(f"data_error_{info.name}", ""):
        st.error(escape(error), icon=":material/error:")
    elif progress.state == "failed":
        st.error(escape(progress.message), icon=":material/error:")
    elif progress.state == "cancelled":
        st.caption("Cancelled; the next download goes on from there.")
    if progress.state == "running":
        _progress(info, progress)
    else:
        _actions(info, here, damaged)
    return progress.state == "running"
