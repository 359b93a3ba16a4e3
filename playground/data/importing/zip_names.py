"""What the names in a zip read: those of old systems say neither their alphabet nor where a folder ends.

A zip marks names that are UTF-8. Others come as bytes: Python takes them for code page 437, and Windows wrote them in
the alphabet of its country. Windows tools of old also part folders by backslashes.
"""

import re
import zipfile
from collections.abc import Sequence

_UTF8 = 0x800
"""The flag of an entry whose name is UTF-8."""
_WORD = re.compile(r"[^\W\d_]+")


def zip_names(entries: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Return the entries' names, in their order, as whoever packed them saw them, folders parted by slashes.

    All names of a zip have one alphabet: UTF-8 if they can, else Western European, Japanese (Shift-JIS) or Chinese
    (GBK), whichever reads most like words.
    """
    raw = [None if entry.flag_bits & _UTF8 else _bytes(entry.orig_filename) for entry in entries]
    alphabet = _alphabet([name for name in raw if name and not name.isascii()])
    names = [
        entry.orig_filename if name is None else name.decode(alphabet, "replace")
        for entry, name in zip(entries, raw, strict=True)
    ]
    return [name.replace("\\", "/") for name in names]  # after decoding: in Shift-JIS a letter may end in that byte


def _bytes(name: str) -> bytes | None:
    try:
        return name.encode("cp437")
    except UnicodeEncodeError:  # made by hand, in a test
        return None


def _alphabet(names: list[bytes]) -> str:
    """Return the codec of names that are not ASCII."""
    if all(_decodes(name, "utf-8") for name in names):
        return "utf-8"
    if _western(names):
        return "cp437"
    known = {"cp932": _share(names, "cp932", _JAPANESE), "gbk": _share(names, "gbk", _CHINESE)}
    best = max(known, key=lambda codec: known[codec])
    return best if known[best] > 0 else "cp437"


def _decodes(name: bytes, codec: str) -> bool:
    try:
        name.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _western(names: list[bytes]) -> bool:
    """Say whether these are words of a European language: single accented letters among many plain ones."""
    accented = plain = 0
    for name in names:
        text = name.decode("cp437")
        if any(not letter.isascii() and not letter.isalpha() for letter in text):
            return False  # Frames and blocks, which no one has in a name.
        for word in _WORD.findall(text):
            if not word.isascii():
                accented += sum(not letter.isascii() for letter in word)
                plain += sum(letter.isascii() for letter in word)
    return plain > accented


_JAPANESE = re.compile(rb"[\x82\x83][\x40-\xf1]|[\x88-\x97][\x40-\x7e\x80-\xfc]")
"""Kana and the 2,965 commonest characters (JIS level 1)."""
_CHINESE = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
"""The 3,755 commonest characters (GB 2312 level 1)."""


def _share(names: list[bytes], codec: str, common: re.Pattern[bytes]) -> float:
    """Return which part of the letters that are not ASCII is common in a language; 0 where it is not that codec."""
    letters = found = 0
    for name in names:
        try:
            text = name.decode(codec)
        except UnicodeDecodeError:
            return 0.0
        for letter in text:
            if not letter.isascii():
                letters += 1
                found += bool(common.fullmatch(letter.encode(codec)))
    return found / letters if letters else 0.0
