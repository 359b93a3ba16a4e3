"""What is in a zip or a folder that a person chose: checked first, and read into memory file by file.

Nothing is ever extracted to disk, and whatever no harmless zip of images has makes the whole zip refused.
"""

import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from playground.data.catalog import DataError
from playground.data.importing.zip_names import zip_names
from playground.images import MAX_BYTES
from playground.zips import Zip, ZipError, open_zip

MAX_FILES = 100_000
MAX_TOTAL = 4 * 2**30
"""The most bytes that the files may have, unpacked."""
MAX_RATIO = 200
"""How many times smaller than a large file its compressed form may be; photos hardly shrink at all."""

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


@dataclass(frozen=True)
class File:
    """A file that has not been read yet, with its path inside the zip or folder."""

    path: PurePosixPath
    read: Callable[[], bytes]


Source = str | Path | BinaryIO
"""A zip, as a path or an open file, or the path of a folder."""
Skipped = list[tuple[str, str]]
"""(path, reason) of each file that is left out."""


@dataclass(frozen=True)
class Contents:
    """What is in a zip or a folder: its files, those left out, and folders that hold nothing."""

    files: list[File]
    skipped: Skipped
    empty: list[PurePosixPath]


@contextmanager
def opened(source: Source) -> Generator[Contents]:
    """Open a zip or a folder, and list its files, those that are left out, and its empty folders.

    Raises:
        DataError: the zip is unsafe, damaged or not one, or there is nothing at that path; one line.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        yield folder_files(Path(source))
        return
    try:
        with open_zip(source, MAX_FILES) as archive:
            yield zip_files(archive)
    except ZipError as error:
        raise DataError(f"{error}; zip the folder of your images again") from None
    except FileNotFoundError:
        raise DataError(f"there is no {source}; give the path of a zip file or a folder") from None
    except OSError as error:
        raise DataError(f"the zip file cannot be read: {error.strerror or error}") from None


def _hidden(path: PurePosixPath) -> bool:
    """Say whether a file is one that systems leave about, and not the person's."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts) or path.name.lower() in (
        "thumbs.db",
        "desktop.ini",
    )


def zip_files(archive: Zip) -> Contents:
    """Check all that a zip says about itself, and list its files.

    Raises:
        DataError: an entry that no harmless zip of images has.
    """
    entries = archive.entries
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL:
        raise DataError(f"the zip unpacks to {total / 2**30:.1f} GB; {MAX_TOTAL >> 30} GB is the most")
    names = zip_names(entries)
    for entry, name in zip(entries, names, strict=True):
        if reason := _unsafe(entry, name):
            shown = name.encode("ascii", "backslashreplace").decode()[:80]
            raise DataError(f"the zip is refused: {shown!r} {reason}; zip a plain folder of images")
    counts = Counter(name.rstrip("/") for name in names)
    if counts and counts.most_common(1)[0][1] > 1:
        raise DataError(f"the zip is refused: it has {counts.most_common(1)[0][0][:80]!r} more than once; zip it again")
    files = [
        File(path, lambda entry=entry: archive.read(entry))
        for entry, name in zip(entries, names, strict=True)
        if not name.endswith("/") and not _hidden(path := PurePosixPath(name))
    ]
    parents = {PurePosixPath(name.rstrip("/").rpartition("/")[0]) for name in names}  # far fewer than files
    around = parents.union(*(parent.parents for parent in parents))
    empty = [folder for name in names if name.endswith("/") and (folder := PurePosixPath(name)) not in around]
    return Contents(files, [], [folder for folder in empty if not _hidden(folder)])


def _unsafe(entry: zipfile.ZipInfo, name: str) -> str:
    """Say what is wrong with an entry, or return nothing."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if any(ord(letter) < 32 for letter in name):
        return "has a control character in its name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if ".." in name.split("/"):
        return "leads out of its folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if name.lower().endswith(_ARCHIVES) and not _hidden(PurePosixPath(name)):
        return "is an archive itself"
    if entry.file_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES >> 20} MB"
    if entry.file_size > 2**20 and entry.file_size > MAX_RATIO * entry.compress_size:
        return f"shrinks more than {MAX_RATIO} times, as no photo does"
    return ""


def folder_files(folder: Path) -> Contents:
    """List the files of a folder, by paths relative to it, and those that are links."""
    files, skipped, empty, total = [], [], [], 0
    for path in _walk(folder):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if _hidden(relative):
            continue
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            empty.append(relative)
        elif not stat.S_ISREG(status.st_mode):
            skipped.append((str(relative), "It is a link or a device"))
        elif status.st_size > MAX_BYTES:
            skipped.append((str(relative), f"It is larger than {MAX_BYTES >> 20} MB"))
        else:
            total += status.st_size
            files.append(File(relative, path.read_bytes))
        if len(files) > MAX_FILES or total > MAX_TOTAL:
            raise DataError(
                f"the folder has more than {MAX_FILES:,} files or {MAX_TOTAL >> 30} GB; choose the one that holds the "
                "class folders"
            )
    return Contents(files, skipped, empty)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and below it, of folders only empty ones; links are not followed."""
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(top, name).is_symlink()]
        yield from (Path(top, name) for name in names + links)
        if not folders and not names and Path(top) != folder:
            yield Path(top)
