"""Data sets and studies whose files are damaged: each is named with its reason and can be deleted, and hurts nobody."""

import json
from pathlib import Path

import numpy as np
import pytest
from ui_support import app_home, click, errors, open_page, texts, unpacked  # noqa: F401 - fixtures too

from playground import studies
from playground.config import RunConfig
from playground.data import catalog, own, store
from playground.data.catalog import DataError, DatasetInfo
from playground.studies import Study, StudyError, lifecycle

SOUND = json.loads(own.make_entry("dots", "Dots", ("a", "b"), 8).to_json()) | {"train_count": 4, "test_count": 2}
DAMAGE = {
    "a list": "[]",
    "nothing": "",
    "null": "null",
    "nulls": json.dumps(dict.fromkeys(SOUND)),
    "deep": "[" * 100_000,
    "no text": b"\xff\xfe",
    "half a character": json.dumps(SOUND | {"title": "\ud800"}),
    "no classes": json.dumps(SOUND | {"classes": []}),
    "numbers for classes": json.dumps(SOUND | {"classes": [1, 2]}),
    "a class twice": json.dumps(SOUND | {"classes": ["a", "a"]}),
    "words for a count": json.dumps(SOUND | {"train_count": "4"}),
    "a count below 0": json.dumps(SOUND | {"test_count": -1}),
    "huge": json.dumps(SOUND | {"size": 10**12}),
    "two channels": json.dumps(SOUND | {"channels": 2}),
    "a mean that is none": json.dumps(SOUND | {"mean": [float("nan")] * 3, "std": [0.1] * 3}),
    "a mean too few": json.dumps(SOUND | {"mean": [0.5], "std": [0.5]}),
    "another's name": json.dumps(SOUND | {"name": "cifar10-mini"}),
    "a task of its own": json.dumps(SOUND | {"task": "magic"}),
    "too long": json.dumps(SOUND | {"citation": "x" * 2**20}),
}


def spoil(name: str, content: str | bytes | None) -> Path:
    """Put a data set's info.json there with this content; None makes a folder of it."""
    path = catalog.find_folder(name) / "info.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sound_set(name: str) -> DatasetInfo:
    random = np.random.default_rng(0)
    images, targets = random.integers(0, 256, (6, 3, 8, 8), np.uint8), np.array([0, 1, 0, 1, 0, 1])
    return store.write_arrays(
        own.make_entry(name, name, ("a", "b"), 8), images[:4], targets[:4], images[4:], targets[4:]
    )


@pytest.mark.parametrize("content", [*DAMAGE.values(), None], ids=[*DAMAGE, "a folder"])
def test_a_damaged_info_is_named_and_deleted_and_hides_no_other(content: str | bytes | None) -> None:
    sound_set("good")
    spoil("dots", content)
    assert [entry.name for entry in catalog.list_available() if entry.own] == ["good"]
    assert list(catalog.list_damaged()) == ["dots"]
    assert catalog.list_damaged()["dots"].isprintable() and len(catalog.list_damaged()["dots"]) < 160
    for ask in (catalog.find_info, store.open_arrays):
        with pytest.raises(DataError, match=r"the data set dots is damaged .*; delete it on the Data page"):
            ask("dots")
    assert not catalog.is_ready("dots")
    with pytest.raises(DataError, match="there is a data set dots already"):
        own.make_slug("dots")
    own.delete_dataset("dots")
    assert catalog.list_damaged() == {} and not catalog.find_folder("dots").exists()
    with pytest.raises(DataError, match="there is no data set dots"):
        catalog.find_info("dots")


def test_what_is_read_is_what_was_written_and_is_read_anew_when_it_changes() -> None:
    made = sound_set("dots")
    assert catalog.find_info("dots") == made
    spoil(
        "dots", DatasetInfo.from_json(made.to_json().replace('"dots",\n "classes"', '"Points",\n "classes"')).to_json()
    )
    assert catalog.find_info("dots").title == "Points"


def test_a_set_that_could_not_be_read_is_not_written() -> None:
    images, targets = np.zeros((2, 3, 8, 8), np.uint8), np.array([0, 1])
    with pytest.raises(ValueError, match="classes"):
        store.write_arrays(own.make_entry("dots", "Dots", ("a", "a"), 8), images, targets, images, targets)
    assert not catalog.find_folder("dots").exists()


def test_a_damaged_set_of_the_catalog_is_made_anew() -> None:
    store.open_arrays("shapes")
    spoil("shapes", "[]")
    assert catalog.find_info("shapes") == catalog.CATALOG["shapes"]
    assert len(store.open_arrays("shapes").test_images) == 400


def test_arrays_that_are_no_arrays_are_one_line() -> None:
    sound_set("dots")
    with (catalog.find_folder("dots") / "test_images.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(DataError, match="is damaged"):
        store.open_arrays("dots")
    assert not store.is_sound("dots") and store.is_sound("mnist")


def test_a_file_in_the_place_of_the_data_folder_is_one_line(home: Path) -> None:
    (home / "data").write_text("not a folder")
    assert catalog.list_available() and catalog.list_damaged() == {}
    with pytest.raises(DataError, match="it has to be a folder"):
        store.open_arrays("cifar10-mini")


# On the pages


@pytest.fixture
def own_data_folder(app_home: Path, unpacked: Path) -> Path:  # noqa: F811
    """A data folder of this test's own, with the bundled images in it."""
    (app_home / "data").unlink()
    (app_home / "data").mkdir()
    (app_home / "data" / "cifar10-mini").symlink_to(unpacked / "cifar10-mini")
    return app_home / "data"


@pytest.mark.usefixtures("own_data_folder")
def test_the_data_page_shows_a_damaged_set_and_deletes_it() -> None:
    spoil("dots", "[]")
    spoil("lines", None)
    at = open_page("data")
    assert "It cannot be read: info.json: Input should be an object" in texts(at)
    click(at, "delete_yes_dots")
    click(at, "delete_yes_lines")
    assert catalog.list_damaged() == {}


@pytest.mark.usefixtures("own_data_folder")
@pytest.mark.parametrize(
    "page", ["home", "train", "runs", "compare", "predict", "inside", "segment", "evaluate", "studies"]
)
def test_no_other_page_falls(page: str) -> None:
    spoil("dots", "[]")
    spoil("lines", None)
    assert errors(open_page(page)) == []


@pytest.mark.usefixtures("own_data_folder")
def test_a_downloaded_set_with_damaged_arrays_can_be_deleted() -> None:
    made = sound_set("dots")
    spoil("dots", made.to_json())
    (catalog.find_folder("dots") / "train_images.npy").write_bytes(b"x")
    at = open_page("data")
    assert any("is damaged" in error for error in errors(at))
    click(at, "delete_yes_dots")
    assert not catalog.find_folder("dots").exists()


# Studies


def damaged_study(home: Path, content: str | None) -> str:
    folder = home / "studies" / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "study.json").write_text(content)
    return folder.name


@pytest.mark.usefixtures("app_home")
@pytest.mark.parametrize("content", ["[]", "null", "{}", None, '{"kind": "seeds", "count": 2, "created": 1e20}'])
def test_a_damaged_study_is_named_and_deleted(home: Path, content: str | None) -> None:
    study_id = damaged_study(home, content)
    at = open_page("studies", study=study_id)
    assert [study_id in error and "delete" in error for error in errors(at)] == [True]
    lifecycle.revive_studies()
    click(at, "study_delete_yes")
    assert studies.list_studies() == []


@pytest.mark.usefixtures("app_home")
def test_rows_of_members_that_are_none_are_passed_over() -> None:
    folder = studies.create_study(Study("seeds", RunConfig(), count=2))
    for row in ({"type": "member"}, {"type": "member", "number": "x", "run": 1, "values": []}, {"type": "left_out"}):
        folder.append(row)
    folder.append({"type": "member", "number": 1, "run": "gone", "values": {"seed": "1"}})
    assert [(member.number, member.run_id, member.run) for member in folder.members()] == [(1, "gone", None)]
    assert errors(open_page("studies", study=folder.id)) == []


@pytest.mark.usefixtures("app_home")
def test_a_file_in_the_place_of_the_studies_is_one_line(home: Path) -> None:
    (home / "studies").write_text("not a folder")
    assert studies.list_studies() == []
    for page in ("studies", "runs", "train"):
        assert errors(open_page(page)) == []
    with pytest.raises(StudyError, match="it has to be a folder"):
        studies.create_study(Study("seeds", RunConfig(), count=2))
    assert (home / "studies").read_text() == "not a folder"
