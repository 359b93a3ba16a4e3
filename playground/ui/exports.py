"""The shelf's "Export": an epoch, a format, and the file."""

import streamlit as st

from playground.exports import FORMATS, ExportError, File, export
from playground.runs import RunError, RunFolder, open_run
from playground.ui.shelf import Row

WORDS = {"onnx": "Making the file and checking it with onnxruntime: 10 to 30 seconds …"}
"""What is said of a format that takes long."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _made(run_id: str, epoch: int, name: str, written: tuple[int, ...]) -> File:
    """Make a file once for all who ask for it, until what it is made of changes."""
    return export(open_run(run_id), epoch, name)


def _written(run: RunFolder, epoch: int) -> tuple[int, ...]:
    """Return when the files that an export reads were changed last."""
    stamps = []
    for path in (run.path / "about.json", run.path / "metrics.jsonl", run.path / "status.json", run.checkpoint(epoch)):
        stamps.append(path.stat().st_mtime_ns if path.exists() else 0)
    return tuple(stamps)


def popover(run: RunFolder | None, row: Row | None) -> None:
    """Draw the button and what opens under it; a file is made when it is open, not before."""
    kept = run.epochs() if run else []
    place = st.popover(
        "Export",
        icon=":material/ios_share:",
        disabled=not kept,
        key=f"export_{run.id if run else ''}",
        on_change="rerun",
        help=None if kept or not run else "There is no epoch to export yet.",
    )
    if not run or not row or not kept or not place.open:
        st.session_state.pop("export_shown", None)
        return
    with place:
        name = st.selectbox(
            "Format",
            list(FORMATS),
            format_func=lambda key: FORMATS[key].label,
            key="export_format",
            persist_state="session",
        )
        st.caption(FORMATS[name].good_for)
        best = run.status().best_epoch
        epoch = best if best in kept else kept[-1]
        if FORMATS[name].of_an_epoch:
            epoch = st.selectbox(
                "Epoch",
                kept,
                index=kept.index(epoch),
                format_func=lambda number: f"{number}, the best" if number == best else str(number),
                key=f"export_epoch_{run.id}",
            )
        _file(run, epoch, name)


def _file(run: RunFolder, epoch: int, name: str) -> None:
    """Make the file and offer it; say in one line why it cannot be made. A run that goes on does not make it anew."""
    place, wanted = st.empty(), (run.id, epoch, name)
    shown = st.session_state.get("export_shown")
    if shown is None or shown[0] != wanted:
        with place, st.spinner(WORDS.get(name, "Making the file …")):
            shown = (wanted, _attempt(run, epoch, name))
        st.session_state["export_shown"] = shown
    file = shown[1]
    if isinstance(file, str):
        place.error(file, icon=":material/error:")
        return
    with place.container():
        if file.note:
            st.caption(file.note)
        st.download_button(
            f"Download {_size(len(file.content))}",
            data=lambda: file.content,
            file_name=file.name,
            mime=file.mime,
            icon=":material/download:",
            key="export_download",
            on_click="ignore",
            type="primary",
        )


def _attempt(run: RunFolder, epoch: int, name: str) -> File | str:
    """Return the file, or why it cannot be made."""
    try:
        return _made(run.id, epoch, name, _written(run, epoch))
    except (ExportError, RunError, OSError) as error:
        return str(error)


def _size(count: int) -> str:
    """Write a number of bytes for a person."""
    return f"{count / 2**20:.1f} MB" if count > 2**20 / 2 else f"{max(1, round(count / 1024))} kB"
