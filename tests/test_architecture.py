"""The arrows between the modules, read from the source with `ast`; and what the light modules bring into a process."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("playground/**/*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("app.py")])
CORE = [path for path in SOURCES if path.is_relative_to(ROOT / "playground") and "ui" not in path.parts]
ALL_CODE = [*SOURCES, *sorted(ROOT.glob("scripts/*.py")), *sorted(ROOT.glob("benchmarks/*.py"))]

MAX_MODULE_LINES = 399
MAX_FUNCTION_LINES = 59

# Each part and what it never imports, at any depth of the file and not even for its types.
GROUND = ("playground.choices", "playground.config", "playground.errors")
ABOVE = sorted(
    {".".join(path.relative_to(ROOT).with_suffix("").parts[:2]) for path in CORE if path.parent != ROOT / "playground"}
    | {f"playground.{path.stem}" for path in CORE if path.parent == ROOT / "playground"}
)
NEVER = {
    "playground.choices": ["playground"],
    "playground.config": [name for name in ABOVE if name not in GROUND],
    "playground.home": [name for name in ABOVE if name != "playground.errors"],
    "playground.errors": ["playground"],
    "playground.locks": ["playground"],
    "playground.zips": [name for name in ABOVE if name != "playground.errors"],
    "playground.people": [
        "playground.config",
        "playground.data",
        "playground.jobs",
        "playground.runs",
        "playground.studies",
        "playground.ui",
    ],
    "playground.events": ["playground.runs", "playground.jobs", "playground.plots", "torch"],
    "playground.geometry": ["playground.data", "playground.models", "playground.runs", "playground.training", "torch"],
    "playground.metrics": ["playground.data", "playground.models", "playground.runs", "playground.training", "torch"],
    "playground.data": ["playground.jobs", "playground.models", "playground.runs", "playground.training"],
    "playground.models": ["playground.data", "playground.jobs", "playground.runs", "playground.training"],
    "playground.training": ["playground.jobs", "playground.plots", "playground.runs", "multiprocessing", "subprocess"],
    "playground.runs": ["playground.jobs", "playground.models", "playground.training"],
    "playground.judge": ["playground.jobs", "playground.models", "playground.training", "torch"],
    "playground.studies": ["playground.models", "playground.training", "torch"],
    "playground.plots": ["playground.jobs", "playground.models", "playground.training", "torch"],
    "pages": ["playground.training", "playground.models", "torch"],
}

# What the server imports at start-up: none of it brings torch (3 s and about 530 MB) or Streamlit along.
LIGHT = [
    "playground.choices",
    "playground.config",
    "playground.home",
    "playground.events",
    "playground.geometry",
    "playground.metrics",
    "playground.images",
    "playground.presets",
    "playground.runs",
    "playground.data.catalog",
    "playground.data.store",
    "playground.jobs.client",
    "playground.plots",
    "playground.judge",
    "playground.compare",
    "playground.diagnosis",
    "playground.studies",
    "playground.exports",
    "playground.segment",
    "playground.cli",
]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of each module, and of each name taken from a module, that the file imports anywhere."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def offenders(paths: list[Path], packages: list[str], own: str = "") -> list[str]:
    """Say which of the files import anything of the packages, save what is within `own`."""
    return sorted(
        {
            f"{path.relative_to(ROOT)} imports {name}"
            for path in paths
            for name in imports(path)
            for package in packages
            if within(name, package) and not (own and within(name, own))
        }
    )


def test_the_sources_are_found():
    assert len(CORE) > 10


def test_relative_imports_are_resolved(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "playground" / "data" / "store.py"
    file.parent.mkdir(parents=True)
    file.write_text("from . import catalog\nfrom ..runs import x\ndef f():\n    import torch.nn as nn\n")
    assert set(imports(file)) == {
        "playground.data",
        "playground.data.catalog",
        "playground.runs",
        "playground.runs.x",
        "torch.nn",
    }


def test_the_core_never_imports_streamlit_or_the_ui():
    assert offenders(CORE, ["streamlit", "playground.ui"]) == []


@pytest.mark.parametrize("part", NEVER)
def test_arrows(part):
    paths = [path for path in SOURCES if within(module_name(path), part)]
    assert paths, f"there is no {part}"
    assert offenders(paths, NEVER[part], own=part) == []


def test_nobody_imports_a_page():
    assert offenders(SOURCES, ["pages", "app"]) == []


def imported(statements: str, *suspects: str) -> list[str]:
    """Run the statements in a fresh interpreter and return which of the suspects they brought along."""
    code = f"import sys\n{statements}\nprint(*[name for name in {suspects!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_brings_no_torch_and_no_streamlit(module):
    assert imported(f"import {module}", "torch", "streamlit") == []


def test_the_ui_brings_no_torch():
    modules = [module_name(path) for path in SOURCES if within(module_name(path), "playground.ui")]
    assert modules
    assert imported(f"import {', '.join(modules)}", "torch") == []


@pytest.mark.parametrize("path", ALL_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE_LINES
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}
