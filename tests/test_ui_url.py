"""Addresses: a link shows another person the same view, layer, image and cell."""

import re

import pytest
from ui_support import app_home, make_run, open_page, run, texts, unpacked

from playground.ui.common.url import Part

__all__ = ["app_home", "unpacked"]

pytestmark = pytest.mark.usefixtures("app_home")


@pytest.mark.parametrize(
    ("part", "text", "value"),
    [
        (Part("a"), "0", 0),
        (Part("a"), "123", 123),
        (Part("a"), "", None),
        (Part("a"), "-1", None),
        (Part("a"), "1e3", None),
        (Part("a"), "٣", None),
        (Part("a"), "9" * 5000, None),
        (Part("a", ("maps", "why")), "why", "why"),
        (Part("a", ("maps", "why")), "wh", None),
        (Part("a", re.compile("[a-z0-9.]{1,20}")), "block1.conv1", "block1.conv1"),
        (Part("a", re.compile("[a-z0-9.]{1,20}")), "![x](http://x)", None),
    ],
)
def test_a_part_is_read_or_left_alone(part, text, value):
    assert part.read(text) == value


def opened_again(page, at, **missing):
    """Open the address of a page in a fresh session."""
    query = {name: at.query_params[name] for name in at.query_params}
    assert query.keys() >= missing.keys()
    again = open_page(page, **query)
    assert again.query_params == query
    return again


def test_a_link_to_a_cell_of_the_confusion_matrix_shows_its_images():
    folder = make_run()
    at = open_page("evaluate", run=folder.id, epoch="2")
    at.selectbox(key="evaluate_true_widget").select("cat")
    at.selectbox(key="evaluate_guess_widget").select("frog")
    at = run(run(at))
    assert (at.query_params["true"], at.query_params["predicted"]) == ("3", "6")
    assert "of cat predicted as frog" in texts(at)
    assert "of cat predicted as frog" in texts(opened_again("evaluate", at))


@pytest.mark.parametrize("page", ["evaluate", "inside"])
def test_a_link_shows_its_view(page):
    views = {"evaluate": "per_class", "inside": "kernels"}
    at = open_page(page, run="demo", epoch="24", view=views[page])
    assert at.session_state[f"{page}_view"] == views[page]
    assert at.query_params["view"] == views[page]


def test_a_link_to_a_number_of_a_layer_shows_it_for_the_same_image():
    link = {"view": "maps", "image": "7", "layer": "block2.conv1", "map": "3", "row": "2", "column": "5"}
    at = open_page("inside", run="demo", epoch="24", **link)
    assert {name: at.query_params[name] for name in link} == link
    assert at.selectbox(key="inside_layer").value == "block2.conv1"
    assert [at.number_input(key=f"inside_{name}").value for name in ("map", "row", "column")] == [3, 2, 5]
    at.selectbox(key="inside_layer").select("block1.conv1")
    at = run(run(at))
    assert opened_again("inside", at).selectbox(key="inside_layer").value == "block1.conv1"


def test_a_link_to_an_image_shows_it_on_predict():
    at = open_page("predict", run="demo", epoch="24", image="7")
    assert at.session_state["predict_row"] == 7
    assert at.query_params["image"] == "7"


def test_what_a_link_gets_wrong_is_left_as_it_is():
    wrong = {"view": "nonsense", "image": "-3", "layer": "![x](http://x.org)", "map": "1e9", "row": "NaN"}
    at = open_page("inside", run="demo", **wrong)
    assert at.query_params["view"] == "maps"
    assert "x.org" not in texts(at)
    at = open_page("evaluate", run="demo", true="999999", predicted="77")
    assert not at.error
