"""The catalog, the bundled set, and the cache on disk."""

import dataclasses
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import playground.data.store as store
from playground.data.catalog import (
    CATALOG,
    DataError,
    DatasetInfo,
    find_folder,
    find_info,
    is_ready,
    list_available,
    may_flip,
)
from playground.data.load import load_dataset
from playground.data.progress import Progress
from playground.home import HomeError, home

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"


def entry(name: str = "dots", size: int = 4, classes: tuple[str, ...] = ("a", "b")) -> DatasetInfo:
    return dataclasses.replace(CATALOG["cifar10-mini"], name=name, size=size, classes=classes, bundled=False)


def parts(size: int = 4, train: int = 6, test: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (n, 3, size, size), dtype=np.uint8) for n in (train, test)]
    return images[0], np.arange(train) % 2, images[1], np.arange(test) % 2


def test_home_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b" and home().is_dir()
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "c"))
    assert home() == tmp_path / "c"
    monkeypatch.delenv("PLAYGROUND_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert home().name == "cnn-playground"


def test_a_home_that_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "file" / "x"))
    with pytest.raises(HomeError, match=r"set PLAYGROUND_HOME to another folder$"):
        home()


def test_the_catalog_says_what_a_person_needs_to_know() -> None:
    classification = ["cifar10-mini", "cifar10", "cifar100", "fashion-mnist", "mnist", "svhn"]
    assert [name for name, item in CATALOG.items() if item.task == "classification"] == classification
    for name, item in CATALOG.items():
        assert item.name == name and item.title and item.licence and item.source and item.citation
        assert len(set(item.classes)) == item.num_classes
        assert item.bundled == (item.download_mb == 0)
    for name in classification:
        assert CATALOG[name].num_classes == (100 if name == "cifar100" else 10)
        assert CATALOG[name].shape == ((1, 28, 28) if "mnist" in name else (3, 32, 32))
    assert [(CATALOG[name].train_count, CATALOG[name].test_count) for name in classification] == [
        (10_000, 2_000),
        (50_000, 10_000),
        (50_000, 10_000),
        (60_000, 10_000),
        (60_000, 10_000),
        (73_257, 26_032),
    ]
    assert [(i.name, i.num_classes, i.shape) for i in CATALOG.values() if i.task == "segmentation"] == [
        ("shapes", 6, (3, 64, 64)),
        ("oxford-pet", 2, (3, 128, 128)),
        ("voc2012", 21, (3, 120, 160)),
    ]
    assert list(CATALOG["cifar100"].classes) == sorted(CATALOG["cifar100"].classes)


def test_neither_the_catalog_nor_the_bundled_set_needs_torch(home: Path) -> None:
    code = (
        "import sys; from playground.data import catalog, load, own, store; load.load_dataset('cifar10-mini');"
        "catalog.list_available(); assert 'torch' not in sys.modules and 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert is_ready("cifar10-mini")


@pytest.mark.parametrize("name", ["nope", "no such set", "../evil", "/etc", "", "A", "x" * 65, "a\n"])
def test_an_unknown_name_is_one_line(name: str) -> None:
    for function in (find_info, load_dataset, store.open_arrays):
        with pytest.raises(DataError) as error:
            function(name)
        assert "\n" not in str(error.value)


def test_the_bundled_set_is_unpacked_once_and_mapped() -> None:
    assert not is_ready("cifar10-mini") and find_info("cifar10-mini").mean == ()
    first = load_dataset("cifar10-mini")
    assert is_ready("cifar10-mini") and find_info("cifar10-mini") == first.info
    assert first.train_images.shape == (10_000, 3, 32, 32) and first.train_images.dtype == np.uint8
    assert first.test_images.shape == (2_000, 3, 32, 32) and first.test_targets.dtype == np.int64
    assert np.bincount(first.train_targets).tolist() == [1000] * 10
    assert np.bincount(first.test_targets).tolist() == [200] * 10
    pixels = first.train_images / 255
    assert np.allclose(first.info.mean, pixels.mean((0, 2, 3))) and np.allclose(first.info.std, pixels.std((0, 2, 3)))
    before = (find_folder("cifar10-mini") / "info.json").stat().st_mtime_ns
    store.unpack_bundled("cifar10-mini")  # as a process does that has waited for this one
    again = load_dataset("cifar10-mini")
    assert isinstance(again.train_images, np.memmap)
    assert (find_folder("cifar10-mini") / "info.json").stat().st_mtime_ns == before


def test_the_labels_name_source_licence_and_citation() -> None:
    labels = json.loads((store.BUNDLED / "cifar10-mini" / "labels.json").read_text(encoding="utf-8"))
    assert tuple(labels["classes"]) == CATALOG["cifar10-mini"].classes
    assert "Learning Multiple Layers of Features from Tiny Images" in labels["citation"] and labels["licence"]
    assert (store.BUNDLED / "cifar10-mini" / "README.md").is_file()


def test_the_bundled_images_are_the_first_of_each_class_of_the_real_cifar10() -> None:
    if not SHARED.is_dir():
        pytest.skip("the real CIFAR-10 is not in ../shared/data/cifar10")
    labels = json.loads((SHARED / "labels.json").read_text())
    bundled = load_dataset("cifar10-mini")
    for split, files, count, images, targets in (
        ("train", [f"data_batch_{k}.png" for k in (1, 2)], 1000, bundled.train_images, bundled.train_targets),
        ("test", ["test_batch.png"], 200, bundled.test_images, bundled.test_targets),
    ):
        seen, k = [0] * 10, 0
        for i, target in enumerate(labels[split]):
            if i % 10_000 == 0 and i // 10_000 < len(files):
                sheet = np.asarray(Image.open(SHARED / files[i // 10_000]))
            if seen[target] < count:
                seen[target] += 1
                assert targets[k] == target
                assert np.array_equal(images[k].transpose(1, 2, 0).ravel(), sheet[i % 10_000].ravel()), (split, i)
                k += 1
        assert k == len(images)


def test_what_is_written_is_read_back_and_listed() -> None:
    arrays = parts()
    written = store.write_arrays(entry(), *arrays)
    read = load_dataset("dots")
    assert read.info == written == find_info("dots") and written.own
    assert (written.train_count, written.test_count) == (6, 3)
    for expected, found in zip(arrays, dataclasses.astuple(read)[1:], strict=True):
        assert np.array_equal(expected, found)
    assert [item.name for item in list_available()] == [*CATALOG, "dots"]


def test_a_set_with_a_label_for_each_pixel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 6), dtype=np.uint8)
    masks = np.arange(7 * 4 * 6).reshape(7, 4, 6) % 2
    masks[:, 0, 0] = store.IGNORE
    about = dataclasses.replace(entry(size=6), task="segmentation", height=4)
    written = store.write_arrays(about, images[:5], masks[:5], images[5:], masks[5:])
    read = load_dataset("dots")
    assert written.shape == (3, 4, 6) and read.info == written and read.info.task == "segmentation"
    assert read.train_targets.dtype == np.uint8
    assert np.array_equal(np.concatenate([read.train_targets, read.test_targets]), masks)
    for wrong in (masks[:5, :3], masks[:5] + 1, masks[:5, 0, 0]):
        with pytest.raises(ValueError, match="dots"):
            store.write_arrays(about, images[:5], wrong, images[5:], masks[5:])


def test_the_shapes_are_drawn_when_they_are_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    few = dataclasses.replace(CATALOG["shapes"], train_count=12, test_count=10)
    monkeypatch.setitem(CATALOG, "shapes", few)
    assert not is_ready("shapes")
    found = load_dataset("shapes")
    assert is_ready("shapes") and found.train_images.shape == (12, 3, 64, 64) and len(found.info.std) == 3
    assert found.test_targets.max() < 6


def test_torch_takes_the_arrays_quietly_and_changes_stay_in_memory() -> None:
    import torch

    store.write_arrays(entry(), *parts())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(store.open_arrays("dots").train_images)[0] = 0
    assert store.open_arrays("dots").train_images[0].any()


def test_a_constant_channel_can_still_be_divided_by() -> None:
    mean, std = store.compute_statistics(np.full((2, 1, 4, 4), 51, dtype=np.uint8))
    assert mean == (0.2,) and std == (1 / 255,)


def test_arrays_that_do_not_fit_the_entry_are_not_kept() -> None:
    images, targets, *rest = parts()
    for wrong in ((images[:, :, :3], targets, *rest), (images, targets[1:], *rest), (images, targets + 1, *rest)):
        with pytest.raises(ValueError, match="dots"):
            store.write_arrays(entry(), *wrong)
    assert not is_ready("dots")


def test_half_a_set_is_no_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies while it writes leaves nothing that anybody would take for the set."""
    with monkeypatch.context() as patch:
        patch.setattr(store, "_sync_folder", lambda path: None)
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.write_arrays(entry(), *parts())
    assert (find_folder("dots").with_name(".dots.new") / "info.json").is_file()
    assert not is_ready("dots") and [item.name for item in list_available()] == list(CATALOG)
    store.write_arrays(entry(), *parts())
    assert is_ready("dots") and not find_folder("dots").with_name(".dots.new").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match="No space left on device"):
        store.write_arrays(entry(), *parts())
    assert [path.name for path in find_folder("dots").parent.iterdir()] == []


@pytest.mark.parametrize("damage", ["cut", "gone", "info", "other"])
def test_damaged_files_are_named(damage: str) -> None:
    store.write_arrays(entry(), *parts())
    file = find_folder("dots") / ("info.json" if damage == "info" else "train_images.npy")
    if damage == "gone":
        file.unlink()
    elif damage == "other":
        np.save(file, np.zeros((6, 3, 4, 5), dtype=np.uint8))
    else:
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"is damaged.* delete"):
        load_dataset("dots")
    assert "cifar10-mini" in [item.name for item in list_available()]


HOLD = """
import sys, time
from pathlib import Path
from playground.data import store
with store.locked("dots"):
    Path(sys.argv[1]).touch()
    time.sleep(30)
"""


def test_the_lock_makes_others_wait_until_its_holder_dies(tmp_path: Path) -> None:
    held = tmp_path / "held"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(held)])
    try:
        while not held.exists():
            assert process.poll() is None
            time.sleep(0.01)
        told = []

        def report(progress: Progress) -> None:
            told.append(progress.what)
            if len(told) == 3:
                process.kill()  # as with kill -9: nothing in that process lets go of the lock

        with store.locked("dots", report):
            assert len(told) >= 3 and "Waiting for another process" in told[0]
    finally:
        process.kill()
        process.wait()


def test_waiting_can_be_cancelled() -> None:
    class Enough(Exception):
        pass

    def report(progress: Progress) -> None:
        raise Enough

    with store.locked("dots"), pytest.raises(Enough), store.locked("dots", report):
        pass


def test_digits_and_letters_are_not_mirrored():
    assert {name for name, entry in CATALOG.items() if not may_flip(entry.classes)} == {"mnist", "svhn"}
    assert not may_flip(("a", "b", "Q"))
    assert may_flip(("a", "bee"))
    assert may_flip(())


def test_a_data_set_is_called_by_its_title_where_it_is_known():
    assert store.title_of("cifar10-mini") == "CIFAR-10 mini"
    assert store.title_of("no-longer-here") == "no-longer-here"
