"""The Data page without a browser: what it says of each set, getting one, taking one in, deleting it."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from ui_support import app_home, click, errors, open_page, run, texts, unpacked

from playground.data import catalog, own
from playground.data.catalog import CATALOG
from playground.jobs import fetch
from playground.jobs.fetch import FetchProgress
from playground.ui import datasets

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
    random, file = np.random.default_rng(0), io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for label in classes:
            for i in range(count):
                image = io.BytesIO()
                Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(image, "PNG")
                made.writestr(f"{label}/{i}.png", image.getvalue())
        for name, content in (extra or {}).items():
            made.writestr(name, content)
    return file.getvalue()


def take_in(at, content: bytes | None, name: str = "", file_name: str = "My pets.zip"):
    if content is not None:
        at.file_uploader(key="import_file").upload(file_name, content)
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
    assert words.count("Part of the app") == 1
    assert words.count("Not on this machine") == len(CATALOG) - 1
    assert "… and 88 more" in words  # CIFAR-100


def test_the_bundled_set_shows_its_images_with_an_alt_text():
    at = open_page("data")
    (picture,) = [image.proto.imgs[0] for image in at.get("image")]
    assert picture.alt == "Training images of CIFAR-10 mini, the classes in turn"


def test_the_samples_are_the_classes_in_turn():
    sheet = datasets.samples("cifar10-mini", 0)
    assert sheet.shape == (2 * 64, 10 * 64, 3)
    data = datasets.store.arrays("cifar10-mini")
    first = np.asarray(data.train_images[int(np.argmax(data.train_targets == 3))])
    np.testing.assert_array_equal(sheet[:64:2, 3 * 64 : 4 * 64 : 2], first.transpose(1, 2, 0))


def test_train_on_it_is_a_link_with_the_set():
    link = next(link for link in open_page("data").page_link if link.value == "Train on it")
    assert "dataset=cifar10-mini" in str(link.proto)


# Getting one


def test_download_starts_one(monkeypatch):
    started = []
    monkeypatch.setattr(fetch, "start", started.append)
    click(open_page("data"), "download_mnist")
    assert started == ["mnist"]


def test_a_download_that_does_not_start_is_one_line(monkeypatch):
    def fail(name: str) -> None:
        raise catalog.DataError("the download of mnist does not start; see the log")

    monkeypatch.setattr(fetch, "start", fail)
    at = click(open_page("data"), "download_mnist")
    assert errors(at) == ["the download of mnist does not start; see the log"]


def test_progress_and_cancel(monkeypatch):
    stopped, states = [], {"svhn": FetchProgress("running", 50_000_000, 200_000_000, "Downloading train_32x32.mat")}
    monkeypatch.setattr(fetch, "progress", lambda name: states.get(name, FetchProgress()))
    monkeypatch.setattr(fetch, "cancel", stopped.append)
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
        fetch, "progress", lambda name: FetchProgress("failed", 0, 0, line) if name == "cifar10" else FetchProgress()
    )
    at = open_page("data")
    assert errors(at) == [line]
    assert "download_cifar10" in keys(at)  # to try again


# A person's own


def test_import_report_use_and_delete():
    broken = {"cat/notes.txt": b"no image", "dog/torn.png": b"\x89PNG\r\n\x1a\n"}
    at = take_in(open_page("data"), archive(extra=broken), "My pets")
    assert not errors(at)
    info = catalog.info("my-pets")
    assert (info.classes, info.size, info.train_count, info.test_count) == (("cat", "dog"), 32, 8, 2)
    assert "2 classes, 8 training and 2 test images of 32 × 32 pixels." in at.success[0].value
    skipped = next(frame.value for frame in at.dataframe if "File" in frame.value)
    assert sorted(skipped["File"]) == ["cat/notes.txt", "dog/torn.png"]
    assert f"**{info.title}**" in texts(at)
    assert "On this machine" in texts(at)
    assert len(at.get("image")) == 2

    assert "delete_yes_cifar10-mini" not in keys(at)
    click(at, "delete_yes_my-pets")
    assert not catalog.is_ready("my-pets")
    assert f"**{info.title}**" not in texts(at)


def test_the_name_of_the_zip_is_the_name_where_none_is_given():
    take_in(open_page("data"), archive())
    assert catalog.is_ready("my-pets")
    own.delete("my-pets")


@pytest.mark.parametrize(
    ("content", "name", "line"),
    [
        (None, "", "Choose a zip first"),
        (b"no zip", "", "zip"),
        (archive(classes=("cat",)), "", "only the class cat"),
        (archive(), "cifar10", "already; choose another name"),
        (archive(), "!!!", "cannot be a data set's name"),
    ],
)
def test_what_cannot_be_taken_in_is_one_line(content, name, line):
    at = take_in(open_page("data"), content, name)
    assert len(errors(at)) == 1
    assert line in errors(at)[0]
    assert [info.name for info in catalog.available()] == list(CATALOG)


def test_sizes_in_words():
    assert datasets.megabytes(10) == "under 1 MB"
    assert datasets.megabytes(170.5e6) == "170 MB"
    assert datasets.megabytes(2.345e9) == "2.3 GB"
    assert datasets.on_disk("cifar10-mini") > 30e6
    assert datasets.on_disk("mnist") == 0
