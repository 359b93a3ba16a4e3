"""A person keeps the shelf of runs in order, in a real browser on a fresh server."""

import re
import zipfile
from pathlib import Path

import pytest
from browser_support import Server, new_page
from playwright.sync_api import Browser, Page, expect

from playground import runs
from playground.config import from_flat
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)

HEADER, ROW = 35, 35  # the table's, in pixels


@pytest.fixture
def run(server: Server) -> RunFolder:
    """The newest run, so the first row."""
    for old in runs.list_runs():
        if not old.read_only:
            old.delete()
    runs.empty_trash()
    made = runs.create_run(from_flat({"kernel_size": 5, "channels": "8-24"}), "first name")
    made.set_status(state="finished", epoch=3, epochs=10, best_score=0.5, seconds=83.0, parameters=1234)
    return made


def select(page: Page, row: int = 0) -> None:
    """Tick the box before a row."""
    box = page.get_by_test_id("stDataFrame").locator("canvas").first.bounding_box()
    assert box
    page.mouse.click(box["x"] + 18, box["y"] + HEADER + ROW * (row + 0.5))
    expect(button(page, "Open")).to_be_enabled()


def button(page: Page, name: str):
    """A button by its words; the box to sort by has an "Open" too."""
    where = page.locator(".st-key-act_open") if name == "Open" else page
    return where.get_by_role("button", name=name, exact=True)


def in_table(page: Page, text: str):
    """A cell, as a screen reader finds it behind the canvas."""
    return page.get_by_test_id("stDataFrame").locator("td", has_text=text)


def open_shelf(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/runs")
    expect(page.get_by_test_id("stDataFrame").locator("canvas").first).to_be_visible()


def test_rename_note_and_search(page: Page, server: Server, run: RunFolder):
    open_shelf(page, server)
    expect(button(page, "Open")).to_be_disabled()
    select(page)
    button(page, "Rename").click()
    page.get_by_role("textbox", name="Name").fill("second name")
    page.get_by_role("textbox", name="Note").fill("for the talk")
    button(page, "Save").click()
    expect(in_table(page, "second name")).to_be_attached()
    expect(page.get_by_text("for the talk").first).to_be_visible()
    assert run.name == "second name"
    page.keyboard.press("Escape")
    search = page.get_by_role("searchbox")
    search.fill("nothing like it")
    expect(page.get_by_text("No run passes these filters.")).to_be_visible()
    search.fill("talk")
    expect(in_table(page, "second name")).to_be_attached()


def test_duplicate_takes_the_knobs_to_the_form(page: Page, server: Server, run: RunFolder):
    open_shelf(page, server)
    select(page)
    button(page, "Duplicate").click()
    page.wait_for_url(re.compile(r"/train\?.*kernel_size=5"))
    expect(page.get_by_role("slider", name="Kernel size (px)")).to_have_value("5")
    assert "channels=8-24" in page.url


def test_open_shows_the_run(page: Page, server: Server, run: RunFolder):
    open_shelf(page, server)
    select(page)
    button(page, "Open").click()
    page.wait_for_url(re.compile(f"/train.*run={run.id}"))


def test_delete_and_undo(page: Page, server: Server, run: RunFolder):
    open_shelf(page, server)
    select(page)
    button(page, "Delete").click()
    expect(page.get_by_text("Deleted first name; the trash keeps it for 7 days.")).to_be_visible()
    expect(in_table(page, "first name")).to_have_count(0)
    assert not run.path.exists()
    button(page, "Undo").click()
    expect(in_table(page, "first name")).to_have_count(1)
    assert run.path.exists()
    button(page, "Delete").click()
    expect(in_table(page, "first name")).to_have_count(0)
    page.reload()
    button(page, "Trash (1)").click()
    button(page, "Restore").click()
    expect(in_table(page, "first name")).to_have_count(1)


def test_download_and_import(page: Page, server: Server, run: RunFolder, tmp_path: Path):
    open_shelf(page, server)
    select(page)
    with page.expect_download() as download:
        button(page, "Download").click()
    assert download.value.suggested_filename == "first-name.zip"
    path = tmp_path / "run.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert f"{run.id}/config.json" in archive.namelist()
    button(page, "Import").click()
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("Imported run.zip")).to_be_visible()
    assert [made.config for made in runs.list_runs() if not made.read_only] == [run.config] * 2


def test_export_a_report_that_needs_no_network(page: Page, server: Server, run: RunFolder, tmp_path: Path):
    open_shelf(page, server)
    expect(button(page, "Export")).to_be_disabled()
    select(page, row=1)  # the demo
    button(page, "Export").click()
    expect(page.get_by_text("It downloads CIFAR-10 the first time.")).to_be_visible()
    page.get_by_role("combobox", name="Format").click()
    page.get_by_role("option", name="Report (HTML)").click()
    expect(page.get_by_text("One file; it needs no network.")).to_be_visible()
    with page.expect_download() as download:
        page.locator(".st-key-export_download").get_by_role("button").click()
    assert download.value.suggested_filename == "Demo-CIFAR-10-epoch-24.html"
    path = tmp_path / "report.html"
    download.value.save_as(path)
    see_report(page, path)


def see_report(page: Page, path: Path) -> None:
    """Open a report with no network; its charts are drawn in the colours of either theme, and nothing complains."""
    assert page.context.browser
    context = page.context.browser.new_context(offline=True, color_scheme="dark")
    report = context.new_page()
    complaints: list[str] = []
    report.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    report.on("pageerror", lambda error: complaints.append(str(error)))
    requests: list[str] = []
    report.on("request", lambda request: requests.append(request.url))
    report.goto(path.as_uri())
    expect(report.locator("#confusion .heatmaplayer image").first).to_be_attached()
    assert report.locator(".chart:has(.main-svg)").count() == 5
    buttons = report.locator(".modebar-btn").evaluate_all("all => all.map(button => button.dataset.title)")
    assert buttons
    assert not [title for title in buttons if "hare" in title]  # "Share chart…" would upload it
    title = report.locator("#loss .gtitle")
    expect(title).to_have_css("fill", "rgb(232, 234, 240)")
    report.emulate_media(color_scheme="light")
    expect(title).to_have_css("fill", "rgb(31, 36, 48)")
    assert report.locator("img").evaluate("image => image.naturalWidth") > 100
    assert report.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]
    assert not complaints
    context.close()


def test_on_a_phone_the_runs_are_a_list(browser: Browser, server: Server, run: RunFolder):
    page = new_page(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    page.goto(f"{server.url}/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_in_viewport()
    expect(page.get_by_test_id("stDataFrame")).to_be_hidden()
    row = page.get_by_role("button", name="first name · finished")
    expect(row).to_be_in_viewport()
    row.tap()
    expect(button(page, "Open")).to_be_enabled()
    expect(page.get_by_text("first name · finished · made")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    page.close()


def test_states_change_by_themselves(page: Page, server: Server, run: RunFolder):
    run.set_status(state="queued")  # nobody put it into the queue
    open_shelf(page, server)
    expect(in_table(page, "Queued")).to_be_attached()
    run.set_status(state="stopped")
    expect(in_table(page, "Stopped")).to_be_attached()
    other = runs.create_run(run.config, "from elsewhere")  # while nothing is at work it still looks now and then
    other.set_status(state="finished")
    expect(in_table(page, "from elsewhere")).to_be_attached()
