"""Two people, each in a browser of their own, on one server."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import pytest
from browser_support import Server, new_page, start_server, stop_server
from playwright.sync_api import Browser, Page, expect

from playground import people, runs
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=["", "class/cnn"], ids=["at the root", "under a path"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where everybody who comes by a browser is a person of their own."""
    home = tmp_path_factory.mktemp("shared-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))
        patch.setenv("PLAYGROUND_SHARED", "1")
        server = start_server(home, home.parent / f"{home.name}.log", base_path=request.param)
        try:
            yield server
        finally:
            stop_server(server)
    assert not server.complaints()


def transport(page: Page, name: str):
    return page.locator(".st-key-transport").get_by_role("button", name=name, exact=True)


def shown_run(page: Page) -> RunFolder:
    return runs.open_run(parse_qs(urlparse(page.url).query)["run"][0])


def test_a_second_person_gets_a_form_of_their_own_and_changes_nothing_of_the_firsts_run(
    browser: Browser, shared: Server
):
    anna, ben = new_page(browser), new_page(browser)  # each in a context, so with cookies, of its own
    anna.goto(f"{shared.url}/train?epochs=300&batch_size=16&schedule=constant")
    transport(anna, "Play").click()
    anna.wait_for_url("**run=**")
    run = shown_run(anna)
    (cookie,) = [c for c in anna.context.cookies() if c["name"].startswith("playground-")]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Lax", False)
    assert run.owner == people.read_cookie(cookie["value"])
    assert cookie["value"] not in (run.path / "about.json").read_text()

    # Ben arrives at an empty form, not in Anna's run.
    ben.goto(f"{shared.url}/train")
    expect(transport(ben, "Play")).to_be_enabled()
    assert "run=" not in ben.url

    # With Anna's link he may watch, and no more.
    ben.goto(anna.url)
    line = ben.locator(".st-key-whose_run")
    expect(line).to_contain_text(f"This is a run of {people.name_person(run.owner)}")
    expect(transport(ben, "Stop")).to_be_disabled()
    expect(transport(ben, "Pause")).to_have_count(0)
    slider = ben.get_by_role("slider", name="Dropout")
    slider.focus()
    ben.keyboard.press("ArrowRight")
    ben.wait_for_url("**dropout=0.05**")
    expect(ben.locator(".st-key-changed_knobs")).to_have_count(0)

    # He takes its settings, and plays: a run of his own.
    line.get_by_role("button", name="Take its settings into my form").click()
    expect(line).to_have_count(0)
    expect(ben.get_by_role("spinbutton", name="Epochs")).to_have_value("300")
    transport(ben, "Play").click()
    ben.wait_for_url(lambda url: "run=" in url and run.id not in url)  # hers may still stand there
    own = shown_run(ben)
    assert own != run
    assert own.owner not in (run.owner, people.MACHINE)
    assert own.config == run.config
    assert run.status().active
    assert not (run.path / "control.jsonl").exists()

    # Each arrives at their own last run, whatever is newest.
    for page, last in ((anna, run), (ben, own)):
        page.goto(f"{shared.url}/train")
        page.wait_for_url("**run=**")
        assert shown_run(page) == last
        expect(page.locator(".st-key-whose_run")).to_have_count(0)
        transport(page, "Stop").click()
        expect(page.locator(".st-key-status_line")).to_contain_text("Stopped")
    anna.context.close()
    ben.context.close()
