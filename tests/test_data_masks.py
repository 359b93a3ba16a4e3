"""Imports of a person's own images with masks: what is made of good ones, and that nothing bad gets through."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import encode, noise, pack
from PIL import Image

from playground.data import own
from playground.data.catalog import DataError, is_ready
from playground.data.importing import mask_files, plan_steps, sources
from playground.data.importing.class_lists import parse_classes
from playground.data.importing.plan import Corrections, Learn
from playground.data.importing.save import ImportReport, import_any, take
from playground.data.importing.shrink import fit_pair
from playground.data.importing.sources import Source
from playground.data.importing.understand import understand
from playground.data.load import load_dataset
from playground.data.progress import Progress, Report
from playground.metrics import IGNORE

CAMVID = Path(__file__).resolve().parents[2] / "shared" / "data" / "camvid"
Files = dict[str, bytes]
H, W = 24, 32


def file(pixels: np.ndarray, form: str = "PNG", palette: bool = False, mode: str = "") -> bytes:
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    return encode(image, form, mode)


def photo(seed: int, height: int = H, width: int = W) -> np.ndarray:
    return noise(seed, height, width)


def labels(seed: int, height: int = H, width: int = W, classes: int = 3) -> np.ndarray:
    """Blocks of 4 × 4 pixels, so that a mask that is halved is known exactly."""
    small = np.random.default_rng(1000 + seed).integers(0, classes, (-(-height // 4), -(-width // 4)), dtype=np.uint8)
    return small.repeat(4, 0).repeat(4, 1)[:height, :width]


def pairs(count: int = 5, prefix: str = "", seed: int = 0, made: Callable[[np.ndarray], bytes] = file) -> Files:
    files = {}
    for k in range(seed, seed + count):
        files[f"{prefix}images/{k}.png"] = file(photo(k))
        files[f"{prefix}masks/{k}.png"] = made(labels(k))
    return files


def import_masks(source: Source, name: str, progress: Report | None = None, **corrections: Any) -> ImportReport:
    """Take in what was understood, doubts included."""
    given = {key: tuple(value) if key == "classes" else value for key, value in corrections.items()}
    plan = understand(source, Corrections(**{"size": 128} | given), progress=progress)
    return take(source, plan.agreed(), name, progress)


def refused(files: Files, match: str, **settings: object) -> str:
    """Import what must be refused; make sure that the message is one line and nothing is left behind."""
    with pytest.raises(DataError, match=match) as error:
        import_masks(pack(files), "mine", **({"size": W} | settings))
    assert "\n" not in str(error.value)
    assert not is_ready("mine")
    return str(error.value)


def stored(name: str = "mine") -> dict[bytes, np.ndarray]:
    """Return {image: mask} of all that was kept."""
    found = load_dataset(name)
    images = np.concatenate([found.train_images, found.test_images])
    targets = np.concatenate([found.train_targets, found.test_targets])
    return {image.tobytes(): mask for image, mask in zip(images, targets, strict=True)}


def mask_of(k: int) -> np.ndarray:
    return stored()[np.ascontiguousarray(photo(k).transpose(2, 0, 1)).tobytes()]


@pytest.mark.parametrize("prefix", ["", "my set/", "a/b/"])
def test_images_and_masks_become_a_data_set(prefix: str) -> None:
    report = import_masks(pack(pairs(10, prefix)), "My Streets", size=W)
    made = report.info
    assert report.skipped == [] and report.duplicates == 0
    assert (made.name, made.title, made.task, made.own) == ("my-streets", "My Streets", "segmentation", True)
    assert made.shape == (3, H, W) and made.classes == ("class 0", "class 1", "class 2")
    assert (made.train_count, made.test_count) == (8, 2)
    found = stored("my-streets")
    for k in range(10):
        np.testing.assert_array_equal(found[photo(k).transpose(2, 0, 1).tobytes()], labels(k))
    assert load_dataset("my-streets").train_targets.dtype == np.uint8


def test_a_folder_does_as_well(tmp_path: Path) -> None:
    for name, content in pairs().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    import_masks(tmp_path, "mine", size=W)
    import_masks(pack(pairs()), "zipped", size=W)
    np.testing.assert_array_equal(load_dataset("mine").train_targets, load_dataset("zipped").train_targets)
    with pytest.raises(DataError, match="there is no"):
        import_masks(tmp_path / "nothing.zip", "other")
    with pytest.raises(DataError, match="not a zip file"):
        import_masks(io.BytesIO(b"hello"), "other")


def test_the_seed_chooses_the_test_images() -> None:
    tests = []
    for k, seed in enumerate((1, 1, 2)):
        import_masks(pack(pairs(20)), f"set{k}", size=W, seed=seed, test_share=0.25)
        tests.append(load_dataset(f"set{k}").test_images)
        assert len(tests[-1]) == 5
    assert np.array_equal(tests[0], tests[1]) and not np.array_equal(tests[0], tests[2])


# Splits and names


@pytest.mark.parametrize("layout", ["{split}/{kind}/", "{kind}/{split}/", "top/{split}/{kind}/"])
@pytest.mark.parametrize(("train_on", "count"), [("train+val", 6), ("train", 4)])
def test_a_split_is_kept(layout: str, train_on: Learn, count: int) -> None:
    files = {}
    for split, first, n in (("Train", 0, 4), ("val", 10, 2), ("test", 20, 3)):
        for k in range(first, first + n):
            files[layout.format(split=split, kind="images") + f"{k}.jpg"] = file(photo(k))
            files[layout.format(split=split, kind="Masks") + f"{k}.png"] = file(labels(k))
    report = import_masks(pack(files), "mine", size=W, train_on=train_on)
    assert (report.info.train_count, report.info.test_count) == (count, 3) and report.skipped == []
    wanted = {photo(k).transpose(2, 0, 1).tobytes() for k in (20, 21, 22)}
    assert {image.tobytes() for image in load_dataset("mine").test_images} == wanted


def test_without_test_images_validation_takes_their_place() -> None:
    files = pairs(4, "train/") | pairs(2, "val/", 50)
    assert import_masks(pack(files), "mine", size=W, train_on="train").info.test_count == 2
    loose = files | {"images/x.png": file(photo(80)), "masks/x.png": file(labels(80))}
    report = import_masks(pack(loose), "loose", size=W)
    assert report.skipped == [("images/x.png", "It is in none of the folders train, val")]


def test_names_as_in_camvid() -> None:
    files = {}
    for k, (image, mask) in enumerate(
        [("a.png", "a_L.png"), ("b.jpg", "b_mask.png"), ("c.bmp", "c.gif"), ("d_L.png", "d_L.png"), ("É.png", "É.png")]
    ):
        files[f"images/{image}"] = file(photo(k), "BMP" if image.endswith("bmp") else "PNG")
        files[f"masks/{mask}"] = file(labels(k), "GIF" if mask.endswith("gif") else "PNG")
    report = import_masks(pack(files), "mine", size=W)
    assert report.skipped == []
    for k in range(5):
        np.testing.assert_array_equal(mask_of(k), labels(k))


def test_what_has_no_partner_is_named_and_the_others_go_on() -> None:
    files = pairs() | {
        "images/alone.png": file(photo(90)),
        "masks/lost.png": file(labels(91)),
        "images/0.jpg": file(photo(92)),
        "images/notes.pdf": b"x",
        "extra.png": file(photo(93)),
    }
    report = import_masks(pack(files), "mine", size=W)
    # 0.jpg comes before 0.png, so it is the one that is taken; its mask is the one of that name.
    assert sorted(report.skipped) == [
        ("extra.png", "It has no mask"),
        ("images/0.png", "There is 0.jpg of the same name"),
        ("images/alone.png", "It has no mask"),
        ("images/notes.pdf", "Its name is not an image's"),
        ("masks/lost.png", "It has no image"),
    ]
    assert report.info.train_count + report.info.test_count == 5


# Values and colours

COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 64]], np.uint8)


def in_colour(values: np.ndarray) -> bytes:
    return file(COLOURS[values])


@pytest.mark.parametrize(
    "made",
    [
        lambda values: file(values, palette=True),
        lambda values: file(values.astype(np.uint16)),
        lambda values: file(values, "TIFF"),
        lambda values: file(values.astype(np.int32), "TIFF"),
    ],
    ids=["palette", "16 bits", "TIFF", "32 bits"],
)
def test_values_are_classes_however_they_are_kept(made: Callable[[np.ndarray], bytes]) -> None:
    import_masks(pack(pairs(made=made)), "mine", size=W)
    for k in range(5):
        np.testing.assert_array_equal(mask_of(k), labels(k))


def test_255_has_no_class_and_neither_has_a_value_that_is_given() -> None:
    def with_hole(values: np.ndarray) -> bytes:
        return file(np.where(np.arange(W) < 4, 255, values).astype(np.uint8))

    made = import_masks(pack(pairs(made=with_hole)), "mine", size=W).info
    assert made.classes == ("class 0", "class 1", "class 2")
    assert (mask_of(0)[:, :4] == IGNORE).all() and (mask_of(0)[:, 4:] == labels(0)[:, 4:]).all()
    own.delete_dataset("mine")
    made = import_masks(pack(pairs()), "mine", size=W, ignore=1).info
    assert made.classes == ("class 0", "class 2")
    np.testing.assert_array_equal(mask_of(0), np.array([0, IGNORE, 1])[labels(0)])


@pytest.mark.parametrize("mode", ["", "1"])
def test_black_and_white_are_two_classes(mode: str) -> None:
    files = pairs(made=lambda values: file((values > 0).astype(np.uint8) * 255, mode=mode))
    made = import_masks(pack(files), "mine", size=W).info
    assert made.classes == ("class 0", "class 1" if mode else "class 255")
    np.testing.assert_array_equal(mask_of(0), labels(0) > 0)
    own.delete_dataset("mine")
    named = import_masks(pack(files), "mine", size=W, classes=["ground", "figure"]).info
    assert named.classes == ("ground", "figure")
    np.testing.assert_array_equal(mask_of(0), labels(0) > 0)


def test_a_list_names_the_values() -> None:
    files = pairs(6) | {"classes.txt": "\ufeffsky\n\n# remark\nroad works\nvoid\n".encode()}
    assert import_masks(pack(files), "mine", size=W).info.classes == ("sky", "road works")
    np.testing.assert_array_equal(mask_of(0), np.array([0, 1, IGNORE])[labels(0)])
    given = import_masks(pack(files), "given", size=W, classes=["a", " b ", "c", "d"]).info
    assert given.classes == ("a", "b", "c", "d")
    files["masks/3.png"] = file(labels(3) + 5)
    report = import_masks(pack(files), "some", size=W)
    assert [path for path, _ in report.skipped] == ["masks/3.png"]
    assert report.skipped[0][1].startswith("It has the value ") and "none of the 2 classes" in report.skipped[0][1]


def test_colours_are_classes_the_most_frequent_first() -> None:
    values = [np.minimum(labels(k), 1) * 2 for k in range(4)] + [labels(4)]  # many of class 0 and 2, few of 1
    files = {f"images/{k}.png": file(photo(k)) for k in range(5)}
    files |= {f"masks/{k}.png": in_colour(values[k]) for k in range(5)}
    counts = np.bincount(np.concatenate([v.ravel() for v in values]))
    assert counts[2] > counts[0] > counts[1]
    assert import_masks(pack(files), "mine", size=W).info.classes == ("class 0", "class 1", "class 2")
    np.testing.assert_array_equal(mask_of(4), np.array([1, 2, 0])[labels(4)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "road 0 128 64\nempty  land 0 0 0\nvoid 128 0 0"),
        ("label_colors.txt", "0 128 64\troad\n0 0 0\tempty  land\n128 0 0\tVoid"),
        ("labels.txt", "0,128,64,road\nempty land, 0, 0, 0\n128,0,0,unlabelled"),
        ("deep/er/classes.json", json.dumps({"road": [0, 128, 64], "empty land": [0, 0, 0], "void": [128, 0, 0]})),
    ],
)
def test_a_list_with_colours_says_which_is_which(name: str, text: str) -> None:
    files = pairs(made=in_colour) | {name: text.encode()}
    report = import_masks(pack(files), "mine", size=W)
    assert report.info.classes == ("road", "empty land") and report.skipped == []
    np.testing.assert_array_equal(mask_of(0), np.array([1, IGNORE, 0])[labels(0)])
    other = files | {"masks/2.png": file(np.full((H, W, 3), (1, 2, 3), np.uint8))}
    assert import_masks(pack(other), "other", size=W).skipped == [
        ("masks/2.png", "It has the colour 1 2 3, which is none of the 2 classes")
    ]


def test_a_list_with_colours_names_values_in_its_order() -> None:
    made = import_masks(pack(pairs() | {"classes.txt": b"a 9 9 9\nb 1 1 1\nc 5 5 5"}), "mine", size=W).info
    assert made.classes == ("a", "b", "c")
    np.testing.assert_array_equal(mask_of(2), labels(2))


def test_a_transparent_mask_keeps_its_colours() -> None:
    def clear(values: np.ndarray) -> bytes:
        return file(np.dstack([COLOURS[values], np.where(values, 255, 0).astype(np.uint8)]))

    made = import_masks(pack(pairs(made=clear) | {"classes.txt": b"a 0 0 0\nb 128 0 0\nc 0 128 64"}), "mine", size=W)
    assert made.skipped == []
    np.testing.assert_array_equal(mask_of(1), labels(1))


# What cannot be used is named


def test_sizes_that_do_not_match_are_named() -> None:
    files = pairs() | {"masks/1.png": file(labels(1)[:-4])}
    report = import_masks(pack(files), "mine", size=W)
    assert report.skipped == [("images/1.png", "It is 32 × 24 pixels, and its mask 32 × 20")]
    assert report.info.train_count + report.info.test_count == 4


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"no picture", "This is a text file"),
        (b"", "empty"),
        (file(labels(1))[:60], "cut off or damaged"),
        (file(labels(1), "JPEG"), "It is a JPEG, which does not keep exact values"),
        (file(labels(1).astype(np.float32), "TIFF"), "Its pixels are of the kind F"),
        (file(labels(1) * np.int32(35_000), "TIFF"), "Its values go from 0 to 70000"),
        (in_colour(labels(1)), "It holds colours, and most masks hold values"),
        (file(np.arange(H * W).reshape(H, W).astype(np.uint8)), "It has 256 different values, as soft edges make them"),
        (file(photo(1)), "different colours, as soft edges make them"),
    ],
)
def test_masks_that_cannot_be_used_are_named(bad: bytes, reason: str) -> None:
    report = import_masks(pack(pairs() | {"masks/1.png": bad}), "mine", size=W)
    (path, why) = report.skipped[0]
    assert path == "masks/1.png" and reason in why and "\n" not in why and len(report.skipped) == 1
    assert report.info.classes == ("class 0", "class 1", "class 2")


def test_an_image_that_cannot_be_read_is_named() -> None:
    report = import_masks(pack(pairs() | {"images/2.png": b"no picture"}), "mine", size=W)
    assert [path for path, _ in report.skipped] == ["images/2.png"]


def test_equal_images_are_dropped() -> None:
    files = pairs(4, "train/") | pairs(2, "test/", 3)  # image 3 is in both
    report = import_masks(pack(files), "mine", size=W)
    assert (report.duplicates, report.info.train_count, report.info.test_count) == (1, 4, 1)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (
            {"images/a.png": file(photo(1)), "masks/b.png": file(labels(1))},
            "no mask fits an image; a mask is called like its image",
        ),
        (pairs(1), "only 1 of the masks fits an image"),
        (pairs(made=lambda values: file(values * 0)), "only the class class 0; at least two"),
        (pairs(made=lambda values: file(values * 0 + 255)), "no class; at least two"),
        (pairs(made=lambda values: file(photo(int(values.sum())))), "masks/0.png: It has .* different colours"),
        (pairs() | {"classes.txt": b"one"}, "only the class one"),
        (pairs() | {"classes.txt": b"one\none"}, "the name one more than once"),
        (pairs() | {"classes.txt": b"a 1 2 3\nb"}, "colours for some of the classes only"),
        (pairs() | {"classes.txt": b"a 1 2 3\nb 1 2 3"}, "the colour 1 2 3 more than once"),
        (pairs() | {"classes.txt": b"a 1 2 3\nb 1 2 300"}, "is no colour"),
        (pairs() | {"classes.txt": b""}, "a name for each class"),
        (pairs() | {"classes.txt": b"\xff\xfe\x00"}, "classes.txt is no list of classes"),
        (pairs() | {"classes.json": b"{"}, "classes.json is no list of classes: line 1 is no JSON"),
        (pairs() | {"classes.json": b"[1, 2]"}, "neither names nor names with colours"),
        (pairs() | {"classes.json": b'{"a": "red"}'}, "is no colour"),
        (pairs() | {"classes.json": b"[" * 100_000}, "is no list of classes"),
        (pairs() | {"classes.txt": photo(0, 600, 600).tobytes().hex().encode()}, "larger than 1 MB"),
        (pairs() | {"classes.txt": "\n".join(map(str, range(300))).encode()}, "300 classes are too many"),
        (pairs(made=in_colour) | {"classes.txt": b"a\nb\nc"}, "so the class list must give them"),
        (pairs() | {"masks/../../evil.png": b""}, "leads out of its folder"),
        (pairs(3, "train/") | {"test/images/x.png": file(photo(7))}, None),
    ],
)
def test_what_makes_no_data_set_is_one_line(files: Files, match: str | None) -> None:
    if match is None:  # an empty split is none
        assert import_masks(pack(files), "mine", size=W).info.test_count == 1
    else:
        refused(files, match)


def test_settings_out_of_range_are_one_line() -> None:
    for settings, match in (
        ({"size": 8}, "8 px; choose 32 to 512"),
        ({"test_share": 0.0}, "test share"),
        ({"ignore": -2}, "ignored value cannot be -2"),
        ({"classes": ["a"]}, "only the class a"),
    ):
        refused(pairs(), match, **settings)
    refused(pairs(made=in_colour), "which no ignored value fits", ignore=3)
    files = pairs() | {"masks/0.png": file(labels(0))}
    with pytest.raises(DataError, match="already"):
        import_masks(pack(files), "shapes", size=W)


def test_a_split_needs_images_on_both_sides() -> None:
    files = pairs(3, "train/") | {"test/images/9.png": file(photo(9)), "test/masks/9.png": file(labels(9)[4:])}
    refused(files, "no image is left to test on")


def test_too_many_pixels_or_values(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plan_steps, "MAX_TOTAL", 5 * 4 * H * W - 1)
        refused(pairs(), "choose a smaller size")
    with monkeypatch.context() as patch:
        patch.setattr(sources, "MAX_TOTAL", 2_000)
        refused(pairs(), "the zip unpacks to")
    spread = {f"masks/{k}.png": file(labels(k, classes=60).astype(np.uint16) + 60 * k) for k in range(9)}
    refused(pairs(9) | spread, r"with masks/\d.png the masks have more than 256 different values")


def test_nothing_hostile_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_files, "read_image", lambda _: pytest.fail("something was read"))
    refused(pairs() | {"images/more.zip": b""}, "is an archive itself")
    refused(pairs() | {"masks/bomb.bmp": bytes(30 * 2**20)}, "shrinks more than 200 times")


def test_an_import_can_be_watched_and_cancelled() -> None:
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.what == "Reading images" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_masks(pack(pairs()), "mine", size=W, progress=report)
    assert [(p.done, p.total) for p in told] == [(k, 5) for k in (*range(5), *range(3))] and not is_ready("mine")
    assert [p.what for p in told] == ["Reading masks"] * 5 + ["Reading images"] * 3


# Sizes


def test_images_take_the_commonest_shape_and_others_lose_their_edges() -> None:
    files = pairs(5)
    tall = photo(50, 48, 32)  # its middle 24 × 32 is kept
    files |= {"images/t.png": file(tall), "masks/t.png": file(labels(50, 48, 32))}
    import_masks(pack(files), "mine", size=W)
    found = stored()[np.ascontiguousarray(tall[12:36].transpose(2, 0, 1)).tobytes()]
    np.testing.assert_array_equal(found, labels(50, 48, 32)[12:36])
    half = import_masks(pack(pairs(5) | pairs(3, seed=20)), "half", size=64).info
    assert half.shape == (3, 48, 64)
    twice = stored("half")
    assert all(np.array_equal(mask[::2, ::2].repeat(2, 0).repeat(2, 1), mask) for mask in twice.values())


def test_masks_are_shrunk_without_mixing_values_and_stay_on_their_images() -> None:
    values = labels(3, 16, 24, classes=5).repeat(4, 0).repeat(4, 1)
    image = np.repeat(values[..., None] * 50, 3, axis=2)
    small, mask = fit_pair(image, values, 16, 24)
    assert small.shape == (3, 16, 24) and mask.shape == (16, 24)
    np.testing.assert_array_equal(mask, values[2::4, 2::4])
    # The shrunk image lies on its mask: moved by a pixel either way it fits worse.
    errors = {
        move: np.abs(small[0] / 50 - np.roll(mask, move, (0, 1)))[1:-1, 1:-1].mean()
        for move in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    }
    assert all(errors[move] > errors[0, 0] + 0.1 for move in errors if move != (0, 0)), errors
    np.testing.assert_array_equal(fit_pair(image, values, 64, 96)[1], values)


# Which kind it is


def test_the_kind_is_told_from_the_folders() -> None:
    folders = {f"{label}/{k}.png": file(photo(k + ord(label[0]))) for label in ("images", "dogs") for k in range(3)}
    assert import_any(pack(pairs()), "mine").info.shape == (3, 96, 128)
    plain = import_any(pack(folders), "plain").info
    assert (plain.task, plain.shape) == ("classification", (3, 32, 32))
    for settings in ({"classes": ("a", "b")}, {"ignore": 3}, {"threshold": 9}):
        with pytest.raises(DataError, match="are for masks, and no masks lie beside images"):
            import_any(pack(folders), "other", Corrections(**settings))


@pytest.mark.parametrize(
    ("text", "names", "colours"),
    [
        ("sky\nroad", ("sky", "road"), ()),
        ("lane 2\nroad", ("lane 2", "road"), ()),
        ("64 128 64\t\tAnimal\n192 0 128\t\tArch", ("Animal", "Arch"), (0x408040, 0xC00080)),
    ],
)
def test_lists_of_classes(text: str, names: tuple[str, ...], colours: tuple[int, ...]) -> None:
    found = parse_classes(text.encode(), "classes.txt")
    assert (found.names, found.colours) == (names, colours)


def test_camvid() -> None:
    if not CAMVID.is_dir():
        pytest.skip("CamVid is not in ../shared")
    report = import_any(CAMVID, "camvid", Corrections(size=240, ignore=11, train_on="train"))
    assert report.skipped == [] and report.info.shape == (3, 180, 240) and report.info.num_classes == 11
    assert (report.info.train_count, report.info.test_count) == (367, 233)
    found = load_dataset("camvid")
    for split, targets in (("train", found.train_targets), ("test", found.test_targets)):
        for k, path in enumerate(sorted((CAMVID / split / "masks").iterdir())[:20]):
            raw = np.asarray(Image.open(path))
            np.testing.assert_array_equal(targets[k], np.where(raw == 11, IGNORE, raw))
