"""`playground sweep` and `playground crossval` as commands."""

import re

import pytest
from jobs_support import kill_all

from playground.cli import main
from playground.data import store
from playground.studies import list_studies

TINY = "--images-per-class 8 --channels 4 --fc-width 0 --batch-size 16 --device cpu --epochs 2".split()


@pytest.fixture(scope="module", autouse=True)
def module_home(tmp_path_factory, session_home):
    """One home and one service for all commands here."""
    store.open_arrays("cifar10-mini")
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("cli-studies-home")
        (home / "data").symlink_to(session_home / "data")
        patch.setenv("PLAYGROUND_HOME", str(home))
        patch.setenv("PLAYGROUND_SLOTS", "2")
        yield home
        kill_all(home)


def test_a_sweep(capsys):
    code = main(["sweep", "--knob", "kernel_size=1,3", "--knob", "learning-rate=1e-3..1e-2:log:2", *TINY])
    out = capsys.readouterr().out
    assert code == 0
    assert out.startswith("4 runs, 2 at a time, in about ")
    assert len(re.findall(r"^\d of 4: kernel_size=[13] learning_rate=0\.0?01 finished", out, re.M)) == 4
    table = re.findall(r"^ +([\d.]+)%  +[\d.]+%  +2  +[\d.]+  finished +(.*)$", out, re.M)
    assert len(table) == 4
    assert [float(row[0]) for row in table] == sorted((float(row[0]) for row in table), reverse=True)
    best = re.search(r"^best: --kernel-size (\d) --learning-rate ([\d.]+)$", out, re.M)
    top = {values for accuracy, values in table if accuracy == table[0][0]}
    assert f"kernel_size={best[1]} learning_rate={best[2]}" in top
    (folder,) = list_studies()
    assert folder.name == "Sweep of kernel size, learning rate"


def test_a_cross_validation(capsys):
    assert main(["crossval", "--folds", "2", "--name", "two", *TINY]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^accuracy [\d.]+ ± [\d.]+ % over 2 folds; out of fold [\d.]+%$", out, re.M)
    assert list_studies()[0].name == "two"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sweep", "--knob", "lr=1,2"], "'lr' cannot be varied; the knobs that can are "),
        (["sweep", "--knob", "kernel_size=3,12"], "Kernel size (kernel_size) cannot be 12"),
        (["sweep", "--knob", "channels=4-4-4-4-4-4"], "take fewer blocks"),
        (["sweep", "--knob", "dropout=0..0.5:150", "--knob", "kernel_size=3,5"], "up to 200 runs make a study"),
        (["sweep", "--knob", "dropout=0..0.5", "--sampler", "random", "--trials", "0"], "0 runs: it takes 1 to 200"),
        (["sweep", "--knob", "dropout=0..0.5", "--dropout", "2"], "Dropout (dropout) cannot be 2"),
        (["crossval", "--folds", "1"], "1 folds: it takes 2 to 20"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, says, capsys):
    before = list_studies()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and error.startswith("playground: ")
    assert list_studies() == before
