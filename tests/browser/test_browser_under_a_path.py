"""The app behind a proxy, under a path; and what names that are not ours do in a browser: nothing."""

import urllib.request
from collections.abc import Iterator

import pytest
from browser_support import Server, start_server, stop_server
from playwright.sync_api import Page, expect

from playground import runs
from playground.data import store
from playground.runs import RunFolder
from playground.ui.components.assets import PLOTLY_PATH

FOE = "**b** $x$ :red[r] :material/home: ![i](http://a.b/i.png) <b>t</b> - www.a.b"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))
        store.open_arrays("cifar10-mini")
        server = start_server(home, home.parent / f"{home.name}.log", base_path="cnn/play")
        try:
            yield server
        finally:
            stop_server(server)


def demo() -> RunFolder:
    """The bundled run that tells images apart."""
    return runs.open_run("demo")


def test_what_the_browser_fetches_lies_under_the_path(server: Server) -> None:
    for path, kind in ((PLOTLY_PATH, "text/javascript"), ("assets/test-images/cifar10-mini.webp", "image/webp")):
        with urllib.request.urlopen(f"{server.url}/{path}", timeout=60) as answer:
            assert answer.headers["content-type"].split(";")[0] == kind


@pytest.mark.parametrize("where", ["train", "evaluate"])
def test_charts_are_drawn_under_a_path(page: Page, server: Server, where: str) -> None:
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    page.goto(f"{server.url}/{where}?run={demo().id}")
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    assert [url for url in failed if "/_stcore/" not in url] == []  # Streamlit tries where its own routes are


def test_hostile_names_are_read_as_they_stand_and_fetch_nothing(page: Page, server: Server) -> None:
    """The page's fixture fails if a request went to another host."""
    copy = runs.create_run(demo().config, FOE, FOE)
    copy.set_status(state="failed", message=FOE)
    page.goto(f"{server.url}/train?run={copy.id}")
    line = page.locator(".st-key-status_line")
    expect(line).to_contain_text("**b** $x$ :red[r]")
    assert FOE in line.inner_text().replace("\u2060", "")
    page.goto(f"{server.url}/compare?runs={copy.id},{FOE}")
    expect(page.get_by_text("there is no run").first).to_be_visible()
    assert page.locator("img[src*='a.b'], a[href*='a.b'], .katex").count() == 0
