"""What is written about the project holds: its dependencies, its pins, its README and its CI."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import docs

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEV = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["dev"]]

OWN = {"playground", "scripts", "benchmarks", "tests", "conftest"}
DISTRIBUTIONS = {
    "axe_playwright_python": "axe-playwright-python",
    "pi_heif": "pi-heif",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "tensorboardX": "tensorboardx",
    "pydantic_core": "pydantic",
}
INSTALL_AND_START = "pip install -r requirements.txt && streamlit run app.py"
INSTALL_AND_TEST = "pip install -r requirements-dev.txt && pytest"


def pins(name: str) -> list[Requirement]:
    """Return the lines of a requirements file; anything but a requirement (an option, a URL, a path) is an error."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def imported(*folders: str) -> set[str]:
    """Return the distributions that the Python files of the folders import at any depth."""
    tops: set[str] = set()
    for path in (path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops.add(node.module.split(".")[0])
    local = {path.stem for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")}
    return {DISTRIBUTIONS.get(top, top) for top in tops - set(sys.stdlib_module_names) - OWN - local}


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


@pytest.mark.parametrize(("file", "wanted"), [("requirements.txt", RUNTIME), ("requirements-dev.txt", RUNTIME + DEV)])
def test_the_pins_are_in_the_ranges(file, wanted):
    found = pins(file)
    assert all(pin.url is None and [s.operator for s in pin.specifier] == ["=="] for pin in found)
    assert names(wanted) <= names(found)
    for requirement in wanted:
        for pin in found:
            if canonicalize_name(pin.name) == canonicalize_name(requirement.name):
                version = next(iter(pin.specifier)).version
                assert requirement.specifier.contains(version), f"{file}: {pin} is not within {requirement}"


def test_both_files_pin_the_same_versions():
    assert set(map(str, pins("requirements.txt"))) <= set(map(str, pins("requirements-dev.txt")))


def test_what_only_linux_has_is_marked():
    for pin in pins("requirements-dev.txt"):
        if pin.name.startswith(("nvidia-", "cuda-", "triton")):
            assert pin.marker is not None
            assert not pin.marker.evaluate({"sys_platform": "win32", "platform_machine": "AMD64"}), pin
            assert not pin.marker.evaluate({"sys_platform": "darwin", "platform_machine": "arm64"}), pin


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "pyproject.toml", ".ci/run"])
def test_no_host_and_no_path_is_named(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|pypi|@ ", text)


def test_every_import_is_declared():
    assert imported("playground", "pages") | {"streamlit"} <= names(RUNTIME)
    assert imported("tests", "scripts", "benchmarks") <= names(RUNTIME + DEV)


def test_the_entry_point_exists():
    module, function = PROJECT["project"]["scripts"]["playground"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", docs.WRITTEN)
def test_what_the_docs_copy_from_the_code_is_current(name):
    assert docs.updated(name) == (ROOT / name).read_text(encoding="utf-8"), "run: python -m scripts.docs"


def test_the_readme_and_the_ci_call_the_same_two_commands():
    assert INSTALL_AND_START in README.splitlines()
    assert INSTALL_AND_TEST in README.splitlines()
    assert INSTALL_AND_TEST in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


DOCS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_the_readme_is_short_and_begins_with_the_picture():
    assert len(README.encode()) <= 9000
    assert README.split("\n\n")[1].startswith("![")


def test_every_page_of_the_docs_is_linked_from_the_readme():
    names = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert {name for name in names if f"docs/{name}" not in README} == set()


def test_every_environment_variable_is_told():
    told = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    code = "".join(
        path.read_text(encoding="utf-8") for folder in ("playground", "tests") for path in (ROOT / folder).rglob("*.py")
    )
    read = set(re.findall(r"PLAYGROUND_[A-Z_]+", code))
    assert {name for name in read if f"`{name}`" not in told} == set()
    assert {name for name in re.findall(r"`(PLAYGROUND_[A-Z_]+)`", told) if name not in read} == set()


def test_every_picture_says_what_it_shows():
    assert all(alt.strip() for alt in re.findall(r"!\[([^]]*)\]", README))


def test_the_ci_script_is_executable_and_parses():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)
