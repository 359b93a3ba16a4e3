"""Imports of a person's own images: what is made of good ones, and that nothing bad gets through."""

import io
import os
import shutil
import stat
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import encode, noise, pack
from PIL import Image

from playground.data import own
from playground.data.catalog import DataError, find_folder, find_info, is_ready, list_available
from playground.data.importing import plan_steps, save, sources
from playground.data.importing.plan import Corrections
from playground.data.importing.save import ImportReport, import_any, take
from playground.data.importing.sources import Source
from playground.data.importing.understand import understand
from playground.data.load import load_dataset
from playground.data.progress import Progress, Report
from playground.images import fit_to, read_image

Files = dict[str, bytes]


def picture(seed: int, width: int = 40, height: int = 30, form: str = "PNG", mode: str = "RGB") -> bytes:
    return encode(noise(seed, height, width), form, mode)


def two_classes(prefix: str = "", count: int = 5, seed: int = 0) -> Files:
    return {
        f"{prefix}{label}/{k}.png": picture(seed + 100 * c + k)
        for c, label in enumerate(("cats", "dogs"))
        for k in range(count)
    }


def import_zip(source: Source, name: str, progress: Report | None = None, **corrections: Any) -> ImportReport:
    """Take in what was understood, doubts included."""
    plan = understand(source, Corrections(**{"size": 64} | corrections), progress=progress)
    return take(source, plan.agreed(), name, progress)


def refused(archive: io.BytesIO | Path | str, match: str, name: str = "pets") -> str:
    """Import what must be refused; make sure that the message is one line and nothing is left behind."""
    with pytest.raises(DataError, match=match) as error:
        import_zip(archive, name)
    assert "\n" not in str(error.value)
    assert not is_ready("pets") and not (find_folder("pets").parent / ".pets.new").exists()
    return str(error.value)


@pytest.mark.parametrize("prefix", ["", "my photos/", "a/b/"])
@pytest.mark.parametrize("size", [32, 48])
def test_class_folders_become_a_data_set(prefix: str, size: int) -> None:
    files = two_classes(prefix)
    report = import_zip(pack(files), "My Pets!", size=size)
    assert report.skipped == [] and report.duplicates == 0
    assert report.info.name == "my-pets" and report.info.title == "My Pets!" and report.info.own
    assert report.info.classes == ("cats", "dogs") and report.info.shape == (3, size, size)
    assert (report.info.train_count, report.info.test_count) == (8, 2)
    found = load_dataset("my-pets")
    assert found.info == report.info and "my-pets" in [item.name for item in list_available()]
    expected = {(fit_to(read_image(data), size, 3).tobytes(), int("dogs" in name)) for name, data in files.items()}
    images = np.concatenate([found.train_images, found.test_images])
    targets = np.concatenate([found.train_targets, found.test_targets])
    assert {(i.tobytes(), int(t)) for i, t in zip(images, targets, strict=True)} == expected
    assert np.bincount(found.test_targets).tolist() == [1, 1]


def test_a_folder_does_as_well_as_a_zip_and_a_path_as_well_as_a_file(tmp_path: Path) -> None:
    for name, content in two_classes().items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    (tmp_path / "set" / ".hidden").mkdir()
    (tmp_path / "set" / ".hidden" / "x.png").write_bytes(picture(999))
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(998))
    (tmp_path / "set" / "cats" / "link.png").symlink_to(secret)
    (tmp_path / "set" / "birds").symlink_to(tmp_path)
    (tmp_path / "set.zip").write_bytes(pack(two_classes()).getvalue())
    from_folder = import_zip(tmp_path / "set", "one")
    import_zip(str(tmp_path / "set.zip"), "two")
    assert sorted(from_folder.skipped) == [
        ("birds", "It is a link or a device"),
        ("cats/link.png", "It is a link or a device"),
    ]
    assert np.array_equal(load_dataset("one").train_images, load_dataset("two").train_images)
    refused(tmp_path / "nothing.zip", "there is no .*nothing.zip")
    refused(tmp_path / "set" / "cats" / "0.png", "not a zip file")


def test_the_same_seed_splits_alike_and_another_differently() -> None:
    files = pack(two_classes(count=20))
    tests = []
    for k, seed in enumerate((1, 1, 2)):
        import_zip(files, f"set{k}", size=16, test_share=0.25, seed=seed)
        found = load_dataset(f"set{k}")
        assert len(found.test_images) == 10
        tests.append(found.test_images)
    assert np.array_equal(tests[0], tests[1]) and not np.array_equal(tests[0], tests[2])


def test_each_class_is_tested_however_small_the_share() -> None:
    import_zip(pack(two_classes(count=3)), "pets", test_share=0.01)
    assert load_dataset("pets").test_targets.tolist() == [0, 1]


@pytest.mark.parametrize("top", ["", "top/"])
def test_a_split_in_the_zip_is_kept(top: str) -> None:
    files = two_classes(f"{top}Train/", 4) | two_classes(f"{top}test/", 2, 500) | two_classes(f"{top}val/", 1, 900)
    files[f"{top}notes/a.png"] = picture(9999)
    report = import_zip(pack(files), "pets", size=16)
    assert (report.info.train_count, report.info.test_count) == (10, 4)  # val/ joins the training images
    assert report.skipped == [(f"{top}notes/a.png", f"It is in none of the folders {top}Train, {top}test, {top}val")]
    wanted = {fit_to(read_image(data), 16, 3).tobytes() for name, data in files.items() if "test/" in name}
    assert {image.tobytes() for image in load_dataset("pets").test_images} == wanted
    import_zip(pack(two_classes("train/", 4) | two_classes("val/", 2, 500)), "pets2", size=16)
    assert load_dataset("pets2").info.test_count == 4  # with no test/, val/ takes its place


def test_a_class_that_is_only_tested_is_left_out_once_that_is_agreed() -> None:
    files = two_classes("train/") | {"test/cats/0.png": picture(1000), "test/birds/0.png": picture(1001)}
    with pytest.raises(DataError, match="there is no image of birds to learn from"):
        import_any(pack(files), "pets")
    report = import_zip(pack(files), "pets")
    assert report.info.classes == ("cats", "dogs")
    assert report.skipped == [("test/birds/0.png", "Its class birds has no image to learn from")]


def test_spelling_of_a_class_may_differ_between_splits() -> None:
    files = two_classes("train/") | {f"test/{c}/{k}.png": picture(500 + k) for k, c in enumerate(("Cats", "DOGS"))}
    assert [c.lower() for c in import_zip(pack(files), "pets").info.classes] == ["cats", "dogs"]


def test_equal_images_are_dropped_and_never_tested_and_trained_on() -> None:
    files = two_classes("train/") | {"train/cats/again.png": picture(0)}
    pixels = read_image(picture(1))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "BMP")  # the same pixels in another file
    files |= {"test/cats/1.bmp": out.getvalue(), "test/cats/2.png": picture(700), "test/dogs/1.png": picture(701)}
    report = import_zip(pack(files), "pets")
    assert report.duplicates == 2 and (report.info.train_count, report.info.test_count) == (10, 2)
    found = load_dataset("pets")
    train = {image.tobytes() for image in found.train_images}
    assert not train & {image.tobytes() for image in found.test_images}


def test_an_image_with_two_labels_is_none() -> None:
    files = two_classes() | {"dogs/again.png": picture(0)}  # a cat's, byte by byte
    pixels = read_image(picture(1))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "BMP")  # another cat's, in another file
    files |= {"dogs/other.bmp": out.getvalue()}
    with pytest.raises(DataError, match=r"1 image with two labels, as cats/0\.png and dogs/again\.png"):
        import_any(pack(files), "pets")
    report = import_zip(pack(files), "pets")
    assert sorted(path for path, why in report.skipped if "another class" in why) == [
        "cats/0.png",
        "cats/1.png",
        "dogs/again.png",
        "dogs/other.bmp",
    ]
    assert report.info.train_count + report.info.test_count == 8 and report.duplicates == 0


def test_any_colour_mode_becomes_rgb_and_photos_are_turned_upright() -> None:
    files = two_classes()
    kinds = [
        ("L", "PNG"),
        ("P", "GIF"),
        ("RGBA", "PNG"),
        ("CMYK", "JPEG"),
        ("I;16", "PNG"),
        ("1", "BMP"),
        ("LA", "PNG"),
    ]
    for k, (mode, form) in enumerate(kinds):
        files[f"cats/m{k}.{form.lower()}"] = picture(300 + k, form=form, mode=mode)
    turned = Image.open(io.BytesIO(picture(400, 30, 30, "JPEG")))
    exif = turned.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "JPEG", exif=exif, quality=95)
    files["dogs/turned.jpg"] = out.getvalue()
    report = import_zip(pack(files), "pets", size=30)
    assert report.skipped == [] and report.info.train_count + report.info.test_count == 18
    found = load_dataset("pets")
    images = {image.tobytes() for image in np.concatenate([found.train_images, found.test_images])}
    raw = np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGB"))
    assert np.rot90(raw, -1).transpose(2, 0, 1).tobytes() in images


def test_what_cannot_be_read_is_skipped_counted_and_listed() -> None:
    files = two_classes() | {
        "cats/text.jpg": b"I am not a picture",
        "cats/cut.png": picture(50)[:200],
        "cats/empty.png": b"",
        "dogs/readme.txt": b"hello",
        "loose.png": picture(51),
        "__MACOSX/cats/._0.png": b"resource fork",
        "__MACOSX/cats/0.png": picture(52),
        "cats/.DS_Store": b"x",
        "cats/Thumbs.db": b"x",
    }
    report = import_zip(pack(files), "pets")
    assert sorted(path for path, _ in report.skipped) == [
        "cats/cut.png",
        "cats/empty.png",
        "cats/text.jpg",
        "dogs/readme.txt",
        "loose.png",
    ]
    assert all(reason and "\n" not in reason for _, reason in report.skipped)
    assert report.info.train_count + report.info.test_count == 10


def test_a_decompression_bomb_in_a_picture_is_skipped() -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")  # 400 million pixels in 50 kB
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = import_zip(pack(two_classes() | {"cats/bomb.png": out.getvalue()}), "pets")
    assert [path for path, _ in report.skipped] == ["cats/bomb.png"]


def test_an_entry_that_does_not_unpack_is_skipped() -> None:
    raw = bytearray(pack(two_classes() | {"cats/damaged.png": picture(60)}, zipfile.ZIP_STORED).getvalue())
    at = raw.index(picture(60)) + 500
    raw[at] ^= 0xFF  # its CRC no longer holds
    report = import_zip(io.BytesIO(bytes(raw)), "pets")
    assert report.skipped == [("cats/damaged.png", "It is damaged or cannot be unpacked")]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, "no class has images"),
        ({"cats/": b""}, "no class has images"),
        ({"a.png": picture(1), "b.png": picture(2)}, "no class has images .*in no class folder"),
        ({"cats/a.png": picture(1), "cats/b.png": picture(2)}, "only the class cats has images"),
        ({"top/cats/a.png": picture(1), "top/cats/b.png": picture(2)}, "only the class cats has images"),
        ({"cats/a.png": picture(1), "dogs/b.png": b"x"}, "only the class cats .*dogs/b.png: This is a text file"),
        ({"cats/a.png": picture(1), "dogs/b.png": picture(1)}, "the same image lies in two classes, cats/a.png and"),
        ({"cats/a.png": picture(1), "dogs/b.png": picture(2)}, "no image is left to test on"),
    ],
)
def test_fewer_than_two_classes_is_an_error_that_says_so(files: Files, match: str) -> None:
    refused(pack(files), match)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("../evil.png", "leads out of its folder"),
        ("cats/../../evil.png", "leads out of its folder"),
        ("/etc/evil.png", "is an absolute path"),
        ("C:/evil.png", "is an absolute path"),
        ("cats\\..\\..\\evil.png", "leads out of its folder"),
        ("\\\\server\\evil.png", "is an absolute path"),
        ("cats/new\nline.png", "control character"),
        ("cats/more.zip", "is an archive itself"),
        ("cats/more.TAR", "is an archive itself"),
        ("cats\\0.png", "more than once"),
        (".hidden/../../x", "leads out of its folder"),
    ],
)
def test_hostile_names_are_refused_before_anything_is_read(
    name: str, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save, "read_image", lambda _: pytest.fail("something was read"))
    before = sorted(tmp_path.parent.rglob("*"))
    refused(pack(two_classes() | {name: picture(70)}), match)
    assert sorted(path for path in tmp_path.parent.rglob("*") if "home" not in str(path)) == [
        path for path in before if "home" not in str(path)
    ]


def test_names_of_old_systems_are_classes() -> None:
    files = {f"{label}\\{k}.png": picture(100 * c + k) for c, label in enumerate(("cats", "dogs")) for k in range(3)}
    assert import_zip(pack(files), "pets").info.classes == ("cats", "dogs")
    for codec in ("gbk", "cp932"):
        out = pack(two_classes("", 3))
        raw = out.getvalue()
        for label, name in (("cats", "正常"), ("dogs", "肺炎")):
            raw = raw.replace(label.encode(), name.encode(codec))
        assert set(import_zip(io.BytesIO(raw), f"pets-{codec}").info.classes) == {"正常", "肺炎"}


def test_files_whose_names_differ_in_case_are_two() -> None:
    files = two_classes() | {"cats/IMG.png": picture(70), "cats/img.PNG": picture(71)}
    report = import_zip(pack(files), "pets")
    assert report.info.train_count + report.info.test_count == 12 and report.skipped == []


def test_a_nul_does_not_hide_the_rest_of_a_name() -> None:
    raw = pack(two_classes() | {"cats/xx.png_../../evil": picture(70)}).getvalue()
    refused(io.BytesIO(raw.replace(b"xx.png_..", b"xx.png\0..")), "control character")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(mode: int) -> None:
    out = pack(two_classes())
    with zipfile.ZipFile(out, "a") as archive:
        entry = zipfile.ZipInfo("cats/link.png")
        entry.create_system = 3
        entry.external_attr = (mode | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    refused(out, "is a link or a device")


def test_encrypted_entries_are_refused() -> None:
    raw = bytearray(pack(two_classes()).getvalue())
    at = raw.index(b"PK\x01\x02")  # the first entry of the directory; its flags come 8 bytes on
    raw[at + 8] |= 1
    refused(io.BytesIO(bytes(raw)), "is encrypted")


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(pack(two_classes() | {"cats/bomb.bmp": bytes(30 * 2**20)}), "shrinks more than 200 times")
    refused(pack(two_classes() | {"cats/large.bmp": bytes(65 * 2**20)}), "is larger than 64 MB")
    monkeypatch.setattr(sources, "MAX_TOTAL", 20_000)
    refused(pack(two_classes()), "the zip unpacks to")
    monkeypatch.setattr(sources, "MAX_FILES", 9)
    refused(pack(two_classes()), "the zip has more than 9 files")


def test_a_size_that_the_directory_makes_smaller_than_it_is_cannot_hide_a_bomb() -> None:
    content = bytes(50 * 2**20)
    raw = bytearray(pack(two_classes() | {"cats/bomb.png": content}).getvalue())
    position = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<I", raw, position + 24, 1000)  # the uncompressed size, as the directory tells it
    report = import_zip(io.BytesIO(bytes(raw)), "pets")
    assert [path for path, _ in report.skipped] == ["cats/bomb.png"]


def test_what_is_no_zip_is_refused() -> None:
    whole = pack(two_classes()).getvalue()
    for raw in (b"", b"hello", picture(1), whole[: len(whole) // 2], whole[:-30]):
        refused(io.BytesIO(raw), "this is not a zip file, or it is cut off")


def test_names_that_cannot_be_printed_leave_the_refusal_on_one_line() -> None:
    said = refused(
        pack(dict.fromkeys(("cats\x7f\x85\u2028/1.png", "dogs/1.png"), b"no picture")), "no class has images"
    )
    assert said.isprintable() and "cats" in said


def test_too_many_pixels_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_steps, "MAX_TOTAL", 10 * 3 * 64 * 64 - 1)
    refused(pack(two_classes()), "choose a smaller size")


@pytest.mark.parametrize(
    ("name", "match"),
    [("cifar10", "already"), ("CIFAR10 mini", "already"), ("...", "cannot be a data set's name"), ("", "cannot be")],
)
def test_names_that_cannot_be(name: str, match: str) -> None:
    refused(pack(two_classes()), match, name)


@pytest.mark.parametrize(
    ("typed", "made"),
    [("My cats!", "my-cats"), ("Äpfel & Öl", "apfel-ol"), ("../../etc", "etc"), ("x" * 90, "x" * 64), ("_a", "a")],
)
def test_names_become_slugs(typed: str, made: str) -> None:
    assert own.make_slug(typed) == made


def test_sizes_and_shares_out_of_range_are_one_line() -> None:
    for size, share, match in ((8, 0.2, "8 px"), (1000, 0.2, "1000 px"), (64, 0.0, "test share"), (64, 1.0, "share")):
        with pytest.raises(DataError, match=match):
            import_zip(pack(two_classes()), "pets", size=size, test_share=share)


def test_an_existing_set_is_neither_replaced_nor_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    import_zip(pack(two_classes()), "pets")
    with pytest.raises(DataError, match="there is a data set pets already"):
        import_zip(pack(two_classes(seed=5000)), "Pets")
    # Two imports of one name at once: the second finds the first when it comes to writing.
    monkeypatch.setattr(save, "make_slug", lambda name: name)
    with pytest.raises(DataError, match="already"):
        import_zip(pack(two_classes(seed=5000)), "pets")


def test_an_import_can_be_watched_and_cancelled() -> None:
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.what == "Reading images" and progress.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_zip(pack(two_classes()), "pets", progress=report)
    assert [(p.done, p.total) for p in told] == [(k, 10) for k in (*range(10), *range(8))] and not is_ready("pets")
    assert {p.what for p in told[:10]} == {"Looking for equal images"}


def test_own_sets_can_be_deleted_and_others_not() -> None:
    import_zip(pack(two_classes()), "pets")
    own.delete_dataset("pets")
    assert not is_ready("pets") and "pets" not in [item.name for item in list_available()]
    assert not [name for name in os.listdir(find_folder("pets").parent) if "pets" in name]
    import_zip(pack(two_classes()), "pets")
    load_dataset("cifar10-mini")
    for name, match in (("cifar10-mini", "part of the playground"), ("nope", "no data set"), ("../x", "no data set's")):
        with pytest.raises(DataError, match=match):
            own.delete_dataset(name)
    assert is_ready("cifar10-mini") and is_ready("pets")


def test_a_name_that_is_unknown_is_one_short_line_however_many_sets_there_are() -> None:
    import_zip(pack(two_classes()), "pets")
    for k in range(30):
        shutil.copytree(find_folder("pets"), find_folder(f"pets-{k}"))
    with pytest.raises(DataError, match="there is no data set pest; did you mean pets") as near:
        find_info("pest")
    with pytest.raises(DataError, match="there is no data set xylophone; the Data page names") as far:
        find_info("xylophone")
    assert max(len(str(error.value)) for error in (near, far)) < 100
