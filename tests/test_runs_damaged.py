"""Damaged and foreign runs: each is named and can be deleted; no page falls because of one it was not asked for."""

import json
import shutil
from pathlib import Path

import pytest
from rows_support import make_row
from ui_support import app_home, click, errors, make_run, open_page, run, unpacked

from playground import runs
from playground.runs import RunError, RunFolder, find_run, import_zip, list_runs, open_run, usable_runs
from playground.runs.rows import to_line

pytestmark = pytest.mark.usefixtures("app_home")
__all__ = ["app_home", "unpacked"]

PAGES = ["home", "train", "runs", "compare", "predict", "inside", "segment", "evaluate", "studies", "data"]
CASES = Path(__file__).parent.parent.parent / "shared" / "cases" / "hostile"
STATUS = {"state": "finished", "epoch": 3, "epochs": 3}


def write(run: RunFolder, name: str, content: object) -> None:
    path = run.path / name
    path.unlink()
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def folder_in_place(run: RunFolder, name: str) -> None:
    (run.path / name).unlink()
    (run.path / name).mkdir()


DAMAGES = {
    "status: a list for a state": lambda run: write(run, "status.json", {"state": ["a"]}),
    "status: nulls": lambda run: write(run, "status.json", dict.fromkeys(("state", "epoch", "seconds"))),
    "status: huge": lambda run: write(run, "status.json", STATUS | {"parameters": 2**70}),
    "status: negative": lambda run: write(run, "status.json", STATUS | {"threads": -5}),
    "status: not finite": lambda run: write(run, "status.json", b'{"state": "finished", "seconds": NaN}'),
    "status: a folder": lambda run: folder_in_place(run, "status.json"),
    "status: missing": lambda run: (run.path / "status.json").unlink(),
    "about: a list": lambda run: write(run, "about.json", []),
    "about: no list of means": lambda run: write(run, "about.json", {"name": "x", "mean": 5, "std": 5}),
    "about: long ago": lambda run: write(run, "about.json", {"created": 1e20}),
    "about: another folder": lambda run: write(run, "about.json", {"predictions_dataset": "../../etc"}),
    "about: a folder": lambda run: folder_in_place(run, "about.json"),
    "config: empty": lambda run: write(run, "config.json", b""),
    "config: a folder": lambda run: folder_in_place(run, "config.json"),
    "config: missing": lambda run: (run.path / "config.json").unlink(),
    "config: of a format to come": lambda run: write(run, "config.json", {"format": 99}),
}
HARMLESS = {
    "rows: without fields": b'{"type":"epoch"}\n{"type":"progress"}\n{"type":"change"}\n',
    "rows: nulls": b'{"type":"epoch","epoch":null,"test":null}\n',
    "rows: a confusion of other classes": to_line(make_row({"type": "epoch", "epoch": 4, "confusion": [[1]]})),
    "rows: torn in the middle": b'{"type":"epo\n\xff\xfe\n[]\n',
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_named_and_can_be_deleted(damage):
    made, other = make_run(), make_run()
    DAMAGES[damage](made)
    assert RunFolder(made.path).damage and RunFolder(made.path).damage.isprintable()
    with pytest.raises(RunError, match=r"is damaged: .*; it can be deleted on the page Runs"):
        open_run(made.id)
    assert made in list_runs() and made not in list(usable_runs()) and other in list(usable_runs())
    find_run(made.id).delete()
    assert not made.path.exists()


def damaged_shelf() -> list[RunFolder]:
    """A shelf of runs damaged in each way, the newest last, and one whole run that is the oldest."""
    made = []
    for damage in DAMAGES.values():
        made.append(make_run())
        damage(made[-1])
    for rows in HARMLESS.values():
        made.append(make_run())
        with (made[-1].path / "metrics.jsonl").open("ab") as file:
            file.write(rows)
    return made


@pytest.mark.parametrize("page", PAGES)
def test_every_page_lives_beside_damaged_runs(page):
    whole = make_run()
    damaged_shelf()
    at = open_page(page)
    assert not errors(at)
    # The weights that a made run has do not fit; of the others nothing is said.
    assert not [error for error in errors(open_page(page, run=whole.id)) if "do not fit this run" not in error]


def test_a_damaged_run_on_the_page_has_its_reason_and_a_delete(monkeypatch, tmp_path):
    monkeypatch.setattr("playground.runs.registry.DEMO", tmp_path / "no-demo")
    whole, made = make_run(), make_run()
    write(made, "status.json", {"state": ["a"]})
    at = open_page("runs")
    table = at.dataframe[0].value.set_index("Name")
    assert list(table.loc[made.id, "State"]) == ["Damaged"]
    at.session_state["shelf_run"] = made.id
    run(at)
    assert any("status.json is damaged" in caption.value for caption in at.caption)
    click(at, "act_delete")
    assert runs.list_runs() == [whole]


@pytest.mark.parametrize(
    "name", sorted(path.stem for kind in ("run_*.zip", "inject*.zip") for path in CASES.glob(kind))
)
def test_a_hostile_zip_is_refused_or_hurts_nobody(name):
    before = {path.name for path in runs.runs_folder().iterdir()}
    try:
        made = import_zip(CASES / f"{name}.zip")
    except (RunError, ValueError) as error:
        said = str(error)
        assert {path.name for path in runs.runs_folder().iterdir()} == before
    else:
        said = made.name
        for page in PAGES:
            assert not [error for error in errors(open_page(page)) if "could not be drawn" in error]
    assert said.isprintable()


def test_the_hostile_zips_are_there():
    if not CASES.exists():
        pytest.skip("../shared is absent: the hostile zips were not tried")
    assert len(list(CASES.glob("run_*.zip"))) >= 8


# A run carries what it needs


def test_a_run_knows_its_data_set_after_that_was_deleted():
    made = make_run()
    made.describe(dataset=made.dataset)
    copy = made.path.with_name("copy-of-it")
    shutil.copytree(made.path, copy)
    config = json.loads((copy / "config.json").read_text())
    config["data"]["dataset"] = "z-gone"
    (copy / "config.json").write_text(json.dumps(config))
    about = json.loads((copy / "about.json").read_text())
    about["dataset"]["name"] = "z-gone"
    (copy / "about.json").write_text(json.dumps(about))
    gone = open_run("copy-of-it")
    assert gone.dataset.classes == made.dataset.classes and gone.dataset.name == "z-gone"
    for page in PAGES:
        at = open_page(page, run=gone.id)
        assert not [error for error in errors(at) if "could not be drawn" in error]
