"""A person's own images: a zip is looked into, what was understood is shown and corrected, then it is taken in."""

from dataclasses import replace
from typing import Any

import streamlit as st

from playground.data import catalog
from playground.data.catalog import DataError
from playground.data.importing.plan import Plan
from playground.data.importing.plan_steps import Memo
from playground.data.importing.save import ImportReport, take
from playground.data.importing.understand import list_folders, understand
from playground.tasks import TASKS
from playground.ui.common.escape import escape
from playground.ui.common.progress import follow_progress
from playground.ui.pages.data import datasets
from playground.ui.pages.data.import_fixes import Look, ask_doubts, offer_fixes, read_corrections
from playground.ui.pages.data.import_preview import draw_samples, show_headline, show_left_out, show_plan

UPLOAD_HELP = """\
Class folders (`cats/1.jpg`, `dogs/7.jpg` …), images with a mask each (`images/` and `masks/`, or as public data sets
call them), images beside a `labels.csv`, or files called `cat.0.jpg`; in `train/`, `val/` and `test/` or without. A
mask is called like its image. What was understood is shown before anything is taken."""


def new_set() -> str:
    """Return the name of the data set that was just imported and is shown above the others, or nothing."""
    report: ImportReport | None = st.session_state.get("import_report")
    return report.info.name if report and catalog.is_ready(report.info.name) else ""


def import_form() -> None:
    """Let a person choose a zip, see and correct what was understood of it, and take it in."""
    file = st.file_uploader(
        "A zip of images: in class folders, with masks, or with a table of labels",
        type="zip",
        key="import_file",
        max_upload_size=1024,
        help=UPLOAD_HELP,
    )
    if file is None:
        for key in ("import_look", "import_report"):
            st.session_state.pop(key, None)
        return
    if new_set() and st.session_state.get("import_done") == file.file_id:
        _show_new(st.session_state["import_report"])
        return
    look, slot = _look(file), st.empty()
    _understand(file, look, slot)
    if look.folders:
        _offer(file, look, slot)
    else:
        st.error(escape(look.error), icon=":material/error:")


def _look(file: st.typing.UploadedFile) -> Look:
    """Return what is known of this file; of another one, and what was said of it, nothing stays."""
    look: Look | None = st.session_state.get("import_look")
    if look is None or look.file_id != file.file_id:
        for key in [key for key in st.session_state if str(key).startswith("import_fix_")]:
            del st.session_state[key]
        for key in ("import_report", "import_done"):
            st.session_state.pop(key, None)
        look = Look(file.file_id, Memo(), {}, {})
        try:
            look.folders = list_folders(file)
        except DataError as error:
            look.error = str(error)
        st.session_state["import_look"] = look
    return look


def _understand(file: st.typing.UploadedFile, look: Look, slot: Any) -> None:
    """Make the plan anew if something is said of the file that was not said before."""
    said = read_corrections(look)
    if look.corrections == said:
        return
    bar = slot.progress(0.0, "Looking into the zip")
    look.corrections, look.plan, look.samples, look.error = said, None, None, ""
    try:
        look.plan = understand(file, said, look.memo, follow_progress(bar))
        look.latest, look.samples = look.plan, draw_samples(file, look.plan)
        look.doubts |= {doubt.key: doubt for doubt in look.plan.doubts}
    except DataError as error:
        look.error = str(error)
    finally:
        slot.empty()


def _offer(file: st.typing.UploadedFile, look: Look, slot: Any) -> None:
    """Show the plan, its doubts and what can be corrected, and the button that takes it.

    Each thing keeps its place, whether there is a plan or an error, so that what a person has open stays open.
    """
    plan = look.plan
    with st.container():
        if plan is None:
            st.error(escape(look.error), icon=":material/error:")
        else:
            show_headline(plan)
        ask_doubts(look)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Name",
            key="import_name",
            placeholder="my-photos",
            max_chars=64,
            width="stretch",
            help="What the data set is called here.",
        )
        if look.latest:
            _settings(look.latest)
    with st.container(horizontal=True, vertical_alignment="center"):
        offer_fixes(look)
        names = _class_names(plan) if plan else _keep_names()
        why = "Make a data set of it, as it is shown here."
        if plan is None or plan.open_doubts:
            why = "Answer what is in doubt first." if plan else "It cannot be understood like this."
        asked = st.button(
            "Import",
            icon=":material/upload:",
            type="primary",
            key="import_go",
            disabled=plan is None or bool(plan.open_doubts),
            help=why,
        )
    if plan:
        show_plan(plan, look.samples)
        if asked:
            _take(file, plan, names, name or file.name.removesuffix(".zip"), slot)


def _settings(plan: Plan) -> None:
    shrunk = "Each image is cropped to its middle square and shrunk to this."
    if plan.coding:
        shrunk = "Images keep the shape that most of them have; of the others the middle is taken."
    st.select_slider(
        "Long side of the images (px)" if plan.coding else "Size of the images (px)",
        TASKS[plan.task].offered,
        TASKS[plan.task].side,
        key=f"import_fix_size_{plan.task}",
        width=220,
        help=f"{shrunk} Larger ones train slower.",
    )
    if not plan.split:
        st.slider(
            "Test share",
            0.05,
            0.5,
            0.2,
            0.05,
            key="import_fix_share",
            width=180,
            help="The part that is held back for testing, as the zip has no train and test folders.",
        )


def _keep_names() -> list[str]:
    """Keep what was typed while there are no classes to be named: the field is not drawn, and forgets it."""
    if "import_names" in st.session_state:
        st.session_state["import_named"] = st.session_state["import_names"]
    return []


def _class_names(plan: Plan) -> list[str]:
    """Let a person call the classes otherwise; return a name for each class, or what they typed instead."""
    known = "\n".join(plan.names)
    if st.session_state.get("import_names_of") != known:
        st.session_state["import_names_of"] = st.session_state["import_named"] = known
        st.session_state["import_names"] = known
    elif "import_names" not in st.session_state:  # It was not drawn while there was an error.
        st.session_state["import_names"] = st.session_state["import_named"]
    with st.popover(
        "Class names",
        icon=":material/label:",
        key="import_names_popover",
        width="content",
        help="Give the classes other names; the images stay as they are.",
    ):
        typed = st.text_area(
            "Class names",
            key="import_names",
            height=240,
            help="A line for each class, in the order that is shown here.",
        )
    st.session_state["import_named"] = typed
    return [line.strip() for line in typed.splitlines() if line.strip()]


def _take(file: st.typing.UploadedFile, plan: Plan, names: list[str], name: str, slot: Any) -> None:
    bar = slot.progress(0.0, "Reading images")
    try:
        if len(names) != len(plan.names):
            raise DataError(f"there are {len(plan.names)} classes and {len(names)} names; write one a line")
        report = take(file, plan.renamed(dict(zip(plan.names, names, strict=True))), name, follow_progress(bar))
    except DataError as error:
        slot.error(escape(str(error)), icon=":material/error:")
        return
    st.session_state["import_report"] = replace(report, skipped=report.skipped[:10_000])
    st.session_state["import_done"] = file.file_id
    del st.session_state["import_look"]
    st.rerun()


def _show_new(report: ImportReport) -> None:
    """Show the card of the new set, and what became of its files."""
    info = report.info
    st.success(
        f"{info.num_classes} classes, {info.train_count:,} training and {info.test_count:,} test images of "
        f"{datasets.side_by_side(info)}.",
        title=f"{escape(info.title)} is ready",
        icon=":material/check_circle:",
    )
    with st.container(border=True, gap="xsmall", key="new_card"):
        datasets.card(info)
    if report.duplicates:
        st.caption(f"{report.duplicates:,} images were left out because another one is the same.")
    show_left_out(report.skipped)
