"""Public data sets' layouts and tools' names: each zip of ../shared/cases ends in what its README states."""

from pathlib import Path

import pytest

from playground.data.catalog import DataError
from playground.data.importing.plan import Corrections
from playground.data.importing.save import import_any, take
from playground.data.importing.understand import understand
from playground.data.load import load_dataset

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
NOT_DATA = ("run_", "inject_", "tiny-own-run")
"""How zips of runs begin."""

BLACK_WHITE = ("black", "white")
LONG = "a very long folder name of a"
CLASSES: dict[str, tuple[str, ...]] = {
    "class-lists/s_classes_csv": ("background", "thing"),
    "class-only-in-test-masks/s_novalue_test": ("class 0", "class 1", "class 2"),
    "extensions/jfif": ("cat", "dog"),
    "false-overfitting/own_small": ("cat", "truck"),
    "hostile/c1_controls": ("catx", "dog31m"),
    "hostile/merge60": (
        f"{LONG} … a biology class may use male",
        f"{LONG} … biology class may use female",
        "other",
    ),
    "jpeg-masks-saved-as-png/s_jpg2png_q75": BLACK_WHITE,
    "jpeg-masks-saved-as-png/s_jpg2png_q95": BLACK_WHITE,
    "jpeg-masks-saved-as-png/s_jpg2png_rgb": BLACK_WHITE,
    "jpeg-masks/s_jpegmask": BLACK_WHITE,
    "labels-not-in-folders/csv": ("cat", "dog"),
    "labels-not-in-folders/flat_names": ("cat", "dog"),
    "markup-in-class-names/emoji": ("#hash", "$x$ *y*", "<b>x<", "a|b", "🐱 cat"),
    "mask-names/s_isic": ("class 0", "class 1"),
    "mask-of-other-size/s_halfmask": ("class 0", "class 1"),
    "masks-under-other-names/s_camvid2": ("class 0", "class 1"),
    "masks-under-other-names/s_camvid_kaggle": ("Sky", "Car"),
    "masks-under-other-names/s_cvat": ("background", "car"),
    "masks-under-other-names/s_image_mask": ("class 0", "class 1"),
    "masks-under-other-names/s_imgs": ("class 0", "class 1"),
    "masks-under-other-names/s_labels": ("class 0", "class 1"),
    "masks-under-other-names/s_pets": ("class 1", "class 2"),
    "masks-under-other-names/s_roboflow": ("background", "thing"),
    "masks-under-other-names/s_supervisely": ("class 0", "class 1"),
    "masks-under-other-names/s_vocnames": ("class 0", "class 15"),
    "names-that-differ-in-case/dupnames": ("cat", "dog"),
    "numeric-class-names/digits_names": ("0", "1", "2", "10"),
    "numeric-class-names/signs": tuple(map(str, range(12))),
    "rare-class/imbalanced": ("common", "rare", "rare2"),
    "splits-under-other-names/kaggle_catdog": ("cat", "dog"),
    "splits-under-other-names/test_unlabelled": ("cat", "dog"),
    "splits-under-other-names/train_images": ("NORMAL", "PNEUMONIA"),
    "wrapper-with-loose-image/wrapped_img_out": ("NORMAL", "PNEUMONIA"),
    "zip-names-of-old-systems/backslash": ("cat", "dog"),
    "zip-names-of-old-systems/gbk": ("狗", "猫"),
}
"""What is taken without a word from a person."""
REFUSED = {
    "extensions/heic": "This HEIC file is cut off or damaged",
    "hostile/badutf8_flag": "list of contents is damaged",
    "hostile/cd_offset": "damaged or cannot be unpacked",
    "hostile/empty_name": "an entry without a name",
    "hostile/unicode-path-extra-field": "an entry without a name",
    "hostile/version99": "packed in a way that cannot be read",
    "same-image-in-two-classes/blackimages": "the same image lies in two classes, a/0.png and b/0.png",
}
DOUBTED = {
    "same-image-in-two-classes/conflict": (("a", "b"), "1 image with two labels, as a/same.png and b/same.png"),
    "third-class-is-255/s_three255": (("class 0", "class 128"), "255 is on 12.5 % of their pixels"),
}
NAMED_BY_MARKUP = ("hostile/xss_classes", "hostile/xss_maskclasses")
SAID = {
    "class-only-in-test-masks/s_novalue_test": "class 2 occurs in the test masks only, so the network cannot learn it.",
    "labels-not-in-folders/csv": "The labels are read from labels.csv.",
    "mask-of-other-size/s_halfmask": "Of 8 images the mask has another size, and is scaled to the image's.",
    "rare-class/imbalanced": "Of rare there is a single image.",
    "jpeg-masks/s_jpegmask": "The masks are black and white but for noise: greys from 128 on are white.",
}
LEFT_OUT = {
    "masks-under-other-names/s_cvat": "SegmentationObject/0.png",
    "splits-under-other-names/test_unlabelled": "test/0.jpg",
    "wrapper-with-loose-image/wrapped_img_out": "sample.jpg",
}


def case(name: str) -> Path:
    if not CASES.is_dir():
        pytest.skip(f"there is no {CASES}")
    return CASES / f"{name}.zip"


def test_every_zip_of_images_is_here() -> None:
    if not CASES.is_dir():
        pytest.skip(f"there is no {CASES}")
    found = {str(path.relative_to(CASES).with_suffix("")) for path in CASES.glob("*/*.zip")}
    data = {name for name in found if not name.split("/")[1].startswith(NOT_DATA)}
    assert data <= {*CLASSES, *REFUSED, *DOUBTED, *NAMED_BY_MARKUP}


@pytest.mark.parametrize("name", CLASSES)
def test_the_classes_are_those_of_the_readme(name: str) -> None:
    plan = understand(case(name))
    assert plan.names == CLASSES[name] and plan.open_doubts == []
    if remark := SAID.get(name):
        assert remark in plan.remarks
    if path := LEFT_OUT.get(name):
        assert path in [left for left, _ in plan.left_out]
    info = take(case(name), plan, "case").info
    assert (info.classes, info.task) == (plan.names, plan.task)
    assert (info.train_count, info.test_count) == (plan.train_count, sum(plan.test))
    masks = name.split("/")[0] in ("class-lists", "third-class-is-255") or "mask" in name
    assert (info.task == "segmentation") == masks


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(DataError, match=REFUSED[name]) as error:
        understand(case(name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", DOUBTED)
def test_what_is_in_doubt_waits_for_an_answer(name: str) -> None:
    classes, question = DOUBTED[name]
    plan = understand(case(name))
    assert plan.names == classes and [question in doubt.question for doubt in plan.open_doubts] == [True]
    with pytest.raises(DataError, match="answer it first"):
        import_any(case(name), "case")
    take(case(name), plan.agreed(), "case")
    assert load_dataset("case").info.classes == classes


def test_255_may_be_said_to_be_a_class() -> None:
    plan = understand(case("third-class-is-255/s_three255"))
    (doubt,) = plan.open_doubts
    assert [choice.flags for choice in doubt.choices] == ["--ignore 255", "--ignore none"]
    other = understand(case("third-class-is-255/s_three255"), doubt.answered(Corrections(), doubt.choices[1]))
    assert other.names == ("class 0", "class 128", "class 255") and other.open_doubts == [] and other.ignored == 0


@pytest.mark.parametrize("name", NAMED_BY_MARKUP)
def test_markup_in_names_stays_text(name: str) -> None:
    plan = understand(case(name))
    assert any("<script>" in label for label in plan.names) and plan.open_doubts == []
