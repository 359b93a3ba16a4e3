"""A teacher starts a small sweep, sees it finish and takes the best to the form, in a real browser."""

import re

import pytest
from browser_support import Server
from playwright.sync_api import Page, expect

from playground import runs, studies
from playground.config import from_flat
from playground.studies import Study, lifecycle

pytestmark = pytest.mark.timeout(300)

SMALL = {"images_per_class": 8, "channels": "4", "fc_width": 0, "epochs": 2, "batch_size": 16, "device": "cpu"}


def test_a_sweep_from_the_form_to_its_best(page: Page, server: Server):
    base = runs.create_run(from_flat(SMALL), "small")
    base.set_status(state="stopped")
    page.goto(f"{server.url}/studies")
    page.get_by_role("radio", name="A run's").click()
    expect(page.get_by_text("Images per class 8")).to_be_visible()
    page.get_by_role("textbox", name="From").fill("0.001")
    page.get_by_role("textbox", name="From").press("Enter")
    page.get_by_role("spinbutton", name="How many").fill("3")
    page.get_by_role("spinbutton", name="How many").press("Enter")
    expect(page.get_by_text("3 runs", exact=True)).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Sweep of learning rate", exact=True).first).to_be_visible()
    page.wait_for_url(re.compile(r"/studies\?study="))
    expect(page.get_by_text("3 of 3 runs")).to_be_visible(timeout=90_000)
    chart = page.get_by_role("figure", name="Accuracy on the validation images of 3 runs over learning rate")
    expect(chart.locator(".scatterlayer .point")).to_have_count(3)
    (folder,) = studies.list_studies()
    assert {member.run.status().state for member in folder.members()} == {"finished"}
    page.get_by_role("button", name="Use the best in the form").click()
    page.wait_for_url(re.compile(r"/train\?.*images_per_class=8"))
    rate = re.search(r"learning_rate=([^&]+)", page.url)
    assert rate and rate[1] in [member.values["learning_rate"] for member in folder.members()]


def test_two_knobs_are_parallel_coordinates_and_a_map(page: Page, server: Server):
    axes = (studies.parse_axis("kernel_size=1,3"), studies.parse_axis("learning_rate=1e-3,1e-2"))
    folder = lifecycle.start_study(Study("sweep", from_flat(SMALL | {"epochs": 1}), axes=axes, name="two knobs"))
    page.goto(f"{server.url}/studies?study={folder.id}")
    expect(page.get_by_text("4 of 4 runs")).to_be_visible(timeout=90_000)
    expect(page.locator(".parcoords .axis-title")).to_have_text(
        ["Kernel size", "Learning rate", "Validation accuracy (%)"]
    )
    map_ = page.get_by_role(
        "figure", name="Accuracy on the validation images of 4 runs over kernel size and learning rate"
    )
    expect(map_.locator(".heatmaplayer")).to_be_attached()
    page.get_by_role("button", name="Compare the runs").click()
    page.wait_for_url(re.compile(r"/compare\?runs="))
