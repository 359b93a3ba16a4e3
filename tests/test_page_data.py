"""The Data page without a browser: what it says of each set, getting one, taking one in, deleting it."""

import base64
import io
import zipfile

import numpy as np
import pytest
from factories import encode, noise, pack
from PIL import Image
from ui_support import app_home, click, errors, open_page, run, texts, unpacked

from playground.data import catalog, own, shapes
from playground.data.catalog import CATALOG
from playground.data.shapes import LIMITS, Difficulty
from playground.images import fit_to
from playground.jobs import fetch
from playground.jobs.fetch import FetchProgress
from playground.plots.masks import PALETTE
from playground.tasks import TASKS
from playground.ui.pages.data import datasets

__all__ = ["app_home", "unpacked"]


@pytest.fixture(scope="module")
def home_of_own(tmp_path_factory):
    """A home with the bundled images in it; imports and deletions stay inside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        yield


pytestmark = pytest.mark.usefixtures("home_of_own")


def archive(classes=("cat", "dog"), count: int = 5, extra: dict[str, bytes] | None = None) -> bytes:
    """A zip with a folder of noise for each class, no two images the same."""
    names = [f"{label}/{i}.png" for label in classes for i in range(count)]
    files = {name: encode(noise(seed, 20, 30)) for seed, name in enumerate(names)}
    return pack(files | (extra or {})).getvalue()


def choose(at, content: bytes, file_name: str = "My pets.zip"):
    """Choose a zip; what was understood of it is shown."""
    at.file_uploader(key="import_file").upload(file_name, content)
    return run(at)


def take_in(at, content: bytes, name: str = "", file_name: str = "My pets.zip"):
    choose(at, content, file_name)
    at.text_input(key="import_name").set_value(name)
    return click(at, "import_go")


def keys(at) -> set[str]:
    return {button.key for button in at.button}


def test_every_set_with_all_that_is_known_of_it():
    at = open_page("data")
    words = texts(at)
    for info in CATALOG.values():
        assert f"**{info.title}**" in words
        assert f"{info.train_count:,} training and {info.test_count:,} test images" in words
        for fact in (info.licence, info.source, info.citation, ", ".join(info.classes[:12])):
            assert fact in words
        assert (f"download_{info.name}" in keys(at)) == (not info.bundled)
    assert words.count("Part of the app") == 2
    assert words.count("Not on this machine") == len(CATALOG) - 2
    assert "… and 88 more" in words  # CIFAR-100
    assert "32 × 32 pixels, colour" in words and "160 × 120 pixels, colour" in words


def alts(at) -> list[str]:
    return [image.proto.imgs[0].alt for image in at.get("image")]


def test_the_bundled_sets_show_their_images_with_an_alt_text():
    shown = alts(open_page("data"))
    assert "Training images of CIFAR-10 mini, the classes in turn" in shown
    assert (
        "Training images of Shapes, a label for each pixel, each above its mask in the colours of the classes" in shown
    )


def test_images_with_masks_are_the_same_before_and_after_they_are_all_drawn(monkeypatch):
    sheet, masks = datasets.pairs("shapes", 0)
    assert not catalog.is_ready("shapes")
    assert sheet.shape == (2 * 128, 5 * 128, 3) and masks.shape == (5, 64, 64)
    images, expected = shapes.generate(5, 64, 0, Difficulty())
    np.testing.assert_array_equal(masks, expected)
    np.testing.assert_array_equal(sheet[:128:2, 128:256:2], images[1].transpose(1, 2, 0))
    np.testing.assert_array_equal(sheet[128::2, 128:256:2], PALETTE[expected[1]])


def test_the_samples_are_the_classes_in_turn():
    sheet = datasets.samples("cifar10-mini", 0)
    assert sheet.shape == (2 * 64, 10 * 64, 3)
    data = datasets.store.open_arrays("cifar10-mini")
    first = np.asarray(data.train_images[int(np.argmax(data.train_targets == 3))])
    np.testing.assert_array_equal(sheet[:64:2, 3 * 64 : 4 * 64 : 2], first.transpose(1, 2, 0))


def test_a_link_to_a_set_of_digits_asks_for_no_flips():
    assert datasets._knobs(catalog.find_info("mnist")) == {"dataset": "mnist", "flip": "false"}
    assert datasets._knobs(catalog.find_info("cifar10")) == {"dataset": "cifar10"}


def test_train_on_it_is_a_link_with_the_set():
    link = next(link for link in open_page("data").page_link if link.value == "Train on it")
    assert "dataset=cifar10-mini" in str(link.proto)


# Getting one


def test_download_starts_one(monkeypatch):
    started = []
    monkeypatch.setattr(fetch, "start_fetch", started.append)
    click(open_page("data"), "download_mnist")
    assert started == ["mnist"]


def test_a_download_that_does_not_start_is_one_line(monkeypatch):
    def fail(name: str) -> None:
        raise catalog.DataError("the download of mnist does not start; see the log")

    monkeypatch.setattr(fetch, "start_fetch", fail)
    at = click(open_page("data"), "download_mnist")
    assert errors(at) == ["the download of mnist does not start; see the log"]


def test_progress_and_cancel(monkeypatch):
    stopped, states = [], {"svhn": FetchProgress("running", 50_000_000, 200_000_000, "Downloading train_32x32.mat")}
    monkeypatch.setattr(fetch, "read_progress", lambda name: states.get(name, FetchProgress()))
    monkeypatch.setattr(fetch, "cancel_fetch", stopped.append)
    at = open_page("data")
    assert [bar.value for bar in at.progress] == [25]
    assert at.progress[0].text == "Downloading train_32x32.mat · 50 MB of 200 MB"
    assert "download_svhn" not in keys(at)
    click(at, "cancel_svhn")
    assert stopped == ["svhn"]
    states["svhn"] = FetchProgress("cancelled", 50_000_000, 200_000_000)
    run(at)
    assert not at.progress
    assert "download_svhn" in keys(at)
    assert "Cancelled; the next download goes on from there." in texts(at)


def test_a_failed_download_says_why(monkeypatch):
    line = "no connection to www.cs.toronto.edu; check the network, and download it again"
    monkeypatch.setattr(
        fetch,
        "read_progress",
        lambda name: FetchProgress("failed", 0, 0, line) if name == "cifar10" else FetchProgress(),
    )
    at = open_page("data")
    assert errors(at) == [line]
    assert "download_cifar10" in keys(at)  # to try again


# A person's own


def classes_shown(at) -> dict[str, list]:
    table = next(frame.value for frame in at.dataframe if "Class" in frame.value).to_dict("list")
    return {column: values for column, values in table.items() if column != "Samples"}


def left_out_shown(at) -> list[str]:
    return sorted(next((frame.value["File"] for frame in at.dataframe if "File" in frame.value), []))


def test_a_zip_is_shown_before_it_is_taken_and_then_its_card():
    broken = {"cat/notes.txt": b"no image", "dog/torn.png": b"\x89PNG\r\n\x1a\n"}
    at = choose(open_page("data"), archive(extra=broken))
    assert "one label an image: 2 classes, 8 images to learn from and 2 to test on, held back at random" in texts(at)
    assert classes_shown(at) == {"Class": ["cat", "dog"], "To learn from": [4, 4], "To test on": [1, 1]}
    rows = next(frame.value for frame in at.dataframe if "Samples" in frame.value)["Samples"]
    sheets = [Image.open(io.BytesIO(base64.b64decode(row.split(",")[1]))) for row in rows]
    assert [sheet.size for sheet in sheets] == [(5 * 33, 33)] * 2  # five images of each, parted by a line
    first = Image.open(io.BytesIO(zipfile.ZipFile(io.BytesIO(archive())).read("cat/0.png")))
    shown = np.asarray(sheets[0])[:32, :32].transpose(2, 0, 1)
    np.testing.assert_array_equal(shown, fit_to(np.asarray(first), 32, 3))
    assert left_out_shown(at) == ["cat/notes.txt", "dog/torn.png"]
    assert [info.name for info in catalog.list_available()] == list(CATALOG)
    at.select_slider(key="import_fix_size_classification").set_value(24)
    at.text_area(key="import_names").set_value("tom\nrex")
    at.text_input(key="import_name").set_value("My pets")
    click(at, "import_go")
    assert not errors(at)
    info = catalog.find_info("my-pets")
    assert (info.classes, info.size, info.train_count, info.test_count) == (("tom", "rex"), 24, 8, 2)
    assert "2 classes, 8 training and 2 test images of 24 × 24 pixels." in at.success[0].value
    assert left_out_shown(at) == ["cat/notes.txt", "dog/torn.png"]
    assert texts(at).count(f"**{info.title}** :gray") == 1  # above the others, and not among them again
    assert "dataset=my-pets" in str(next(link for link in at.page_link if link.value == "Train on it").proto)  # in view
    assert f"Training images of {info.title}, the classes in turn" in alts(at)

    assert "delete_yes_cifar10-mini" not in keys(at)
    click(at, "delete_yes_my-pets")
    assert not catalog.is_ready("my-pets")
    assert f"**{info.title}**" not in texts(at)


def test_the_name_of_the_zip_is_the_name_where_none_is_given():
    take_in(open_page("data"), archive())
    assert catalog.is_ready("my-pets")
    own.delete_dataset("my-pets")


def test_the_page_and_the_command_line_take_the_same_size():
    take_in(open_page("data"), archive())
    assert catalog.find_info("my-pets").size == TASKS["classification"].side
    own.delete_dataset("my-pets")


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"no zip", "this is not a zip file"), (archive(classes=("cat",)), "only the class cat")],
)
def test_what_cannot_be_understood_is_one_line(content, line):
    at = choose(open_page("data"), content)
    assert len(errors(at)) == 1
    assert line in errors(at)[0]
    assert not [button for button in at.button if button.key == "import_go" and not button.disabled]


@pytest.mark.parametrize(
    ("name", "line"), [("cifar10", "already; choose another name"), ("!!!", "cannot be a data set's name")]
)
def test_a_name_that_cannot_be_is_one_line_and_the_preview_stays(name, line):
    at = take_in(open_page("data"), archive(), name)
    assert len(errors(at)) == 1
    assert line in errors(at)[0]
    assert classes_shown(at)["Class"] == ["cat", "dog"]
    assert [info.name for info in catalog.list_available()] == list(CATALOG)


def test_nothing_said_of_a_file_stays_when_another_is_chosen():
    at = take_in(open_page("data"), archive())
    assert at.success
    choose(at, b"no zip")
    assert not at.success and len(errors(at)) == 1 and not [f for f in at.dataframe if "Class" in f.value]
    choose(at, archive(("sun", "moon")), "sky.zip")
    assert not errors(at) and classes_shown(at)["Class"] == ["moon", "sun"]
    at.selectbox(key="import_fix_part_sun").set_value("left out")
    run(at)
    assert "only the class moon" in errors(at)[0]
    choose(at, archive(("sun", "moon")), "again.zip")
    assert not errors(at) and at.selectbox(key="import_fix_part_sun").value is None
    own.delete_dataset("my-pets")


def test_import_waits_until_a_doubt_is_answered():
    files = {f"both/{k}.png": content for k, content in enumerate(loose_pictures(3))}
    same = {"cat/same.png": files["both/0.png"], "dog/same.png": files["both/0.png"]}
    at = choose(open_page("data"), archive(extra=same))
    assert at.button(key="import_go").disabled
    (doubt,) = at.radio
    assert "1 image with two labels, as cat/same.png and dog/same.png" in doubt.label
    doubt.set_value("Leave them out")
    run(at)
    assert not at.button(key="import_go").disabled
    click(at, "import_go")
    assert catalog.find_info("my-pets").train_count == 8
    own.delete_dataset("my-pets")


def loose_pictures(count: int) -> list[bytes]:
    """Pictures that are in no archive."""
    return [encode(noise(99 + k, 20, 30)) for k in range(count)]


def test_a_folder_may_be_said_to_play_another_part():
    first, second, third = loose_pictures(3)
    extra = {"cat/hard/1.png": first, "dog/hard/1.png": second, "notes/1.png": third}
    at = choose(open_page("data"), archive(extra=extra))
    assert classes_shown(at)["Class"] == ["cat", "dog", "notes"]
    at.selectbox(key="import_fix_part_notes").set_value("left out")
    run(at)
    assert classes_shown(at) == {"Class": ["cat", "dog"], "To learn from": [5, 5], "To test on": [1, 1]}
    assert left_out_shown(at) == ["notes/1.png"]
    click(at, "import_go")
    assert catalog.find_info("my-pets").classes == ("cat", "dog")
    own.delete_dataset("my-pets")


def masks_archive(extra: dict[str, bytes] | None = None) -> bytes:
    """A zip with images/ and masks/ of 40 × 30 pixels and two classes."""
    mask = np.repeat([[0, 1]], 30, 0).repeat(20, 1).astype(np.uint8)
    images = {f"images/{i}.png": encode(noise(i, 30, 40)) for i in range(6)}
    masks = {f"masks/{i}.png": encode(mask) for i in range(6)}
    return pack(images | masks | (extra or {})).getvalue()


def test_masks_are_laid_over_their_images_and_taken_in():
    at = choose(open_page("data"), masks_archive({"masks/9.png": b"no image"}), "streets.zip")
    assert "a label for each pixel: 2 classes, 5 images to learn from and 1 to test on" in texts(at)
    assert classes_shown(at) == {
        "Class": ["class 0", "class 1"],
        "To learn from": [5, 5],
        "To test on": [1, 1],
        "Of the pixels": ["50.0 %", "50.0 %"],
    }
    assert "Samples: images, masks over them, masks" in alts(at)
    assert "0.0 % of the pixels are ignored" in texts(at)
    assert left_out_shown(at) == ["masks/9.png"]
    at.select_slider(key="import_fix_size_segmentation").set_value(64)
    run(at)
    at.text_area(key="import_names").set_value("left\nright")
    click(at, "import_go")
    assert not errors(at)
    info = catalog.find_info("streets")
    assert (info.classes, info.shape, info.task) == (("left", "right"), (3, 48, 64), "segmentation")
    assert "2 classes, 5 training and 1 test images of 64 × 48 pixels." in at.success[0].value
    assert "Training images of streets, each above its mask in the colours of the classes" in alts(at)
    click(at, "delete_yes_streets")
    assert not catalog.is_ready("streets")


def test_what_is_ignored_is_said_to_be_no_class():
    at = choose(open_page("data"), masks_archive({"classes.txt": b"a\nb\nc"}), "streets.zip")
    at.number_input(key="import_fix_ignore").set_value(0)
    run(at)
    assert "50.0 % of the pixels are ignored" in texts(at)
    click(at, "import_go")
    assert catalog.find_info("streets").classes == ("b", "c")
    assert "Shares of the area in these images; grey has no class" in texts(at)
    own.delete_dataset("streets")


def test_an_error_loses_nothing_of_what_was_set():
    at = choose(open_page("data"), masks_archive(), "streets.zip")
    at.text_area(key="import_names").set_value("left\nright")
    at.text_input(key="import_name").set_value("Roads")
    at.select_slider(key="import_fix_size_segmentation").set_value(64)
    at.number_input(key="import_fix_ignore").set_value(1)
    run(at)
    assert "only the class class 0" in errors(at)[0] and at.button(key="import_go").disabled
    at.number_input(key="import_fix_ignore").set_value(7)
    run(at)
    click(at, "import_go")
    info = catalog.find_info("roads")
    assert (info.classes, info.size) == (("left", "right"), 64)
    own.delete_dataset("roads")


def test_whether_255_is_a_class_is_asked_and_may_be_answered_again():
    def grey(k: int) -> bytes:
        image = io.BytesIO()
        Image.fromarray(np.repeat([[0, 128, 255]], 30, 0).repeat(14, 1)[:, :40].astype(np.uint8)).save(image, "PNG")
        return image.getvalue()

    at = choose(open_page("data"), masks_archive({f"masks/{k}.png": grey(k) for k in range(6)}), "greys.zip")
    assert at.button(key="import_go").disabled and classes_shown(at)["Class"] == ["class 0", "class 128"]
    at.radio(key="import_fix_doubt_ignore").set_value("255 is a class")
    run(at)
    assert not at.button(key="import_go").disabled
    assert classes_shown(at)["Class"] == ["class 0", "class 128", "class 255"]
    at.radio(key="import_fix_doubt_ignore").set_value("255 stands for no class")
    run(at)
    assert not at.button(key="import_go").disabled and classes_shown(at)["Class"] == ["class 0", "class 128"]


# Shapes


def test_shapes_are_previewed_and_drawn():
    at = open_page("data")
    before = next(alt for alt in alts(at) if alt.startswith("Its mask"))
    _, masks = shapes.generate(1, 64, 7, Difficulty(shapes=1))
    at.slider(key="draw_shapes").set_value(1)
    at.number_input(key="draw_seed").set_value(7)
    run(at)
    after = next(alt for alt in alts(at) if alt.startswith("Its mask"))
    assert after != before
    assert after.split(": ")[1] == ", ".join(CATALOG["shapes"].classes[k] for k in np.unique(masks[0]))
    at.slider(key="draw_size").set_value(32)
    at.number_input(key="draw_train").set_value(30)
    at.number_input(key="draw_test").set_value(10)
    click(at, "draw_go")
    assert errors(at) == ["Give the new data set a name first."]
    at.text_input(key="draw_name").set_value("Shapes")
    click(at, "draw_go")
    assert errors(at) == ["there is a data set shapes already; choose another name"]
    at.text_input(key="draw_name").set_value("Easy ones")
    click(at, "draw_go")
    assert not errors(at)
    info = catalog.find_info("easy-ones")
    assert (info.train_count, info.test_count, info.size) == (30, 10, 32)
    np.testing.assert_array_equal(
        datasets.store.open_arrays("easy-ones").train_targets, shapes.generate(30, 32, 7, Difficulty(shapes=1))[1]
    )
    assert "**Easy ones**" in texts(at)
    assert [toast.value for toast in at.toast] == ["Easy ones is ready"]
    own.delete_dataset("easy-ones")


def test_the_knobs_of_the_shapes_keep_to_their_limits():
    at = open_page("data")
    for name, (low, high) in LIMITS.items():
        knob = next(field for field in (*at.slider, *at.number_input) if field.key == f"draw_{name}")
        assert (knob.min, knob.max) == (low, high)


def test_sizes_in_words():
    assert datasets.megabytes(10) == "under 1 MB"
    assert datasets.megabytes(170.5e6) == "170 MB"
    assert datasets.megabytes(2.345e9) == "2.3 GB"
    assert datasets.on_disk("cifar10-mini") > 30e6
    assert datasets.on_disk("mnist") == 0
