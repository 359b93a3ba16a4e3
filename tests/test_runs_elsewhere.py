"""A run carries what it needs: without its data set it still predicts, exports and names its classes."""

import io

import numpy as np
import pytest
from exports_support import trained, unpacked, with_images

from playground.data import catalog, store
from playground.data.catalog import DataError
from playground.exports import FORMATS, export_run
from playground.inference.classify import predict
from playground.inference.load import find_dataset
from playground.runs import RunFolder, export_zip, import_zip

__all__ = ["unpacked", "with_images"]


@pytest.fixture
def elsewhere(home, with_images, tmp_path, monkeypatch) -> tuple[RunFolder, np.ndarray, np.ndarray]:
    """A run imported into a home that lacks its data set, images, and what the run made of them at home."""
    run = trained("own images")
    images = np.array(store.open_arrays("few").test_images[:20])
    wanted, packed = predict(run, 2, images), export_zip(run)
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "another-machine"))
    return import_zip(io.BytesIO(packed)), images, wanted


def test_it_predicts_the_same(elsewhere):
    run, images, wanted = elsewhere
    with pytest.raises(DataError):
        catalog.find_info("few")
    np.testing.assert_array_equal(predict(run, 2, images), wanted)


def test_it_knows_its_classes_and_normalisation(elsewhere):
    run, _, _ = elsewhere
    dataset, mean, std = find_dataset(run)
    assert (dataset.name, dataset.classes[:2], dataset.shape) == ("few", ("airplane", "automobile"), (3, 32, 32))
    assert len(mean) == len(std) == 3 and min(std) > 0


@pytest.mark.parametrize("name", FORMATS)
def test_it_exports(elsewhere, name):
    run, _, _ = elsewhere
    file = export_run(run, 2, name)
    assert file.content
    if name in ("script", "notebook"):
        assert file.note == "Its images are not on this machine: name their folder by --data."
