"""The shelf's "Export": an epoch, a format, and the file."""

import io
import zipfile
from collections.abc import Sequence

import streamlit as st

from playground.exports import FORMATS, ExportError, File, export_run
from playground.runs import RunError, RunFolder, open_run
from playground.ui.common.escape import escape

WORDS = {"onnx": "Making the file and checking it with onnxruntime: 10 to 30 seconds …"}
"""What is said of a format that takes long."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _made(run_id: str, epoch: int, name: str, written: tuple[int, ...]) -> File:
    """Make a file once for all who ask for it, until what it is made of changes."""
    return export_run(open_run(run_id), epoch, name)


def _written(run: RunFolder, epoch: int) -> tuple[int, ...]:
    """Return when the files that an export reads were changed last."""
    stamps = []
    for path in (run.path / "about.json", run.path / "metrics.jsonl", run.path / "status.json", run.checkpoint(epoch)):
        stamps.append(path.stat().st_mtime_ns if path.exists() else 0)
    return tuple(stamps)


def popover(runs: Sequence[RunFolder]) -> None:
    """Draw the button and what opens under it; files are made when it is open, not before."""
    kept = {run: epochs for run in runs if (epochs := run.epochs())}
    some = "none of these" if len(runs) > 1 else "it"
    place = st.popover(
        "Export",
        icon=":material/ios_share:",
        disabled=not kept,
        key=f"export_{'_'.join(run.id for run in runs[:2])}",
        on_change="rerun",
        help=None if kept or not runs else f"There is no epoch of {some} to export yet.",
    )
    if not kept or not place.open:
        st.session_state.pop("export_shown", None)
        return
    with place:
        name = st.selectbox(
            "Format",
            list(FORMATS),
            format_func=lambda key: FORMATS[key].label,
            key="export_format",
            persist_state="session",
            help="For whom the file is; what each is good for stands below.",
        )
        st.caption(FORMATS[name].good_for)
        if len(kept) > 1:
            if FORMATS[name].of_an_epoch:
                st.caption("Of each run the best epoch, or the last one that is kept.")
            _file([(run, best_of(run, epochs)) for run, epochs in kept.items()], name)
            return
        [(run, epochs)] = kept.items()
        epoch = best_of(run, epochs)
        if FORMATS[name].of_an_epoch:
            best = run.status().best_epoch
            epoch = st.selectbox(
                "Epoch",
                epochs,
                index=epochs.index(epoch),
                format_func=lambda number: f"{number}, the best" if number == best else str(number),
                key=f"export_epoch_{run.id}",
                help="The weights after which epoch; those that were kept are listed.",
            )
        _file([(run, epoch)], name)


def best_of(run: RunFolder, epochs: list[int]) -> int:
    """Return the best of the epochs that are kept, or the last one."""
    best = run.status().best_epoch
    return best if best in epochs else epochs[-1]


def _file(wanted: list[tuple[RunFolder, int]], name: str) -> None:
    """Make the file and offer it; say in one line why it cannot be made. A run that goes on does not make it anew."""
    place, key = st.empty(), (*((run.id, epoch) for run, epoch in wanted), name)
    shown = st.session_state.get("export_shown")
    if shown is None or shown[0] != key:
        with place, st.spinner(WORDS.get(name, "Making the file …")):
            shown = (key, _together([_attempt(run, epoch, name) for run, epoch in wanted], wanted, name))
        st.session_state["export_shown"] = shown
    file = shown[1]
    if isinstance(file, str):
        place.error(escape(file), icon=":material/error:")
        return
    with place.container():
        if file.note:
            st.caption(escape(file.note))
        st.download_button(
            f"Download {_size(len(file.content))}",
            data=lambda: file.content,
            file_name=file.name,
            mime=file.mime,
            icon=":material/download:",
            key="export_download",
            on_click="ignore",
            type="primary",
            help="Save the file on the computer in front of you.",
        )


def _attempt(run: RunFolder, epoch: int, name: str) -> File | str:
    """Return the file, or why it cannot be made."""
    try:
        return _made(run.id, epoch, name, _written(run, epoch))
    except (ExportError, RunError, OSError) as error:
        return str(error)


def _together(made: list[File | str], wanted: list[tuple[RunFolder, int]], name: str) -> File | str:
    """Return the one file, or a zip of all that could be made, with a line about those that could not."""
    if len(made) == 1:
        return made[0]
    failed = [f"{run.name}: {each}" for each, (run, _) in zip(made, wanted, strict=True) if isinstance(each, str)]
    if len(failed) == len(made):
        return failed[0]
    buffer, names = io.BytesIO(), set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, (run, _) in zip(made, wanted, strict=True):
            if not isinstance(each, str):
                inside = f"{run.id}-{each.name}" if each.name in names else each.name
                names.add(inside)
                archive.writestr(inside, each.content)
    return File(
        f"{len(names)}-runs-{name}.zip",
        buffer.getvalue(),
        "application/zip",
        f"Left out: {'; '.join(failed[:3])}" if failed else "",
    )


def _size(count: int) -> str:
    """Write a number of bytes for a person."""
    return f"{count / 2**20:.1f} MB" if count > 2**20 / 2 else f"{max(1, round(count / 1024))} kB"
