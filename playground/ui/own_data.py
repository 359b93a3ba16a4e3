"""A person's own data sets: taking in a zip, and drawing shapes."""

from typing import Any

import numpy as np
import streamlit as st

from playground.data import own, shapes, store
from playground.data.catalog import CATALOG, DataError
from playground.data.importing import has_masks, import_any
from playground.data.own import ImportReport
from playground.data.shapes import LIMITS, Difficulty
from playground.plots.masks import as_rgb, coloured
from playground.ui.datasets import side_by_side
from playground.ui.segment.legend import legend

SIZES = (16, 24, 28, 32, 48, 64, 96, 128, 192, 256)
MASKS_SIZES = (32, 64, 96, 128, 160, 192, 240, 256, 320, 384, 512)
PREVIEW = 256
"""Width of the previewed image on the screen, in pixels."""

UPLOAD_HELP = """\
Two kinds of zip are known, and told apart:

- one folder of images for each class: `cats/1.jpg`, `dogs/7.jpg` …
- a label for each pixel: `images/` and `masks/`, a mask called like its image. Masks hold 0, 1, 2 … as grey values or
  in a palette, or colours. `classes.txt` may name the classes, one a line, with colours as `name r g b`.

Either may lie in `train/`, `val/` and `test/`."""


def _show(report: ImportReport) -> None:
    info = report.info
    st.success(
        f"{info.num_classes} classes, {info.train_count:,} training and {info.test_count:,} test images of "
        f"{side_by_side(info)}.",
        title=f"{info.title} is ready",
        icon=":material/check_circle:",
    )
    if report.duplicates:
        st.caption(f"{report.duplicates:,} images were left out because another one is the same.")
    if report.skipped:
        count = len(report.skipped)
        with st.expander(
            "1 file was left out" if count == 1 else f"{count:,} files were left out", key="import_skipped"
        ):
            st.dataframe(
                {"File": [path for path, _ in report.skipped], "Why": [why for _, why in report.skipped]},
                hide_index=True,
                alt="Files that were left out, and why",
            )


def _masks_inside(file: st.typing.UploadedFile | None) -> bool:
    """Say whether a zip holds masks; looked up once for each upload."""
    if file is None:
        return False
    known: tuple[str, bool] = st.session_state.get("import_kind", ("", False))
    if known[0] != file.file_id:
        try:
            known = (file.file_id, has_masks(file))
        except DataError:  # Which the import will say.
            known = (file.file_id, False)
        st.session_state["import_kind"] = known
    return known[1]


def import_form() -> None:
    """Take in a zip of class folders or of images and masks, and say what became of it."""
    file = st.file_uploader(
        "A zip with one folder of images for each class, or with images/ and masks/",
        type="zip",
        key="import_file",
        max_upload_size=1024,
        help=UPLOAD_HELP,
    )
    masks = _masks_inside(file)
    with st.form("import_form", border=False):
        if masks:
            st.caption(":material/texture: It holds images with masks: a label for each pixel.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name", key="import_name", placeholder="my-photos", max_chars=64, width="stretch")
            settings = _mask_settings() if masks else _class_settings()
            asked = st.form_submit_button("Import", icon=":material/upload:", type="primary", key="import_go")
    if asked:
        st.session_state.pop("import_report", None)
        if file is None:
            st.error(
                "Choose a zip first; it holds a folder of images for each class, or images/ and masks/.",
                icon=":material/error:",
            )
        else:
            _take_in(file, name or file.name.removesuffix(".zip"), settings)
    if report := st.session_state.get("import_report"):
        _show(report)


def _share() -> float:
    return st.slider(
        "Test share",
        0.05,
        0.5,
        0.2,
        0.05,
        key="import_share",
        width=180,
        help="The part that is kept for testing, where the zip has no train and test folders.",
    )


def _class_settings() -> dict[str, Any]:
    size = st.select_slider(
        "Size of the images (px)",
        SIZES,
        32,
        key="import_size",
        width=220,
        help="Each image is cropped to its middle square and shrunk to this. Larger ones train slower.",
    )
    return {"size": size, "test_share": _share()}


def _mask_settings() -> dict[str, Any]:
    size = st.select_slider(
        "Long side of the images (px)",
        MASKS_SIZES,
        128,
        key="import_masks_size",
        width=220,
        help="Images keep the shape that most of them have; of the others the middle is taken. Larger ones train "
        "slower.",
    )
    share = _share()
    ignore = st.number_input(
        "Ignored value",
        0,
        65535,
        None,
        key="import_ignore",
        placeholder="255",
        width=140,
        help="Pixels with this value in their mask have no class and count for nothing.",
    )
    names = st.text_input(
        "Classes",
        key="import_classes",
        placeholder="sky, building, road",
        width=240,
        help="Their names in the order of the values 0, 1, 2 …; empty where the zip has a classes.txt, or to call them "
        "class 0, class 1 …",
    )
    return {"size": size, "test_share": share, "ignore": ignore, "classes": names.split(",") if names.strip() else None}


def _take_in(file: st.typing.UploadedFile, name: str, settings: dict[str, Any]) -> None:
    bar = st.progress(0.0, "Looking into the zip")
    try:
        st.session_state["import_report"] = import_any(file, name, progress=_follow(bar), **settings)
    except DataError as error:
        st.error(str(error), icon=":material/error:")
    finally:
        bar.empty()


def _follow(bar: Any) -> store.Report:
    def follow(now: store.Progress) -> None:
        bar.progress(min(1.0, now.done / now.total) if now.total else 0.0, now.what)

    return follow


# Shapes


def _knob(what: str, label: str, default: float, step: float, help: str) -> Any:
    low, high = LIMITS[what]
    return st.slider(label, low, high, type(low)(default), type(low)(step), key=f"draw_{what}", help=help)


def _number(what: str, label: str, default: int, help: str | None = None) -> int:
    low, high = LIMITS[what]
    return st.number_input(label, int(low), int(high), default, key=f"draw_{what}", help=help)


@st.fragment
def draw_form() -> None:
    """Let a person draw a set of shapes of their own difficulty, and see an image of it as the knobs move."""
    left, right = st.columns([3, 2], gap="large")
    usual = Difficulty()
    with left:
        first, second = st.columns(2)
        with first:
            most = _knob("shapes", "Shapes", usual.shapes, 1, "An image holds one to this many.")
            occlusion = _knob(
                "occlusion",
                "Occlusion",
                usual.occlusion,
                0.05,
                "0 keeps the shapes apart; up to 1, they cover each other, and bars of background cover them.",
            )
            noise = _knob("noise", "Noise", usual.noise, 0.01, "Standard deviation of what is added to each pixel.")
        with second:
            contrast = _knob("contrast", "Contrast", usual.contrast, 0.05, "How far the colours lie apart.")
            size = _knob("size", "Size of the images (px)", 64, 16, "Larger ones train slower.")
            seed = _number("seed", "Seed", 0, "The same seed and knobs draw the same images.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name", key="draw_name", placeholder="hard-shapes", max_chars=64, width="stretch")
            train = _number("train", "Training images", 2000)
            test = _number("test", "Test images", 500)
        asked = st.button("Draw", icon=":material/draw:", type="primary", key="draw_go")
    difficulty = Difficulty(most, occlusion, noise, contrast)
    with right:
        _preview(size, seed, difficulty)
    if asked:
        _draw(name, train, test, size, difficulty, seed)


def _preview(size: int, seed: int, difficulty: Difficulty) -> None:
    """Show the first image and its mask."""
    (image,), (mask,) = shapes.generate(1, size, seed, difficulty)
    names = ", ".join(CATALOG["shapes"].classes[k] for k in np.unique(mask))
    factor = -(-PREVIEW // size)
    with st.container(horizontal=True, gap="small"):
        for title, pixels in (("The first image", as_rgb(image)), ("Its mask", coloured(mask))):
            big = pixels.repeat(factor, 0).repeat(factor, 1)
            st.image(big, title, width=PREVIEW * 3 // 4, alt=f"{title}: {names}", output_format="PNG")
    legend(mask, CATALOG["shapes"].classes)


def _draw(name: str, train: int, test: int, size: int, difficulty: Difficulty, seed: int) -> None:
    if not name.strip():
        st.error("Give the new data set a name first.", icon=":material/error:")
        return
    bar = st.progress(0.0, "Drawing shapes")
    try:
        made = own.draw_shapes(name, train, test, size, difficulty, seed, _follow(bar))
    except DataError as error:
        bar.empty()
        st.error(str(error), icon=":material/error:")
        return
    st.session_state["data_done"] = f"{made.title} is ready"
    st.rerun()
