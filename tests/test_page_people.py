"""What the pages offer to somebody whose run it is not."""

import pytest
from rows_support import make_row
from ui_support import app_home, click, commands, make_run, open_page, run, texts, unpacked, worked_on

from playground import people, runs
from playground.config import from_flat
from playground.people import MACHINE
from playground.studies import Study, lifecycle
from playground.ui.common import person

__all__ = ["app_home", "unpacked"]

pytestmark = pytest.mark.usefixtures("app_home")

ANNA, BEN = people.make_person(), people.make_person()


@pytest.fixture(autouse=True)
def ben(monkeypatch):
    """The pages are drawn for Ben."""
    be(BEN, monkeypatch)


def be(who, monkeypatch):
    monkeypatch.setattr(person, "current_person", lambda: who)


def select(at, *ids):
    at.session_state["shelf_run"], at.session_state["shelf_ticked"] = ids[-1], list(ids)
    return run(at)


def columns(at):
    return list(at.dataframe[0].value.columns)


def test_a_live_knob_beside_a_strangers_run_changes_nothing():
    theirs = make_run("running", owner=ANNA)
    with worked_on(theirs):
        at = open_page("train", run=theirs.id)
        assert f"run of **person {ANNA[:4]}**" in texts(at)
        at.get_by_key("knob_dropout").set_value(0.5)
        at.get_by_key("knob_kernel_size").set_value(5)
        run(at)
        assert not at.error
        assert commands(theirs) == []
        assert "start_anew" not in [button.key for button in at.button]
        assert at.button(key="stop").disabled
        click(at, "play")
    assert commands(theirs) == []
    mine = runs.open_run(at.query_params["run"])
    assert (mine.owner, mine.config.model.kernel_size) == (BEN, 5)


def test_its_settings_are_taken_as_they_were_changed_on_the_way():
    theirs = make_run("running", owner=ANNA, epochs=7)
    theirs.append(make_row({"type": "change", "step": 5, "epoch": 0.5, "knob": "dropout", "old": 0.0, "new": 0.25}))
    with worked_on(theirs):
        at = click(open_page("train", run=theirs.id), "take_settings")
    assert at.session_state["form"] == from_flat({"dropout": 0.25}, theirs.config)
    assert "run" not in at.query_params
    assert "take_settings" not in [button.key for button in at.button]


@pytest.mark.parametrize("state", ["running", "finished"])
def test_everyone_arrives_at_their_own_last_run(state, monkeypatch):
    own = make_run(state, owner=BEN)
    theirs = make_run("queued", owner=ANNA)
    runs.create_run(own.config, study="20260101-000000-abcdef", member=0, owner=BEN)
    with worked_on(own):
        assert open_page("train").query_params["run"] == own.id
        be(ANNA, monkeypatch)
        assert open_page("train").query_params["run"] == theirs.id
        be(MACHINE, monkeypatch)
        assert "run" not in open_page("train").query_params


def test_the_shelf_says_whose_a_run_is_and_offers_what_may_be_done(monkeypatch):
    theirs, own = make_run("stopped", owner=ANNA), make_run("stopped", owner=BEN)
    at = select(open_page("runs"), theirs.id)
    assert sorted(at.dataframe[0].value["Whose"]) == ["", "", "", f"person {ANNA[:4]}"]  # two are bundled
    assert f"of person {ANNA[:4]}" in texts(at)
    assert at.button(key="act_resume").disabled
    assert not at.button(key="act_duplicate").disabled
    assert f"save_{theirs.id}" not in [button.key for button in at.button]
    assert f"delete_yes_{theirs.id}" not in [button.key for button in at.button]
    assert not select(at, own.id).button(key="act_resume").disabled
    be(MACHINE, monkeypatch)
    assert not select(at, theirs.id).button(key="act_resume").disabled


def test_on_ones_own_machine_nothing_of_it_is_seen(monkeypatch):
    be(MACHINE, monkeypatch)
    mine = make_run("stopped")
    at = select(open_page("runs"), mine.id)
    assert "Whose" not in columns(at)
    assert "owner" not in texts(at)
    assert "person" not in texts(open_page("train", run=mine.id))


def test_a_strangers_study_can_only_be_looked_at(monkeypatch):
    theirs = lifecycle.start_study(Study("seeds", count=2, owner=ANNA))
    assert "study" not in open_page("studies").query_params
    at = open_page("studies", study=theirs.id)
    keys = [button.key for button in at.button]
    assert "study_stop" not in keys
    assert "study_delete_yes" not in keys
    assert "study_compare" in keys
    assert f"of person {ANNA[:4]}" in texts(at)
    be(ANNA, monkeypatch)
    assert "study_stop" in [button.key for button in open_page("studies").button]
