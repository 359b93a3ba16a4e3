"""What a person says of a zip that was understood otherwise than they mean it: doubts answered, folders, masks."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from playground.data.importing.folders import CLASS
from playground.data.importing.mask_files import NOTHING
from playground.data.importing.plan import Choice, Corrections, Doubt, Plan
from playground.data.importing.plan_steps import Memo
from playground.tasks import TASKS
from playground.ui.common.escape import escape
from playground.ui.pages.data.import_preview import Samples

MOST_FOLDERS = 40
"""Folders whose parts can be corrected on the page; the command line takes any."""

ROLE_NAMES = {
    "train": "training images",
    "val": "validation images",
    "test": "test images",
    "images": "images",
    "masks": "masks",
    "train images": "images to train on",
    "train masks": "masks to train on",
    "val images": "images to validate on",
    "val masks": "masks to validate on",
    "test images": "images to test on",
    "test masks": "masks to test on",
    "class": "a class",
    "left out": "left out",
    "none": "nothing of its own",
}


@dataclass
class Look:
    """What is known of the file that was chosen.

    Attributes:
        plan: what it is, or None and an `error` where it cannot be understood as a person says it.
        latest: the last plan that there was.
    """

    file_id: str
    memo: Memo
    folders: dict[str, tuple[str, int]]
    doubts: dict[str, Doubt]
    corrections: Corrections | None = None
    plan: Plan | None = None
    latest: Plan | None = None
    samples: Samples | None = None
    error: str = ""


def read_corrections(look: Look) -> Corrections:
    """Read what a person has set so far from the widgets, which are drawn further down."""
    state: Any = st.session_state
    parts = {folder: part for folder in look.folders if (part := state.get(f"import_fix_part_{folder}"))}
    each = state.get("import_fix_each")
    task = TASKS.get(look.latest.task) if look.latest else None
    size = state.get(f"import_fix_size_{task.name}") if task else None
    said = Corrections(
        task=state.get("import_fix_task"),
        parts=parts,
        threshold=NOTHING if each else state.get("import_fix_threshold"),
        ignore=NOTHING if each else state.get("import_fix_ignore"),
        size=None if task and size == task.side else size,
        test_share=state.get("import_fix_share", 0.2),
        train_on="train" if state.get("import_fix_val") else "train+val",
    )
    for doubt in look.doubts.values():
        if choice := _answer(doubt):
            said = doubt.answered(said, choice)
    return said


def _answer(doubt: Doubt) -> Choice | None:
    says = st.session_state.get(f"import_fix_doubt_{doubt.key}")
    return next((choice for choice in doubt.choices if choice.says == says), None)


def ask_doubts(look: Look) -> None:
    """Ask what is in doubt; what was answered stays to be answered otherwise."""
    raised = {doubt.key for doubt in look.plan.doubts} if look.plan else set()
    for doubt in look.doubts.values():
        if doubt.key in raised or _answer(doubt):
            with st.container(border=True, gap="xsmall"):
                if not _answer(doubt):
                    st.badge("In doubt", icon=":material/help:", color="orange")
                st.radio(
                    escape(doubt.question[:1].upper() + doubt.question[1:]),
                    [choice.says for choice in doubt.choices],
                    index=None,
                    key=f"import_fix_doubt_{doubt.key}",
                    help="Import waits until this is answered.",
                )


def _masks_are_meant() -> bool:
    task = TASKS.get(st.session_state.get("import_fix_task") or "")
    return task is not None and task.target == "mask"


def offer_fixes(look: Look) -> None:
    """Offer to say what was understood otherwise than it is meant."""
    with st.popover(
        "Correct it",
        icon=":material/tune:",
        key="import_correct",
        width="content",
        help="Where the zip was misunderstood: folders, masks, names and sizes.",
    ):
        st.segmented_control(
            "Task",
            list(TASKS),
            format_func=lambda name: TASKS[name].gives.capitalize(),
            key="import_fix_task",
            help="What a network is to learn from it; as understood where neither is chosen.",
        )
        if look.plan is None or look.plan.coding or _masks_are_meant():
            _mask_fixes()
        understood = look.plan.folders if look.plan else {}
        folders = look.folders | dict(understood)
        if any(role.startswith("val") for role, _ in folders.values()):
            st.toggle(
                "Leave validation images out", key="import_fix_val", help="Else they are learnt from, or tested on."
            )
        for folder, (role, count) in sorted(folders.items(), key=lambda item: item[1][0] == CLASS)[:MOST_FOLDERS]:
            st.selectbox(
                escape(folder),
                [None, *ROLE_NAMES],
                format_func=lambda role_, was=role: ROLE_NAMES.get(role_, f"as understood: {ROLE_NAMES[was]}"),
                key=f"import_fix_part_{folder}",
                help=f"What this folder holds; {count:,} images lie in it.",
            )
        if len(folders) > MOST_FOLDERS:
            st.caption(
                f"… and {len(folders) - MOST_FOLDERS:,} more folders; `playground data import --part` takes any."
            )


def _mask_fixes() -> None:
    st.number_input(
        "Ignored value",
        0,
        65535,
        None,
        key="import_fix_ignore",
        placeholder="as understood",
        help="Pixels with this value in their mask have no class and count for nothing.",
    )
    st.number_input(
        "Threshold",
        1,
        255,
        None,
        key="import_fix_threshold",
        placeholder="as understood",
        help="Of masks that are nearly black and white: from this grey on, a pixel is white.",
    )
    st.toggle("Each value is a class", key="import_fix_each", help="No value is ignored, and no threshold is used.")
