"""Zips from outside: whatever is wrong with one ends in one line, before it costs anything."""

import io
import struct
import zipfile
from pathlib import Path

import factories
import pytest

from playground.data.catalog import DataError
from playground.data.importing.class_lists import parse_classes
from playground.data.importing.save import import_any
from playground.exports.tensors import import_weights
from playground.home import home
from playground.runs import RunError
from playground.zips import MAX_DEPTH, NO_ZIP, ZipError, open_zip

DIRECTORY, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
FILES = {"a.txt": b"one", "folder/b.txt": b"two" * 100, "folder/": b""}


def pack(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    return factories.pack(files, compression).getvalue()


def altered(at: int, form: str, value: int, of: bytes = DIRECTORY) -> bytes:
    """A zip with one number of its first record of a kind changed."""
    raw = bytearray(pack(FILES))
    struct.pack_into(form, raw, raw.index(of) + at, value)
    return bytes(raw)


def with_extra(field: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("a.txt")
        entry.extra = field
        archive.writestr(entry, b"one")
    return out.getvalue()


def bad_utf8() -> bytes:
    return pack({"é.txt": b""}).replace("é".encode(), b"\xff\xfe")


def directory(name: bytes = b"", times: int = 1) -> bytes:
    """A zip that is a directory alone, made without zipfile; its record owns up to three entries."""
    entries = (struct.pack("<4s4B4HL2L5H2L", DIRECTORY, *[0] * 11, len(name), *[0] * 6) + name) * times
    return entries + struct.pack("<4s4H2LH", END, 0, 0, 3, 3, len(entries), 0, 0)


def read(raw: bytes) -> dict[str, bytes]:
    with open_zip(io.BytesIO(raw), 100) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.entries}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_sound_zip_is_read(compression: int, tmp_path: Path) -> None:
    raw = pack(FILES, compression)
    (tmp_path / "a.zip").write_bytes(raw)
    assert read(raw) == FILES
    assert read(b"a program that unpacks itself" + raw) == FILES
    with open_zip(str(tmp_path / "a.zip"), 3) as archive:
        assert archive.read(archive.entries[0]) == b"one"


def test_a_comment_and_the_records_of_large_zips_are_no_harm() -> None:
    out = io.BytesIO(pack(FILES))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"made by hand " * 3000
    assert read(out.getvalue()) == FILES
    raw = pack(FILES)
    end = raw.index(END)
    counts = struct.unpack_from("<4H2L", raw, end + 4)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, counts[2], counts[3], counts[4], counts[5])
    large += struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    small = struct.pack("<4s4H2LH", END, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert read(raw[:end] + large + small) == FILES


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", NO_ZIP),
        (b"hello", NO_ZIP),
        (pack(FILES)[:-1], NO_ZIP),
        (pack(FILES)[:50], NO_ZIP),
        (altered(12, "<L", 2**31, END), "larger than 64 MB"),
        (altered(12, "<L", 2**20, END), NO_ZIP),
        (altered(12, "<L", 100, END), "contents is damaged"),
        (altered(28, "<H", 60_000), "contents is damaged"),
        (altered(6, "<H", 99), "packed in a way that cannot be read"),
        (with_extra(struct.pack("<2H", 1, 30) + b"abc"), "list of contents is damaged"),
        (bad_utf8(), "list of contents is damaged"),
        (directory(), "an entry without a name"),
        (directory(b"\0a"), "an entry without a name"),
    ],
    ids=range(13),  # the bytes hold the time: each worker would collect tests of its own
)
def test_what_cannot_be_opened(raw: bytes, says: str) -> None:
    with pytest.raises(ZipError, match=says) as error:
        read(raw)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (altered(42, "<L", 5), "damaged"),  # where the entry's bytes begin
        (altered(42, "<L", 2**32 - 2), "damaged"),
        (altered(16, "<L", 7), "damaged"),  # the checksum
        (altered(30, "<B", 0xFF, LOCAL), "damaged"),  # another name than the directory's
        (altered(8, "<H", 1), "encrypted"),
        (altered(10, "<H", 95), "cannot be read"),
        (pack(FILES, zipfile.ZIP_BZIP2), "cannot be read"),
        (pack(FILES, zipfile.ZIP_LZMA), "cannot be read"),
    ],
)
def test_what_opens_and_cannot_be_unpacked(raw: bytes, says: str) -> None:
    with open_zip(io.BytesIO(raw), 100) as archive, pytest.raises(ZipError, match=says):
        archive.read(archive.entries[0])


def test_a_file_that_is_not_there_is_told_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_zip(tmp_path / "no.zip", 1):
        pass


def test_what_fails_while_a_zip_is_open_is_not_taken_for_the_zips_fault() -> None:
    with pytest.raises(KeyError), open_zip(io.BytesIO(pack(FILES)), 100):
        raise KeyError


def test_entries_and_folders_are_counted_before_zipfile_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("zipfile was asked"))
    deep = b"d/" * MAX_DEPTH + b"d/a"
    for raw, says in (
        (directory(times=1_300_000), "more than 100 files"),
        (directory(deep), f"more than {MAX_DEPTH} deep"),
        (directory(deep.replace(b"/", b"\\")), f"more than {MAX_DEPTH} deep"),
    ):
        with pytest.raises(ZipError, match=says):
            read(raw)


DAMAGED = {
    "entries": altered(42, "<L", 5),
    "version": altered(6, "<H", 99),
    "utf8": bad_utf8(),
    "nameless": directory(),
    "extra": with_extra(struct.pack("<2H", 1, 30) + b"abc"),
    "many": directory(times=200_000),
    "cut": pack(FILES)[:-40],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_both_doors_refuse_a_damaged_zip_in_one_line_and_keep_nothing(kind: str, tmp_path: Path) -> None:
    raw = LOCAL + DAMAGED[kind] if kind == "many" else DAMAGED[kind]
    for door, error_type in (
        (lambda: import_any(io.BytesIO(raw), "pets"), DataError),
        (lambda: import_weights([("run.zip", io.BytesIO(raw))]), RunError),
    ):
        with pytest.raises(error_type) as error:
            door()
        assert str(error.value).isprintable() and len(str(error.value)) < 300
    assert [path for path in home().rglob("*") if path.is_file() and ".locks" not in path.parts] == []


@pytest.mark.parametrize("names", [r'["cat", "\ud800"]', r'{"cat": [1, 2, 3], "\udfff": [4, 5, 6]}'])
def test_half_a_character_in_a_class_list_is_refused(names: str) -> None:
    with pytest.raises(DataError, match="half of a character"):
        parse_classes(names.encode(), "classes.json")
    assert parse_classes(rb'["cat", "\ud83d\ude00"]', "classes.json").names == ("cat", "\U0001f600")
