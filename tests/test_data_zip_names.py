"""Names in zips of old systems: which alphabet they are in, and where their folders end."""

import zipfile

import pytest

from playground.data.importing.zip_names import zip_names


def entries(names: list[bytes], flag: int = 0) -> list[zipfile.ZipInfo]:
    """Entries as Python reads them: names without the UTF-8 flag are taken for code page 437."""
    made = []
    for name in names:
        entry = zipfile.ZipInfo(name.decode("utf-8" if flag else "cp437"))
        entry.orig_filename = name.decode("utf-8" if flag else "cp437")
        entry.flag_bits = flag
        made.append(entry)
    return made


@pytest.mark.parametrize(
    ("names", "codec"),
    [
        (["猫/0.jpg", "狗/0.jpg"], "gbk"),
        (["新建文件夹/训练/苹果/图片1.jpg", "新建文件夹/测试/香蕉/图片2.jpg"], "gbk"),
        (["正常/1.png", "肺炎/1.png"], "gbk"),
        (["表/1.jpg", "能/2.jpg"], "cp932"),  # both end in 0x5C, a backslash elsewhere
        (["猫/1.jpg", "犬/1.jpg"], "cp932"),
        (["ねこ/写真1.jpg", "イヌ/写真2.jpg"], "cp932"),
        (["桜_sakura/IMG_0001.jpg", "梅_ume/IMG_0002.jpg"], "cp932"),
        (["Köln/é.jpg", "Äpfel/1.jpg", "Größe/1.jpg"], "cp437"),
        (["père Noël/naïve.jpg"], "cp437"),
        (["Äpfel/1.jpg", "猫/1.jpg", "кот/1.jpg"], "utf-8"),
        (["cats/1.jpg"], "ascii"),
    ],
)
def test_the_alphabet_is_told_from_all_names(names: list[str], codec: str) -> None:
    assert zip_names(entries([name.encode(codec) for name in names])) == names


def test_a_name_marked_as_utf_8_is_left_as_it_is() -> None:
    names = ["表/ñ.jpg", "Œuvre/1.jpg"]
    assert zip_names(entries([name.encode() for name in names], 0x800)) == names


def test_backslashes_part_folders() -> None:
    assert zip_names(entries([b"set\\cats\\0.jpg", b"set\\dogs\\"])) == ["set/cats/0.jpg", "set/dogs/"]
    mixed = "訓練\\表\\1.jpg".encode("cp932")
    assert zip_names(entries([mixed])) == ["訓練/表/1.jpg"]


def test_bytes_in_no_known_alphabet_are_read_all_the_same() -> None:
    (name,) = zip_names(entries([b"a\xff\xfe\x80.jpg"]))
    assert name.startswith("a") and name.endswith(".jpg")
