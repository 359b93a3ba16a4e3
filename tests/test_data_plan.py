"""What is understood of pictures themselves: masks and their values, equal images, endings, and what is in doubt."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factories import encode, noise, pack
from PIL import Image, ImageFilter
from test_images import HEIC

from playground.data.catalog import DataError
from playground.data.importing.class_lists import parse_classes
from playground.data.importing.mask_files import NOTHING
from playground.data.importing.plan import Corrections, Plan, describe
from playground.data.importing.plan_steps import Memo
from playground.data.importing.save import take
from playground.data.importing.understand import understand
from playground.data.load import load_dataset
from playground.metrics import IGNORE

H, W = 32, 48
Files = dict[str, bytes]


def photo(seed: int) -> np.ndarray:
    return noise(seed, H, W)


def labels(seed: int, classes: int = 2) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, classes, (H // 8, W // 8), dtype=np.uint8)
    return small.repeat(8, 0).repeat(8, 1)


def pairs(mask: Callable[[int], bytes], images: str = "images", masks: str = "masks", count: int = 6) -> Files:
    files = {f"{images}/{k}.png": encode(photo(k)) for k in range(count)}
    return files | {f"{masks}/{k}.png": mask(k) for k in range(count)}


def classes(count: int = 4, labels: tuple[str, ...] = ("cat", "dog"), ending: str = ".png") -> Files:
    return {
        f"{label}/{k}{ending}": encode(photo(100 * c + k), "PNG" if ending == ".png" else "JPEG")
        for c, label in enumerate(labels)
        for k in range(count)
    }


def plan_of(files: Files, **said: object) -> Plan:
    return understand(pack(files), Corrections(**said))


def taken(files: Files, **said: object) -> dict[bytes, np.ndarray]:
    """Take in at full size, and return {image: mask}."""
    plan = understand(pack(files), Corrections(**{"size": W} | said)).agreed()
    take(pack(files), plan, "mine")
    found = load_dataset("mine")
    images = np.concatenate([found.train_images, found.test_images])
    masks = np.concatenate([found.train_targets, found.test_targets])
    return {image.tobytes(): mask for image, mask in zip(images, masks, strict=True)}


def mask_of(found: dict[bytes, np.ndarray], k: int) -> np.ndarray:
    return found[np.ascontiguousarray(photo(k).transpose(2, 0, 1)).tobytes()]


# Which kind it is


def test_folders_that_are_called_so_and_hold_no_masks_are_classes() -> None:
    files = {
        f"{label}/{k}.png": encode(photo(100 * c + k)) for c, label in enumerate(("face", "mask")) for k in range(4)
    }
    assert plan_of(files).names == ("face", "mask")


def test_masks_in_folders_called_anyhow_are_asked_about() -> None:
    plan = plan_of(pairs(lambda k: encode(labels(k)), "north", "south"))
    (doubt,) = plan.open_doubts
    assert plan.names == ("north", "south") and "look like their masks" in doubt.question
    assert doubt.choices[1].flags == '--part "north=images" --part "south=masks"'
    other = understand(
        pack(pairs(lambda k: encode(labels(k)), "north", "south")), doubt.answered(Corrections(), doubt.choices[1])
    )
    assert (other.task, other.names, other.open_doubts) == ("segmentation", ("class 0", "class 1"), [])


@pytest.mark.parametrize("ending", ["", ".jfif", ".JPG", ".1234"])
def test_a_picture_is_known_by_its_bytes_where_its_name_does_not_tell(ending: str) -> None:
    files = classes(ending=ending) | {"cat/README": b"hello", "cat/notes.7": b"hello"}
    plan = plan_of(files)
    assert len(plan.items) == 8
    assert plan.left_out == [
        ("cat/README", "Its name is not an image's"),
        ("cat/notes.7", "Its name is not an image's"),
    ]


def test_heic_photos_are_images() -> None:
    files = classes() | {"cat/IMG_1.HEIC": HEIC}
    report = take(pack(files), plan_of(files, size=16), "mine")
    assert report.skipped == [] and report.info.train_count + report.info.test_count == 9


def test_what_is_odd_about_classes_is_said(tmp_path: Path) -> None:
    for name, content in (classes() | {"fish/1.png": encode(photo(900))}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "bird").mkdir()
    zipped = pack(classes() | {"fish/1.png": encode(photo(900)), "bird/": b"", "cat/": b""})
    for source in (tmp_path, zipped):
        remarks = understand(source).remarks
        assert "Empty folders make no class: bird." in remarks
        assert "Of fish there is a single image." in remarks
        assert "No image of fish is held back to test on, so nothing will tell how well it is recognised." in remarks


def test_a_correction_reads_no_file_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source, memo = pack(pairs(lambda k: encode(labels(k)))), Memo()
    first = understand(source, Corrections(), memo)
    reads = []
    read = zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *args, **options: reads.append(args) or read(*args, **options))
    assert understand(source, Corrections(size=64), memo).names == first.names and reads == []


# Black and white


def jpeg(k: int) -> bytes:
    return encode(moved(k) * np.uint8(255), "JPEG", quality=75)


def moved(k: int) -> np.ndarray:
    """Labels whose edges are not those of a JPEG's blocks."""
    return np.roll(labels(k), (3, 3), (0, 1))


def soft(k: int, radius: float = 0.8) -> bytes:
    return encode(np.asarray(Image.fromarray(labels(k) * np.uint8(255)).filter(ImageFilter.GaussianBlur(radius))))


@pytest.mark.parametrize("resave", [False, True])
def test_masks_of_jpegs_are_black_and_white(resave: bool) -> None:
    def made(k: int) -> bytes:
        return encode(np.asarray(Image.open(io.BytesIO(jpeg(k))))) if resave else jpeg(k)

    found = taken(pairs(made))
    for k in range(6):
        assert (mask_of(found, k) == moved(k)).mean() > 0.99
    assert load_dataset("mine").info.classes == ("black", "white")
    plan = plan_of(pairs(made))
    assert plan.ignored == 0 and any("greys from 128 on are white" in remark for remark in plan.remarks)


def test_jpegs_that_are_exact_are_taken_too() -> None:
    flat = pairs(lambda k: encode(labels(k) * np.uint8(255), "JPEG", quality=95))
    black = flat | {"masks/3.png": encode(np.zeros((H, W), np.uint8), "JPEG")}
    for files in (flat, black):
        assert (plan_of(files).names, len(plan_of(files).items)) == (("black", "white"), 6)


def test_where_black_and_white_is_split_can_be_said() -> None:
    def greys(k: int) -> bytes:
        return encode(
            np.where(labels(k), np.uint8(250), np.uint8(5)) - labels(k + 50) * np.uint8(3), "JPEG", quality=90
        )

    assert plan_of(pairs(greys)).names == ("black", "white")
    low = plan_of(pairs(greys), threshold=1).classes
    assert low[1].share > 0.95
    with pytest.raises(DataError, match="a grey from 1 to 255"):
        plan_of(pairs(greys), threshold=300)
    with pytest.raises(DataError, match="which no threshold splits"):
        plan_of(pairs(lambda k: encode(COLOURS[labels(k)])), threshold=9)


def test_soft_edges_are_asked_about() -> None:
    plan = plan_of(pairs(soft))
    (doubt,) = plan.open_doubts
    assert plan.names == ("black", "white") and "neither black nor white" in doubt.question
    assert [choice.flags for choice in doubt.choices] == ["--threshold 128", "--threshold none"]
    each = plan_of(pairs(soft), threshold=NOTHING)
    assert len(each.names) > 10 and each.open_doubts
    softer = plan_of(pairs(lambda k: soft(k, 1)))
    (codes, *_) = softer.open_doubts
    split = understand(pack(pairs(lambda k: soft(k, 1))), codes.answered(Corrections(), codes.choices[1]))
    assert split.names == ("black", "white") and split.open_doubts == []
    softest = pairs(lambda k: soft(k, 2))
    with pytest.raises(
        DataError, match=r"different values, as soft edges make them; .* or split black from white by a thr"
    ):
        plan_of(softest)
    assert plan_of(softest, threshold=128).names == ("black", "white")


@pytest.mark.parametrize("values", [(0, 1, 255), (0, 1, 2, 254, 255), (0, 1), (0, 255), (0, 100, 200)])
def test_exact_masks_are_not_split(values: tuple[int, ...]) -> None:
    def made(k: int) -> bytes:
        return encode(np.array(values, np.uint8)[labels(k, len(values))])

    plan = plan_of(pairs(made))
    if values == (0, 1, 2, 254, 255):  # noise looks so, too
        assert [doubt.key for doubt in plan.open_doubts] == ["threshold"]
    else:
        assert not plan.coding.threshold


def test_what_is_ignored_is_told_by_its_share() -> None:
    plan = plan_of(pairs(lambda k: encode(np.where(np.arange(W) < W // 4, 255, labels(k)).astype(np.uint8))))
    assert plan.ignored == 0.25 and plan.open_doubts == []
    assert "  25.0 % of the pixels have no class" in describe(plan)
    most = plan_of(pairs(lambda k: encode(np.where(np.arange(W) < W * 3 // 4, 255, labels(k)).astype(np.uint8))))
    assert [doubt.key for doubt in most.open_doubts] == ["ignore"]


def test_many_colours_that_hardly_occur_are_asked_about() -> None:
    def noisy(k: int) -> bytes:
        pixels = COLOURS[labels(k)]
        random = np.random.default_rng(k)
        pixels[random.integers(0, H, 3), random.integers(0, W, 3)] = random.integers(0, 256, (3, 3), dtype=np.uint8)
        return encode(pixels)

    assert [doubt.key for doubt in plan_of(pairs(noisy)).open_doubts] == ["codes"]


# Sizes, lists


def test_a_mask_of_half_the_size_is_scaled_without_mixing_its_values() -> None:
    files = pairs(lambda k: encode(labels(k, 3)[::2, ::2]))
    found = taken(files)
    for k in range(6):
        np.testing.assert_array_equal(mask_of(found, k), labels(k, 3))
    assert plan_of(files).remarks[0] == "Of 6 images the mask has another size, and is scaled to the image's."


COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 64]], np.uint8)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nsky,0,0,0\ncar,128,0,0\nroad,0,128,64\n"),
        ("class_dict.csv", "name, red, green, blue\nsky, 0, 0, 0\ncar, 128, 0, 0\nroad, 0, 128, 64\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:0,0,0::\ncar:128,0,0::\nroad:0,128,64::\n"),
    ],
)
@pytest.mark.parametrize("palette", [False, True])
def test_lists_of_tools_with_colours(name: str, text: str, palette: bool) -> None:
    def made(k: int) -> bytes:
        image = Image.fromarray(COLOURS[labels(k, 3)])
        out = io.BytesIO()
        (image.quantize(8) if palette else image).save(out, "PNG")
        return out.getvalue()

    found = taken(pairs(made) | {name: text.encode()})
    assert load_dataset("mine").info.classes == ("sky", "car", "road")
    np.testing.assert_array_equal(mask_of(found, 0), labels(0, 3))


def test_lists_of_tools_with_values() -> None:
    files = pairs(lambda k: encode(labels(k, 3) * np.uint8(7)))
    roboflow = files | {"_classes.csv": b"Pixel Value, Class\n14, road\n0, sky\n7, car\n"}
    found = taken(roboflow)
    assert load_dataset("mine").info.classes == ("road", "sky", "car")
    np.testing.assert_array_equal(mask_of(found, 1), np.array([1, 2, 0])[labels(1, 3)])
    colours = {"sky": [0, 0, 0], "car": [7, 7, 7], "road": [14, 14, 14]}
    supervisely = files | {"obj_class_to_machine_color.json": json.dumps(colours).encode()}
    assert plan_of(supervisely).names == ("sky", "car", "road")


@pytest.mark.parametrize("value", ["-1", "65536", "9" * 30, "x", "9" * 5000])
def test_a_value_that_cannot_be_is_one_line(value: str) -> None:
    with pytest.raises(DataError, match=r"_classes\.csv is no list of classes") as error:
        parse_classes(f"Pixel Value, Class\n0, sky\n{value}, road\n".encode(), "_classes.csv")
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_a_list_that_names_255_makes_it_a_class() -> None:
    files = pairs(lambda k: encode(labels(k, 3).astype(np.uint8) * np.uint8(127) + (labels(k, 3) == 2)))
    plan = plan_of(files | {"_classes.csv": b"Pixel Value, Class\n0, a\n127, b\n255, c\n"})
    assert plan.names == ("a", "b", "c") and plan.ignored == 0 and plan.open_doubts == []


def test_names_in_a_list_have_no_control_characters() -> None:
    found = parse_classes("sk\u200by\x85\nro\u202ead\x07".encode(), "classes.txt")
    assert found.names == ("sky", "road")
    assert IGNORE == 255


# Corrections


def test_classes_are_renamed() -> None:
    plan = plan_of(classes(), names={"dog": "hound"})
    assert plan.names == ("cat", "hound") and {item.label for item in plan.items} == {"cat", "hound"}
    masks = plan_of(pairs(lambda k: encode(labels(k))), names={"class 1": "thing"})
    assert masks.names == masks.coding.classes == ("class 0", "thing")
    for names, line in (({"x": "y"}, "there is no class 'x'"), ({"cat": "\u200b"}, "a name that can be seen")):
        with pytest.raises(DataError, match=line):
            plan_of(classes(), names=names)


def test_what_was_understood_is_told_in_lines() -> None:
    lines = describe(plan_of(pairs(lambda k: encode(labels(k)))))
    assert lines[0] == (
        "understood: a label for each pixel: 2 classes, 5 images to learn from and 1 to test on, held back at random, "
        "each 128 × 85 pixels"
    )
    assert lines[3:] == ["  folder images: images, 6 images", "  folder masks: masks, 6 images"]
