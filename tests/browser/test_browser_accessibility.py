"""Every page, in both themes and each of its views, under axe-core: nothing serious, and names that can be read out."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_support import SCHEMES, Server, new_page, set_scheme
from playwright.sync_api import Browser, Page, expect

from playground import runs
from playground.config import from_flat
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)

PAGES = {
    "home": "",
    "train": "train?run={run}",
    "runs": "runs",
    "compare": "compare?runs={run},demo",
    "predict": "predict?run=demo",
    "inside": "inside?run={run}",
    "segment": "segment?run=demo-segmentation",
    "evaluate": "evaluate?run=demo",
    "studies": "studies",
    "data": "data",
}
TINY = {"channels": "4-4", "fc_width": 8, "device": "cpu", "precision": "float32", "threads": 1, "images_per_class": 20}

STREAMLITS_OWN: dict[str, tuple[str, ...]] = {}
"""What Streamlit draws and nobody but Streamlit can mend: the rule, and the elements that it may complain of."""

NAMES = """() => [...document.querySelectorAll("[aria-label], [title], img[alt], [placeholder]")].flatMap((node) =>
  ["aria-label", "title", "alt", "placeholder"].map((name) => node.getAttribute(name)).filter(Boolean)
)"""
STYLED = """() => getComputedStyle(document.querySelector("[data-testid=stMainBlockContainer]")).paddingLeft ===
  `${2 * parseFloat(getComputedStyle(document.documentElement).fontSize)}px`"""
"""Whether our style sheet has come, which says what the padding is."""
MARKUP = (":material/", "**", "-badge[", ":primary[", ":gray[", "](", "\\\\")


@pytest.fixture(scope="module")
def trained(server: Server) -> RunFolder:
    run = runs.create_run(from_flat(TINY | {"epochs": 2}), "trained here")
    assert run_worker(run, Slot("cpu", 1)).state == "finished"
    return run


def wait_until_drawn(page: Page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.wait_for_function("() => !document.querySelector('[data-testid=stSpinner], [data-stale=true]')")
    page.wait_for_function(STYLED)


def serious(found: dict[str, Any]) -> list[str]:
    """Say what axe found that is serious or critical and not Streamlit's own."""
    said = []
    for rule in found["violations"]:
        if rule["impact"] not in ("serious", "critical"):
            continue
        allowed = STREAMLITS_OWN.get(rule["id"], ())
        for node in rule["nodes"]:
            if not any(part in node["html"] for part in allowed):
                reasons = [check["message"] for check in (*node["any"], *node["all"], *node["none"])]
                said.append(f"{rule['id']}: {node['html'][:200]} {reasons}")
    return said


def examine(page: Page) -> list[str]:
    """Return what is wrong with the page as it stands."""
    wrong = serious(Axe().run(page).response)
    names = page.evaluate(NAMES)
    wrong += [f"markup in a name: {name}" for name in names if any(mark in name for mark in MARKUP)]
    nameless = page.evaluate("() => document.querySelectorAll('img:not([alt]), figure:not([aria-label])').length")
    return wrong + (["an image or a chart without words"] if nameless else [])


def examine_schemes(page: Page) -> list[str]:
    """Return what is wrong with the page as it stands, dark and light."""
    wrong = []
    for scheme in SCHEMES:
        set_scheme(page, scheme)
        wrong += [f"{scheme}: {fault}" for fault in examine(page)]
    return wrong


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Browser, server: Server, trained: RunFolder, name: str):
    page = new_page(browser, color_scheme=SCHEMES[0])
    page.goto(f"{server.url}/{PAGES[name].format(run=trained.id)}")
    wait_until_drawn(page)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    assert not examine_schemes(page)
    views = page.locator(f".st-key-{name}_view").get_by_role("radio")
    for i in range(1, views.count()):
        views.nth(i).click()
        wait_until_drawn(page)
        assert not examine_schemes(page), views.nth(i).inner_text()
    for opener in page.get_by_test_id("stPopoverButton").all():
        if opener.is_visible() and opener.is_enabled():
            opener.click()
            expect(page.get_by_test_id("stPopoverBody")).to_be_visible()
            page.mouse.move(1, 1)  # a help that fades in or out has no contrast yet
            expect(page.get_by_test_id("stTooltipContent")).to_have_count(0)
            wait_until_drawn(page)
            assert not examine_schemes(page), opener.inner_text()
            page.keyboard.press("Escape")
            expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
    page.close()


def test_axe_finds_nothing_serious_while_a_run_is_at_work(browser: Browser, server: Server):
    run = runs.create_run(from_flat(TINY | {"epochs": 1000, "batch_size": 4}), "at work")
    client.submit_run(run)
    page = new_page(browser, color_scheme=SCHEMES[0])
    page.goto(f"{server.url}/train?run={run.id}")
    expect(page.get_by_text("images/s").first).to_be_visible()
    page.wait_for_function(STYLED)
    assert not examine_schemes(page)
    page.goto(f"{server.url}/runs")
    expect(page.get_by_test_id("stDataFrame").locator("td", has_text="Running").first).to_be_attached()
    page.wait_for_function(STYLED)
    assert not examine_schemes(page)
    page.close()
    client.stop_run(run)
