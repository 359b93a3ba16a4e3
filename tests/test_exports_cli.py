"""`playground export` and `playground import`."""

import csv

import pytest
from exports_support import unpacked, with_images

from playground import runs
from playground.cli import main
from playground.exports import FORMATS

pytestmark = pytest.mark.usefixtures("with_images")
__all__ = ["unpacked", "with_images"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_export_writes_a_script_by_default(here, capsys):
    assert main(["export", "demo"]) == 0
    assert capsys.readouterr().out == "Demo-CIFAR-10-epoch-24.py\nIt downloads CIFAR-10 the first time.\n"
    assert (here / "Demo-CIFAR-10-epoch-24.py").read_text().startswith('"""Train a convolutional network on CIFAR-10,')


def test_export_to_a_path_and_an_epoch(here, capsys):
    assert main(["export", "demo", "--format", "csv", "--epoch", "9", "--output", "out.csv"]) == 0
    assert len(list(csv.DictReader((here / "out.csv").read_text(encoding="utf-8-sig").splitlines()))) > 100
    (here / "folder").mkdir()
    assert main(["export", "demo", "--format", "notebook", "--epoch", "9", "--output", "folder"]) == 0
    assert "epoch 9 of 24" in (here / "folder" / "Demo-CIFAR-10-epoch-9.ipynb").read_text()


def test_weights_there_and_back(here, capsys):
    assert main(["export", "demo", "--format", "safetensors", "--output", "w.zip"]) == 0
    capsys.readouterr()
    assert main(["import", "w.zip"]) == 0
    imported = runs.open_run(capsys.readouterr().out.strip())
    assert imported.epochs() == [24]
    assert main(["import", "w.zip", "w.zip"]) == 2
    assert "choose one zip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["export", "nobody"], "there is no run 'nobody'"),
        (["export", "demo", "--epoch", "3"], "does not keep epoch 3; it keeps 0, 1, 4, 9, 15, 24"),
        (["export", "demo", "--output", "no/such/place.py"], "No such file or directory"),
        (["import", "missing.zip"], "No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, capsys, arguments, line):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("playground: ")
    assert error.count("\n") == 1
    assert line in error


def test_an_empty_run_has_nothing_to_export(here, capsys):
    made = runs.create_run(runs.demo_run().config, "new")
    assert main(["export", made.id]) == 2
    assert "new keeps no epoch yet" in capsys.readouterr().err


def test_the_help_names_every_format(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in FORMATS)
