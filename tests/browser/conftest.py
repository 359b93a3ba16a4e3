"""A fresh server and a real browser. Without Chromium these tests skip; PLAYGROUND_REQUIRE_BROWSER=1 forbids that."""

import os
from collections.abc import Iterator

import pytest
from browser_support import (
    FLAGS,
    PATIENCE,
    Server,
    chromium,
    complaints_of_tabs,
    new_page,
    start_server,
    stop_server,
    tabs,
)
from playwright.sync_api import Browser, Page, expect, sync_playwright

from playground import runs
from playground.jobs import client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A fresh server for the tests of one file; what it prints must be free of warnings."""
    home = tmp_path_factory.mktemp("server-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))  # so that tests see the same runs
        server = start_server(home, home.parent / f"{home.name}.log")
        try:
            yield server
        finally:
            stop_server(server)
    assert not server.complaints()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        if os.environ.get("PLAYGROUND_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium was found, and PLAYGROUND_REQUIRE_BROWSER=1 asks for one; install chromium")
        pytest.skip("no Chromium was found; install chromium, or set CHROMIUM to its path")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def quiet_consoles() -> Iterator[None]:
    """Fail if the console of any tab that the test opened shows an error or a warning."""
    complaints_of_tabs.clear()
    yield
    while tabs:  # one that a failed test left open would complain in the next test that its server is gone
        tabs.pop().close()
    assert not complaints_of_tabs


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab; the test fails if the page reached for another host, or the server's console shows a complaint."""
    page = new_page(browser)
    strangers: list[str] = []
    page.on("request", lambda request: strangers.append(request.url))
    yield page
    page.close()
    for run in runs.list_runs():  # what a failed test left behind must not slow down the next
        if run.status().active:
            client.stop_run(run)
    assert not [url for url in strangers if url.startswith("http") and "//127.0.0.1:" not in url]
    assert not server.complaints()
