"""The wheel serves: what is built of the checkout holds all that the app needs, wherever it is installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from browser_support import ROOT, await_server, free_port, new_page, stop_server
from playwright.sync_api import Browser, expect


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel was installed, without what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, ROOT], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")  # which is what installing a wheel without compiled parts is
    return folder / "site"


def test_it_holds_the_package_and_the_app(installed: Path):
    places = {ROOT / "playground": "playground", ROOT / "pages": "playground/app/pages"}
    for folder, place in places.items():
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (installed / place / path.relative_to(folder)).read_bytes() == path.read_bytes()
    assert not (installed / "tests").exists()


def test_it_serves(installed: Path, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    port = free_port()
    serve = [sys.executable, "-c", "from playground.cli import main; main()", "serve", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    server = await_server(serve, tmp_path, url, tmp_path / "home", tmp_path / "log", PYTHONPATH=str(installed))
    try:
        page = new_page(browser)
        page.goto(f"{url}/train")
        expect(page.get_by_text("Network", exact=True)).to_be_visible()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        page.close()
    finally:
        stop_server(server)
    assert not server.complaints()
