"""Zips from outside, opened so that whatever is wrong with one ends in one line (`ZipError`).

`zipfile` raises a dozen kinds of exceptions on damaged bytes, and makes an object of each entry before anybody can ask
how many there are. So the directory at the zip's end is walked first, which costs next to nothing, and bounded.
"""

import struct
import zipfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from playground.errors import PlaygroundError

MAX_DEPTH = 50
"""How many folders a file may lie in."""
MAX_DIRECTORY = 64 * 2**20
"""The most bytes of the list of contents."""
NO_ZIP = "this is not a zip file, or it is cut off"
DAMAGED = "the zip's list of contents is damaged"

_LENGTHS = struct.Struct("<3H")  # of an entry's name, extra field and comment
_RECORD, _END, _END64, _LOCATOR = 46, 22, 56, 20  # bytes, as in PKWARE's APPNOTE 4.3.12 to 4.3.16


class ZipError(PlaygroundError, ValueError):
    """A zip, or a file in it, that cannot be read; the message is one line, fit to be shown."""


@dataclass(frozen=True)
class Zip:
    """An open zip whose directory could be read; all that it says of its entries is still a claim."""

    archive: zipfile.ZipFile

    @property
    def entries(self) -> list[zipfile.ZipInfo]:
        """All entries, of files and of folders; each has a name."""
        return self.archive.infolist()

    def read(self, entry: zipfile.ZipInfo) -> bytes:
        """Unpack a file, and never more than the bytes that its entry claims.

        Raises:
            ZipError: it is damaged, encrypted or packed in an unusual way; one line.
        """
        if entry.flag_bits & 0x1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The decoders of bzip2 and LZMA cannot be told to stop after so many bytes.
            raise ZipError("it is encrypted or packed in a way that cannot be read")
        try:
            with self.archive.open(entry) as part:
                # A size that lies is found by the checksum.
                return part.read(entry.file_size)
        except Exception:  # zipfile and zlib raise anything on damaged bytes
            raise ZipError("it is damaged or cannot be unpacked") from None


@contextmanager
def open_zip(source: str | Path | BinaryIO, most: int) -> Generator[Zip]:
    """Open a zip from outside.

    Args:
        source: its path, or an open file that can be sought in.
        most: how many entries it may have.

    Raises:
        ZipError: it is none, damaged, or has too many entries or folders in folders; one line.
        OSError: there is no file at that path, or it may not be read.
    """
    with ExitStack() as stack:
        file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
        try:
            _walk(_directory(file), most)
            archive = Zip(stack.enter_context(zipfile.ZipFile(file)))
        except ZipError:
            raise
        except NotImplementedError:
            raise ZipError("the zip is packed in a way that cannot be read") from None
        except Exception:
            raise ZipError(DAMAGED) from None
        if any(not entry.filename for entry in archive.entries):
            raise ZipError("the zip has an entry without a name")
        yield archive


def _directory(file: BinaryIO) -> bytes:
    """Return the central directory, found as `zipfile` finds it: right before the record at the zip's end."""
    length = file.seek(0, 2)
    start = max(0, length - _END - 2**16)
    file.seek(start)
    tail = file.read()
    plain = tail[-_END:-18] == b"PK\x05\x06" and tail[-2:] == b"\0\0"
    at = len(tail) - _END if plain else tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END:
        raise ZipError(NO_ZIP)
    (size,), end = struct.unpack_from("<L", tail, at + 12), start + at
    if end >= _END64 + _LOCATOR:
        file.seek(end - _END64 - _LOCATOR)
        large = file.read(_END64 + _LOCATOR)
        if large[:4] == b"PK\x06\x06" and large[_END64 : _END64 + 4] == b"PK\x06\x07":
            (size,), end = struct.unpack_from("<Q", large, 40), end - len(large)
    if size > MAX_DIRECTORY:
        raise ZipError(f"the zip's list of contents is larger than {MAX_DIRECTORY >> 20} MB")
    if size > end:
        raise ZipError(NO_ZIP)
    file.seek(end - size)
    return file.read(size)


def _walk(directory: bytes, most: int) -> None:
    """Count the entries and the folders around each."""
    at = count = 0
    while at < len(directory):
        count += 1
        if count > most:
            raise ZipError(f"the zip has more than {most:,} files")
        name, extra, comment = _LENGTHS.unpack_from(directory, at + 28)
        at += _RECORD
        if sum(directory.count(slash, at, at + name) for slash in (b"/", b"\\")) > MAX_DEPTH:
            raise ZipError(f"the zip has folders in folders, more than {MAX_DEPTH} deep")
        at += name + extra + comment
    if at != len(directory):
        raise ZipError(DAMAGED)
