"""The arrows between the modules, read from the source with `ast`; and what the light modules bring into a process."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("playground/**/*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("app.py")])
CORE = [path for path in SOURCES if path.is_relative_to(ROOT / "playground") and "ui" not in path.parts]
ALL_CODE = [*SOURCES, *sorted(ROOT.glob("scripts/*.py")), *sorted(ROOT.glob("benchmarks/*.py"))]

MAX_MODULE_LINES = 399
MAX_FUNCTION_LINES = 59

# The floors of the house, the ground first: each imports only from those before it. Named in docs/architecture.md.
FLOORS = (
    *("errors", "locks", "interrupts", "choices", "zips", "images", "home", "people", "config", "events", "metrics"),
    *("tasks", "geometry", "plots", "data", "presets", "runs", "models", "training", "jobs", "inference", "interpret"),
    *("exports", "diagnosis", "comparison", "studies", "ui", "cli"),
)
# What else a part never imports, at any depth of the file and not even for its types.
NEVER = {
    "playground.choices": ["playground"],
    "playground.events": ["torch"],
    "playground.geometry": ["torch"],
    "playground.training": ["multiprocessing", "subprocess"],
    "playground.studies": ["torch"],
    "playground.comparison": ["torch"],
    "playground.plots": ["torch"],
    "playground.cli": ["playground.ui"],
    "pages": ["playground.training", "playground.models", "torch"],
}

# What the server imports at start-up: none of it brings torch (3 s and about 530 MB) or Streamlit along.
LIGHT = [
    "playground.choices",
    "playground.config",
    "playground.home",
    "playground.events",
    "playground.geometry",
    "playground.images",
    "playground.presets",
    "playground.runs",
    "playground.data.catalog",
    "playground.data.store",
    "playground.jobs.client",
    "playground.plots",
    "playground.metrics",
    "playground.comparison.costs",
    "playground.comparison.significance",
    "playground.comparison.remedies",
    "playground.diagnosis",
    "playground.studies",
    "playground.exports",
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


def imported_modules(path: Path) -> set[str]:
    """Return which of our modules a file imports; of a package, what is taken from it if that is a module too."""
    ours, names = {module_name(source) for source in SOURCES}, {*imports(path)}
    last = {name for name in names if not any(other.startswith(f"{name}.") for other in names)}
    return {name if name in ours else name.rpartition(".")[0] for name in last} & ours


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


def floor_of(name: str) -> str:
    """Return the package or module right under `playground` that a full name lies in; "" for the package itself."""
    return name.split(".")[1] if within(name, "playground") and "." in name else ""


def test_every_package_has_its_floor():
    assert {floor_of(module_name(path)) for path in SOURCES if path.is_relative_to(ROOT / "playground")} - {
        "",
        "__main__",
    } == set(FLOORS)


@pytest.mark.parametrize("floor", FLOORS)
def test_no_import_runs_upward(floor):
    paths = [path for path in SOURCES if floor_of(module_name(path)) == floor]
    above = [f"playground.{name}" for name in FLOORS[FLOORS.index(floor) + 1 :]]
    assert offenders(paths, above) == []


def find_circles(arrows: dict[str, set[str]]) -> list[str]:
    """Return one line for each circle that is met on the way along the arrows {module: modules that it imports}."""
    found, done, path = [], set(), []

    def follow(name: str) -> None:
        if name in path:
            found.append(" → ".join([*path[path.index(name) :], name]))
        elif name not in done:
            path.append(name)
            for other in sorted(arrows.get(name, ())):
                follow(other)
            done.add(path.pop())

    for name in sorted(arrows):
        follow(name)
    return found


def test_circles_are_found():
    assert find_circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b → c → b"]
    assert find_circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_modules_import_one_another_in_a_circle():
    # Imports inside functions count: one put there to dodge a circle hides it only.
    assert find_circles({module_name(path): imported_modules(path) for path in SOURCES}) == []


# Names of several modules that are about one subject, each on its own floor: what it is, its figure, its page.
ONE_SUBJECT = {
    *("calibration", "confusion", "hardest", "ranking", "predictions"),  # a network's answers: metric, figure, view
    *("curves", "masks", "mistakes", "remedies", "significance"),  # what runs are compared by: figures, view
    *("arithmetic", "attribution", "edit", "embedding", "kernels", "top_activations"),  # interpret, and its view
    *("datasets", "studies", "trash", "knobs", "progress"),  # on disk or in memory; on the command line or the screen
    *("losses", "segmentation"),  # what there is to choose, and the tensors that do it
    *("network",),  # the layers of a run: as modules, as code, on the screen
    *("tensors",),  # safetensors: a run's own, and those that leave it or come in
}
ONE_ROLE = {
    "base",  # of a package with several of a kind: what each of them is
    "context",  # what a screen or an export is about, read once
    "errors",  # the exceptions of a package, and the one that they all are
    "load",  # something that is on disk → ready for use
    "page",  # a screen
    "table",  # a screen's table
}


def test_two_modules_of_one_name_mean_one_thing():
    names = Counter(path.stem for path in ROOT.glob("playground/**/*.py") if path.stem != "__init__")
    shared = {name for name, count in names.items() if count > 1}
    assert shared - ONE_SUBJECT - ONE_ROLE == set()
    assert (ONE_SUBJECT | ONE_ROLE) - shared == set(), "these are listed without need"


TASK_NAMES = {"classification", "segmentation"}


def test_nothing_outside_tasks_asks_which_task_it_is():
    asked = []
    for path in SOURCES:
        if floor_of(module_name(path)) == "tasks":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = (
                [*getattr(node, "comparators", []), getattr(node, "left", None)]
                if isinstance(node, ast.Compare)
                else []
            )
            parts += (
                [case.pattern.value for case in node.cases if isinstance(case.pattern, ast.MatchValue)]
                if isinstance(node, ast.Match)
                else []
            )
            parts += node.keys if isinstance(node, ast.Dict) else []
            if any(isinstance(part, ast.Constant) and part.value in TASK_NAMES for part in parts):
                asked.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)[:80]}")
    assert asked == []


@pytest.mark.parametrize("part", NEVER)
def test_arrows(part):
    paths = [path for path in SOURCES if within(module_name(path), part)]
    assert paths, f"there is no {part}"
    assert offenders(paths, NEVER[part], own=part) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("pages/*.py")), ids=lambda path: path.name)
def test_a_page_is_thin(path):
    assert path.read_text(encoding="utf-8").count("\n") <= 40


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
