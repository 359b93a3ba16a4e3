"""The Home page without a browser."""

import runpy

import pytest
from ui_support import ROOT, app_home, click, make_run, open_page, run, texts, unpacked, worked_on

from playground import runs
from playground.data import catalog
from playground.ui.pages.home import page

__all__ = ["app_home", "unpacked"]

pytestmark = pytest.mark.usefixtures("app_home")


@pytest.fixture(autouse=True)
def no_demo(monkeypatch):
    """Whether a demo run is bundled or not."""
    monkeypatch.setattr(runs, "demo_run", lambda *_: None)
    monkeypatch.setattr(runs.registry, "demo_run", lambda *_: None)


def unpack_images():
    """Do what the server does as it starts."""
    runpy.run_path(str(ROOT / "app.py"))["unpack_images"]()


def fact(at, label):
    return next(metric.value for metric in at.metric if metric.label == label)


def test_it_stands_before_anything_was_trained():
    at = open_page("home")
    assert at.title[0].value == "CNN playground"
    assert "No network has been trained here yet" in texts(at)
    assert len(at.get("bidi_component")) == 1  # the strip


@pytest.mark.parametrize(("way", "page"), [("train", "Play"), ("predict", ""), ("inside", ""), ("segment", "")])
def test_the_ways_on_lead_on(way, page):
    at = click(open_page("home"), f"way_{way}")
    assert "way_train" not in [button.key for button in at.button]
    assert not page or page in [button.label for button in at.button]


def test_a_finished_run_can_be_scrubbed_over_its_epochs():
    make_run("finished")
    at = open_page("home")
    assert len(at.get("bidi_component")) == 3  # the strip and two curves
    at.select_slider(key="home_epoch").set_value(2)
    run(at)
    assert fact(at, "Test accuracy") == "50.0 %"
    assert fact(at, "Training time") == "4.0 s"
    assert fact(at, "Parameters") == "156 k"
    assert at.button(key="home_play").label == "Play"  # touching the slider stops the film
    at.select_slider(key="home_epoch").set_value(0)
    run(at)
    assert fact(at, "Test accuracy") == "10.0 %"


def test_it_plays_from_the_start_and_stops_at_the_end(monkeypatch):
    make_run("finished")
    at = open_page("home")
    at.session_state["home_shown"] = 0
    shown = []
    for _ in range(6):
        at.session_state["home_turned"] = 0.0  # as if the tick had passed
        run(at)
        shown.append(at.select_slider(key="home_epoch").value)
    assert shown[:3] == [1, 2, 3]
    assert shown[-1] == 3
    assert at.session_state["home_playing"] is False
    click(at, "home_play")
    assert at.select_slider(key="home_epoch").value == 0
    click(at, "home_play")
    assert at.session_state["home_playing"] is False


def test_the_card_is_filled_before_the_images_are_unpacked(monkeypatch):
    drawn = []
    monkeypatch.setattr(page, "live_chart", lambda *_, key, **__: drawn.append(key))
    monkeypatch.setattr(page, "strip", lambda *_, key: drawn.append(key))
    make_run("finished")
    open_page("home")
    assert drawn[:3] == ["home_accuracy", "home_loss", "home_strip"]


def test_the_server_unpacks_the_images_before_they_are_asked_for(home):
    (home / "data").unlink()
    unpack_images()
    assert catalog.is_ready("cifar10-mini")


def test_a_server_on_a_home_that_cannot_hold_images_starts_all_the_same(home):
    (home / "data").unlink()
    (home / "data").write_text("in the way")
    unpack_images()
    assert not catalog.is_ready("cifar10-mini")


def test_the_demo_comes_before_other_runs(monkeypatch):
    make_run("finished")
    demo = make_run("finished", epochs=5)
    monkeypatch.setattr(runs, "demo_run", lambda *_: demo)
    assert fact(open_page("home"), "Epochs") == "5"


def test_a_run_at_work_is_one_click_away():
    folder = make_run("paused")
    with worked_on(folder):
        at = open_page("home")
    assert at.page_link[-1].label == "A run is paused: watch it"
