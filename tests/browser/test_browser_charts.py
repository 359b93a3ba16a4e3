"""Figures as Plotly draws them in a real browser: names where they belong, and a toolbar that is in nobody's way."""

import importlib.resources
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser_support import Server, new_page
from playwright.sync_api import Browser, Page, expect
from rows_support import make_row

from playground.plots import RIGHT, draw_curves, draw_probabilities
from playground.plots.confusion import draw_confusion
from playground.runs import list_runs

pytestmark = pytest.mark.timeout(300)
PLOTLY = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
TOUCH = {"has_touch": True, "viewport": {"width": 390, "height": 844}}
NUMBERS = ("0", "10", "2", "$5", "0.5", "<b>1</b>", "3")

LABELS = """(plot, axis) => [...plot.querySelectorAll(`.${axis}tick text`)].map((text) => {
  const { x, y, width, height } = text.getBoundingClientRect()
  return [text.textContent, x + width / 2, y + height / 2, x + width]
})"""
MIDDLES = """(plot, axis) => {
  const { _offset, _categories } = plot._fullLayout[`${axis}axis`], place = plot.getBoundingClientRect()
  return _categories.map((name, k) => place[axis] + _offset + plot._fullLayout[`${axis}axis`].c2p(k))
}"""


@pytest.fixture
def empty_page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, offline=True)
    page.set_content("<div id=plot style='width:700px;height:600px'></div>")
    page.add_script_tag(path=str(PLOTLY))
    yield page
    page.close()


def drawn(page: Page, figure: dict[str, Any]) -> Any:
    page.evaluate("({data, layout}) => Plotly.newPlot('plot', data, layout)", figure)
    return page.locator("#plot")


@pytest.mark.parametrize("order", [range(7), (6, 2, 0, 5, 4, 1, 3)])
def test_each_row_and_column_of_a_confusion_matrix_carries_its_own_class(empty_page: Page, order: Any):
    names = [NUMBERS[k] for k in order]
    chosen = (4, 1)
    plot = drawn(empty_page, draw_confusion(np.arange(49).reshape(7, 7), names, chosen=chosen))
    middles = plot.evaluate(MIDDLES, "y")
    labels = plot.evaluate(LABELS, "y")
    assert [label[0] for label in sorted(labels, key=lambda label: label[2])] == names
    assert [label[2] for label in labels] == pytest.approx(middles, abs=3)
    # Slanted labels end below their column.
    ends = sorted(plot.evaluate(LABELS, "x"), key=lambda label: label[3])
    assert [label[0] for label in ends] == names
    assert [label[3] for label in ends] == pytest.approx(plot.evaluate(MIDDLES, "x"), abs=14)
    frame = plot.evaluate("plot => plot.querySelector('.shapelayer path').getBoundingClientRect()")
    assert frame["x"] + frame["width"] / 2 == pytest.approx(plot.evaluate(MIDDLES, "x")[chosen[1]], abs=3)
    assert frame["y"] + frame["height"] / 2 == pytest.approx(middles[chosen[0]], abs=3)


def test_each_bar_carries_its_class_and_the_true_one_is_there(empty_page: Page):
    names = ("10", "2", "0", "$5")
    plot = drawn(empty_page, draw_probabilities([0.1, 0.5, 0.3, 0.1], names, truth="0"))
    labels = sorted(plot.evaluate(LABELS, "y"), key=lambda label: label[2])
    assert [label[0] for label in labels] == ["2", "0 ✓", "10", "$5"]
    bars = plot.evaluate(
        """plot => [...plot.querySelectorAll('.bars .point path')].map((bar) => {
          const { y, width, height } = bar.getBoundingClientRect()
          return [y + height / 2, width, getComputedStyle(bar).fill]
        })"""
    )
    bars.sort()
    assert [bar[0] for bar in bars] == pytest.approx([label[2] for label in labels], abs=3)
    widths = np.array([bar[1] for bar in bars])
    assert widths / widths[0] == pytest.approx([1, 0.6, 0.2, 0.2], abs=0.03)
    right = tuple(int(RIGHT[i : i + 2], 16) for i in (1, 3, 5))
    assert [bar[2] == f"rgb{right}" for bar in bars] == [False, True, False, False]


def test_no_tick_is_in_thousandths_of_a_unit(empty_page: Page):
    progress = {"epoch": [0.01 * i for i in range(1, 90)], "accuracy": [0.5] * 89}
    progress |= {
        "loss": [10 ** (-i / 18) for i in range(89)],
        "learning_rate": [10 ** (-1 - i / 22) for i in range(89)],
    }
    progress |= {"images_per_second": [0.4 + i / 100 for i in range(89)]}
    seen = {}
    for name, figure in draw_curves(progress, [], total_epochs=1, log=True).items():
        seen[name] = [label[0].replace("\u200b", "") for label in drawn(empty_page, figure).evaluate(LABELS, "y")]
    assert not [tick for ticks in seen.values() for tick in ticks if re.search("[µμmn]", tick)]
    assert {"10−4", "10−3"} <= {*seen["loss"]}
    assert "0.5" in seen["throughput"]


@pytest.mark.parametrize("score", [0.1, 0.5, 1.0])
def test_the_label_of_the_best_epoch_covers_nothing(empty_page: Page, score: float):
    scores = {split: {"loss": 1.0, "accuracy": score} for split in ("train", "val", "test")}
    rows = [make_row({"type": "epoch", "epoch": e, "step": e, "seconds": e, **scores}) for e in (1, 2, 3)]
    figure = draw_curves({"epoch": [0.5, 1.0], "accuracy": [score] * 2}, rows, total_epochs=3)["accuracy"]
    figure["layout"] |= {"width": 306, "height": 204}  # as on a phone
    covered = drawn(empty_page, figure).evaluate(
        """plot => {
          const place = (part) => plot.querySelector(part).getBoundingClientRect()
          const covers = (one, other) => {
            const { left, right, top, bottom } = place(one), { left: l, right: r, top: t, bottom: b } = place(other)
            return left < r && right > l && top < b && bottom > t
          }
          const label = [".nsewdrag", ".legend", ".gtitle"].filter((part) => covers(part, ".annotation-text"))
          return covers(".gtitle", ".legend") ? [...label, "title and legend"] : label
        }"""
    )
    assert covered == []


COVERED = """charts => charts.flatMap((chart) => {
  const bar = chart.querySelector(".modebar")?.getBoundingClientRect()
  const parts = [".legend", ".nsewdrag", ".gtitle", ".xtitle", ".ytitle", ".xtick text", ".annotation"]
  return !bar?.height ? [] : parts.flatMap((part) => [...chart.querySelectorAll(part)]).filter((part) => {
    const { left, right, top, bottom } = part.getBoundingClientRect()
    return left < bar.right && right > bar.left && top < bar.bottom && bottom > bar.top
  }).map((part) => part.getAttribute("class") || part.textContent)
})"""


@pytest.mark.parametrize(("path", "touch"), [("", {}), ("evaluate", TOUCH), ("compare", TOUCH)])
def test_the_toolbar_covers_nothing_and_shares_nothing(browser: Browser, server: Server, path: str, touch: Any):
    page = new_page(browser, **touch)
    page.goto(f"{server.url}/{path}?{'runs' if path == 'compare' else 'run'}={list_runs()[0].id}")
    chart = page.locator(".live-chart:has(.nsewdrag):has(.modebar-btn)").first
    expect(chart).to_be_visible()
    chart.locator(".nsewdrag").hover()
    titles = chart.locator(".modebar-btn").evaluate_all("all => all.map(button => button.dataset.title)")
    assert titles[0].startswith("Download plot")
    assert not [title for title in titles if "hare" in title or "loud" in title]
    bar, frame = chart.locator(".modebar").bounding_box(), chart.bounding_box()
    assert bar and frame
    assert bar["y"] + bar["height"] <= frame["y"] + frame["height"] + 1, "it is cut off"
    assert page.locator(".live-chart").evaluate_all(COVERED) == []
    page.close()


def test_what_cannot_be_dragged_has_no_toolbar(page: Page, server: Server):
    page.goto(f"{server.url}/evaluate?run={list_runs()[0].id}")
    bars = page.locator(".st-key-evaluate_bars .live-chart")
    expect(bars.locator(".bars")).to_be_visible()
    expect(bars.locator(".modebar-btn")).to_have_count(0)
