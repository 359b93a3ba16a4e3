"""How public data sets and tools lay out their images, as lists of names: which label, mask and part each has."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest

from playground.data.catalog import DataError
from playground.data.importing import names
from playground.data.importing.layout import Layout, arrange


def spread(text: str) -> list[PurePosixPath]:
    """List paths; "cat/{1-3}.jpg" stands for three."""
    found = []
    for word in text.split():
        head, _, rest = word.partition("{")
        numbers, _, tail = rest.partition("}")
        first, _, last = numbers.partition("-")
        words = [f"{head}{k}{tail}" for k in range(int(first), int(last) + 1)] if numbers else [word]
        found += [PurePosixPath(word.replace("~", " ")) for word in words]
    return found


def understood(text: str, tables: dict[str, str] | None = None, **said: object) -> Layout:
    raw = {PurePosixPath(name): content.encode() for name, content in (tables or {}).items()}
    return arrange(spread(text), raw, said.pop("forced", {}), **said)


def places(layout: Layout) -> dict[str, tuple]:
    """Return {image: (part, label)}."""
    return {str(item.path): (item.part, item.label) for item in layout.items}


def partners(layout: Layout) -> dict[str, tuple]:
    """Return {image: (part, mask)}."""
    return {str(item.path): (item.part, str(item.mask)) for item in layout.items}


def parts(pairs: Iterable[tuple]) -> set[tuple]:
    return set(pairs)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cat/{1-3}.jpg dog/{1-3}.jpg", {(None, "cat"), (None, "dog")}),
        ("PetImages/Cat/{1-3}.jpg PetImages/Dog/{1-3}.jpg", {(None, "Cat"), (None, "Dog")}),
        # Intel Image Classification
        (
            "seg_train/seg_train/sea/{1-3}.jpg seg_train/seg_train/forest/{1-3}.jpg "
            "seg_test/seg_test/sea/{1-2}.jpg seg_test/seg_test/forest/{1-2}.jpg seg_pred/seg_pred/{1-9}.jpg",
            {("train", "sea"), ("train", "forest"), ("test", "sea"), ("test", "forest")},
        ),
        # Chest X-ray
        (
            "chest_xray/train/NORMAL/{1-3}.jpeg chest_xray/train/PNEUMONIA/{1-3}.jpeg chest_xray/val/NORMAL/1.jpeg "
            "chest_xray/val/PNEUMONIA/1.jpeg chest_xray/test/NORMAL/{1-2}.jpeg chest_xray/test/PNEUMONIA/{1-2}.jpeg",
            {(part, label) for part in ("train", "val", "test") for label in ("NORMAL", "PNEUMONIA")},
        ),
        ("Training~Set/a/{1-3}.jpg Training~Set/b/{1-3}.jpg Test~Set/a/1.jpg Test~Set/b/1.jpg", {
            ("train", "a"), ("train", "b"), ("test", "a"), ("test", "b"),
        }),
        ("TRAIN/a/{1-3}.jpg TRAIN/b/{1-3}.jpg dev/a/1.jpg dev/b/1.jpg", {
            ("train", "a"), ("train", "b"), ("val", "a"), ("val", "b"),
        }),
        # The split inside of the classes
        ("cat/train/{1-3}.jpg cat/test/4.jpg dog/train/{1-3}.jpg dog/test/4.jpg", {
            ("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog"),
        }),
        # ImageNet and Tiny ImageNet
        ("train/n01/images/{1-3}.JPEG train/n02/images/{1-3}.JPEG val/images/{1-3}.JPEG test/images/{1-3}.JPEG", {
            (None, "n01"), (None, "n02"),
        }),
        # A test folder whose images have no class
        ("train/cat/{1-3}.jpg train/dog/{1-3}.jpg test/test/{1-5}.jpg", {(None, "cat"), (None, "dog")}),
        ("train/cat/{1-3}.jpg train/dog/{1-3}.jpg test/unknown/{1-5}.jpg", {(None, "cat"), (None, "dog")}),
        ("train/cat/{1-3}.jpg train/dog/{1-3}.jpg unlabeled/{1-5}.jpg", {(None, "cat"), (None, "dog")}),
        # Words that are classes: nothing of a split, nothing of masks
        ("train/{1-3}.jpg bus/{1-3}.jpg car/{1-3}.jpg", {(None, "train"), (None, "bus"), (None, "car")}),
        ("with_mask/{1-3}.jpg without_mask/{1-3}.jpg", {(None, "with_mask"), (None, "without_mask")}),
        ("photos/{1-3}.jpg drawings/{1-3}.jpg", {(None, "photos"), (None, "drawings")}),
        ("test~tube/{1-3}.jpg flask/{1-3}.jpg", {(None, "test tube"), (None, "flask")}),
        # Loose images beside
        ("data/a/{1-3}.jpg data/b/{1-3}.jpg sample.jpg data/logo.png", {(None, "a"), (None, "b")}),
        ("Cat/{1-3}.jpg a\u200bb/{1-3}.jpg", {(None, "Cat"), (None, "ab")}),
        # Names
        ("train/cat.{0-5}.jpg train/dog.{0-5}.jpg test1/{1-9}.jpg", {(None, "cat"), (None, "dog")}),
        ("train/cat.{0-5}.jpg train/dog.{0-5}.jpg test/{1-9}.jpg", {(None, "cat"), (None, "dog")}),
        ("images/Siamese_{1-3}.jpg images/great_pyrenees_{1-3}.jpg", {(None, "Siamese"), (None, "great_pyrenees")}),
    ],
)  # fmt: skip
def test_classes_and_parts(text: str, wanted: set[tuple]) -> None:
    layout = understood(text)
    assert layout.task == "classification" and parts(places(layout).values()) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("images/{1-3}.jpg masks/{1-3}.png", {"images/1.jpg": (None, "masks/1.png")}),
        # Carvana
        (
            "train/a_{1-3}.jpg train_masks/a_{1-3}_mask.gif test/b_{1-3}.jpg",
            {"train/a_1.jpg": (None, "train_masks/a_1_mask.gif")},
        ),
        # ADE20K
        (
            "ADE/images/training/{1-3}.jpg ADE/annotations/training/{1-3}.png "
            "ADE/images/validation/{4-5}.jpg ADE/annotations/validation/{4-5}.png",
            {"ADE/images/training/1.jpg": ("train", "ADE/annotations/training/1.png"),
             "ADE/images/validation/4.jpg": ("val", "ADE/annotations/validation/4.png")},
        ),
        # Cityscapes
        (
            "leftImg8bit/train/ulm/ulm_{1-3}_leftImg8bit.png gtFine/train/ulm/ulm_{1-3}_gtFine_labelIds.png "
            "gtFine/train/ulm/ulm_{1-3}_gtFine_color.png gtFine/train/ulm/ulm_{1-3}_gtFine_instanceIds.png "
            "leftImg8bit/val/bonn/bonn_{1-2}_leftImg8bit.png gtFine/val/bonn/bonn_{1-2}_gtFine_labelIds.png",
            {"leftImg8bit/train/ulm/ulm_1_leftImg8bit.png": ("train", "gtFine/train/ulm/ulm_1_gtFine_labelIds.png"),
             "leftImg8bit/val/bonn/bonn_1_leftImg8bit.png": ("val", "gtFine/val/bonn/bonn_1_gtFine_labelIds.png")},
        ),
        # Pascal VOC
        (
            "VOC2012/JPEGImages/2007_{1-9}.jpg VOC2012/SegmentationClass/2007_{1-3}.png "
            "VOC2012/SegmentationObject/2007_{1-3}.png",
            {"VOC2012/JPEGImages/2007_1.jpg": (None, "VOC2012/SegmentationClass/2007_1.png")},
        ),
        # ISIC
        (
            "ISIC2018_Task1-2_Training_Input/ISIC_{1-3}.jpg "
            "ISIC2018_Task1_Training_GroundTruth/ISIC_{1-3}_segmentation.png",
            {"ISIC2018_Task1-2_Training_Input/ISIC_1.jpg":
             (None, "ISIC2018_Task1_Training_GroundTruth/ISIC_1_segmentation.png")},
        ),
        # DeepGlobe, BUSI
        ("train/{1-3}_sat.jpg train/{1-3}_mask.png", {"train/1_sat.jpg": (None, "train/1_mask.png")}),
        (
            "BUSI/benign/benign~({1-3}).png BUSI/benign/benign~({1-3})_mask.png "
            "BUSI/normal/normal~({1-3}).png BUSI/normal/normal~({1-3})_mask.png",
            {"BUSI/benign/benign (1).png": (None, "BUSI/benign/benign (1)_mask.png")},
        ),
        # Others
        ("x/img_{1-3}.jpg x/mask_{1-3}.png", {"x/img_1.jpg": (None, "x/mask_1.png")}),
        ("Images/img_{1-3}.jpg Masks/mask_{1-3}.png", {"Images/img_1.jpg": (None, "Masks/mask_1.png")}),
        ("photos/{1-3}.jpg labels/{1-3}.png", {"photos/1.jpg": (None, "labels/1.png")}),
        ("img/{1-3}.jpg gt/{1-3}.png", {"img/1.jpg": (None, "gt/1.png")}),
        ("inputs/{1-3}.jpg targets/{1-3}.png", {"inputs/1.jpg": (None, "targets/1.png")}),
        (
            "train/images/{1-3}.jpg train/masks/{1-3}.png val/images/{1-3}.jpg val/masks/{1-3}.png",
            {"train/images/1.jpg": ("train", "train/masks/1.png"), "val/images/1.jpg": ("val", "val/masks/1.png")},
        ),
        (
            "trainImages/{1-3}.jpg trainMasks/{1-3}.png testImages/{1-2}.jpg testMasks/{1-2}.png",
            {"trainImages/1.jpg": ("train", "trainMasks/1.png"), "testImages/1.jpg": ("test", "testMasks/1.png")},
        ),
    ],
)  # fmt: skip
def test_masks_and_parts(text: str, wanted: dict[str, tuple]) -> None:
    layout = understood(text)
    assert layout.task == "segmentation"
    found = partners(layout)
    assert {path: found.get(path) for path in wanted} == wanted


def test_a_mask_lies_on_no_other_image() -> None:
    layout = understood("images/a/{1-3}.jpg images/b/{1-3}.jpg masks/a/{1-3}.png masks/b/{2-4}.png")
    found = {path: mask for path, (_, mask) in partners(layout).items()}
    assert found == {
        **{f"images/a/{k}.jpg": f"masks/a/{k}.png" for k in (1, 2, 3)},
        **{f"images/b/{k}.jpg": f"masks/b/{k}.png" for k in (2, 3)},
    }
    assert sorted(layout.left_out) == [("images/b/1.jpg", "It has no mask"), ("masks/b/4.png", "It has no image")]


def test_folders_of_images_and_masks_that_do_not_fit_are_no_classes() -> None:
    with pytest.raises(DataError, match=r"no mask fits an image; a mask is called like its image: 7\.jpg"):
        understood("images/a{1-3}.jpg labels/b{1-3}.png")


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("labels.csv", "id,label\n" + "\n".join(f"{k},{'cat' if k % 2 else 'dog'}" for k in range(6))),
        ("train.csv", "image_id,label\n" + "\n".join(f"{k}.jpg,{'cat' if k % 2 else 'dog'}" for k in range(6))),
        ("labels.csv", "\n".join(f"train/{k}.jpg;{'cat' if k % 2 else 'dog'}" for k in range(6))),
        ("list.tsv", "label\tage\tfile\n" + "\n".join(f"{'cat' if k % 2 else 'dog'}\t3\t{k}.jpg" for k in range(6))),
        ("_classes.csv", "filename, cat, dog\n" + "\n".join(f"{k}.jpg, {k % 2}, {1 - k % 2}" for k in range(6))),
    ],
)
def test_labels_in_a_table(name: str, table: str) -> None:
    layout = understood("train/{0-5}.jpg test/{0-3}.jpg", {name: table})
    labels = {path: label for path, (_, label) in places(layout).items() if path.startswith("train")}
    assert layout.labels_from == name
    assert labels == {f"train/{k}.jpg": "cat" if k % 2 else "dog" for k in range(6)}


def test_a_table_of_something_else_is_no_table_of_labels() -> None:
    layout = understood("{0-5}.jpg", {"sizes.csv": "id,width,height\n" + "\n".join(f"{k},3,{k}" for k in range(6))})
    assert layout.items == [] and layout.labels_from == "folders"
    assert {why for _, why in layout.left_out} == {"It is in no class folder"}


def test_what_a_person_says_of_a_folder_goes_before_its_name() -> None:
    text = "north/a/{1-3}.jpg north/b/{1-3}.jpg south/a/{4-5}.jpg south/b/{4-5}.jpg"
    assert understood(text).classes == ("north", "south")
    said = understood(text, forced={"north": "train", "south": "test"})
    assert said.classes == ("a", "b") and {part for part, _ in places(said).values()} == {"train", "test"}
    assert understood(text, depth=1).classes == ("a", "b")
    assert understood(text, forced={"south": "left out"}).classes == ("a", "b")
    pairs = understood("x/{1-3}.jpg y/{1-3}.png", forced={"x": "images", "y": "masks"})
    assert partners(pairs) == {f"x/{k}.jpg": (None, f"y/{k}.png") for k in (1, 2, 3)}
    assert understood("images/{1-3}.jpg masks/{1-3}.png", task="classification").classes == ("images", "masks")
    for forced, line in (
        ({"x": "sheep"}, "is no part of a folder"),
        ({"nowhere": "class"}, "there is no folder nowhere"),
    ):
        with pytest.raises(DataError, match=line):
            understood("x/1.jpg", forced=forced)


def test_long_names_that_begin_alike_stay_two_classes_and_numbers_are_in_their_order() -> None:
    long = "a/{1-2}.jpg".replace("a", "x" * 70 + "a", 1) + " " + "a/{1-2}.jpg".replace("a", "x" * 70 + "b", 1)
    assert len(understood(long).classes) == 2 and all(len(name) <= 60 for name in understood(long).classes)
    numbers = " ".join(f"{k}/{{1-2}}.jpg" for k in (0, 1, 2, 10, 11, 100))
    assert understood(numbers).classes == ("0", "1", "2", "10", "11", "100")
    digits = f"{'9' * 5000}/{{1-2}}.jpg {'8' * 5000}/{{1-2}}.jpg 7/1.jpg"
    assert [name[0] for name in understood(digits).classes] == ["7", "8", "9"]
    assert understood("Cat/{1-2}.jpg cat/{3-4}.jpg dog/{1-2}.jpg").merged == ["Cat and cat"]


def test_the_work_grows_with_the_folders_and_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    tokens = names.tokens
    monkeypatch.setattr(names, "tokens", lambda name: asked.append(name) or tokens(name))
    counts = []
    for folders in (100, 400):
        asked.clear()
        layout = arrange([PurePosixPath(f"set/c{k % folders}/{k}.jpg") for k in range(2 * folders)], {}, {})
        assert len(layout.classes) == folders
        counts.append(len(asked))
    assert counts[1] < 5 * counts[0]
