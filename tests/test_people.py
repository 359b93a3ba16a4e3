"""Whose run it is: the cookie, who counts as the machine's owner, and what the core refuses to whom."""

import ast
import asyncio
import io
import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from playground import people, runs
from playground.config import RunConfig
from playground.jobs import client
from playground.people import MACHINE
from playground.runs import RunError, RunFolder
from playground.studies import Study, StudyError, lifecycle
from playground.studies import study as studies
from playground.ui.common import person

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("pages/*.py"), *ROOT.glob("playground/ui/**/*.py")])
ANNA, BEN = people.make_person(), people.make_person()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# The cookie


def test_a_cookie_says_whose_it_is_and_cannot_be_made_up():
    value = people.write_cookie(ANNA)
    assert people.read_cookie(value) == ANNA
    forged = [f"{BEN}.{value.partition('.')[2]}", ANNA, f"{ANNA}.", "", ".", value[:-1], value + "0", "\ud800.é", "é.é"]
    assert [people.read_cookie(text) for text in forged] == [None] * len(forged)


def test_another_home_knows_nothing_of_it(tmp_path, monkeypatch):
    value, name = people.write_cookie(ANNA), people.name_cookie()
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    assert people.read_cookie(value) is None
    assert people.name_cookie() != name


def test_the_secret_is_made_once_for_its_owner_alone(home):
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: people.name_cookie(), range(16)))
    assert len(names) == 1
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert os.listdir(home) == ["secret"]


def test_without_a_secret_cookies_hold_as_long_as_the_server(home):
    (home / "secret").mkdir()
    assert people.read_cookie(people.write_cookie(ANNA)) == ANNA


@pytest.mark.parametrize(
    ("client_host", "server_host", "headers", "here"),
    [
        ("127.0.0.1", "127.0.0.1", ["host", "cookie"], True),
        ("127.3.0.1", "127.0.0.1", [], True),
        ("::1", "::1", [], True),
        ("::ffff:127.0.0.1", "::", [], True),
        ("192.168.1.5", "192.168.1.5", [], True),
        ("192.168.1.6", "192.168.1.5", [], False),
        ("172.17.0.1", "172.17.0.2", [], False),
        ("127.0.0.1", "127.0.0.1", ["x-forwarded-for"], False),
        ("127.0.0.1", "127.0.0.1", ["forwarded"], False),
        ("127.0.0.1", "127.0.0.1", ["x-real-ip"], False),
        ("127.0.0.1", "127.0.0.1", ["via"], False),
        (None, None, [], False),
        ("", "", [], False),
        ("testclient", "testclient", [], False),
    ],
)
def test_who_comes_from_this_machine(client_host, server_host, headers, here, monkeypatch):
    assert people.is_on_this_machine(client_host, server_host, headers) == here
    monkeypatch.setenv("PLAYGROUND_SHARED", "1")
    assert not people.is_on_this_machine(client_host, server_host, headers)


# The middleware


async def _who(request):
    kind = HTMLResponse if "html" in request.headers.get("accept", "") else PlainTextResponse
    return kind(request.headers[person.HEADER])


def ask(host: str = "10.0.0.7", scheme: str = "http", **headers: str) -> tuple[str, list[str]]:
    """Return for whom a page is drawn, and the cookies that are set."""
    app = person.Middleware(Starlette(routes=[Route("/", _who)]))
    sent: list[dict] = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": pairs, "scheme": scheme}
    answer = app(scope | {"client": (host, 5000), "server": ("10.0.0.1", 8501)}, receive, send)
    with ThreadPoolExecutor(1) as thread:  # the browser tests' Playwright leaves a loop in the main one
        thread.submit(asyncio.run, answer).result()
    cookies = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    return sent[1]["body"].decode(), cookies


def test_a_browser_from_elsewhere_is_known_again_by_its_cookie():
    who, (cookie,) = ask(accept="text/html")
    value, *attributes = cookie.split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes
    again, (renewed,) = ask(accept="text/html", cookie=f"other=1; {value}")
    assert again == who == people.read_cookie(value.partition("=")[2])
    assert renewed.partition(";")[0] == value
    assert ask(accept="text/html")[0] != who


def test_a_script_or_picture_of_the_page_sets_no_cookie():
    assert ask(accept="image/webp,*/*")[1] == []


def test_on_this_machine_nothing_of_it_is_seen(home):
    assert ask("127.0.0.1", accept="text/html") == (MACHINE, [])
    assert not (home / "secret").exists()


def test_nobody_says_by_a_header_who_they_are():
    assert ask(**{person.HEADER: MACHINE})[0] not in ("", ANNA)
    assert ask(**{person.HEADER: ANNA})[0] not in ("", ANNA)
    assert ask("127.0.0.1", **{person.HEADER: ANNA})[0] == MACHINE


def test_the_cookie_fits_tls_and_a_base_path(monkeypatch):
    assert "Secure" in ask(scheme="https", accept="text/html")[1][0]
    assert "Secure" in ask("127.0.0.1", x_forwarded_proto="https", accept="text/html")[1][0]
    monkeypatch.setattr(person.st, "get_option", {"server.baseUrlPath": "class/cnn/"}.get)
    assert "Path=/class/cnn;" in ask(accept="text/html")[1][0]


# What the core refuses


def act(run: RunFolder, by: str) -> dict:
    """Return everything that can be asked of a run, by name."""
    return {
        "rename": lambda: run.rename("mine", by=by),
        "annotate": lambda: run.annotate("mine", by=by),
        "command": lambda: run.command(by=by, do="pause"),
        "pause": lambda: client.pause_run(run, by=by),
        "stop": lambda: client.stop_run(run, by=by),
        "resume": lambda: client.resume_run(run, by=by),
        "delete": lambda: run.delete(by=by),
    }


@pytest.fixture(autouse=True)
def no_service(monkeypatch):
    monkeypatch.setattr(client, "ensure_service", lambda: None)


@pytest.mark.parametrize("state", ["queued", "paused", "stopped", "finished"])
@pytest.mark.parametrize("owner", [ANNA, MACHINE], ids=["a person's", "the machine's"])
@pytest.mark.parametrize("action", list(act(RunFolder(""), "")))
def test_a_strangers_run_can_only_be_looked_at(action, owner, state):
    run = runs.create_run(RunConfig(), "the first", owner=owner)
    run.set_status(state=state)
    before = contents(run.path)
    with pytest.raises(RunError, match=r"^run the first belongs to .*, who alone may change it; duplicate it") as error:
        act(run, BEN)[action]()
    assert "\n" not in str(error.value)
    assert contents(run.path) == before


@pytest.mark.parametrize("by", [ANNA, MACHINE], ids=["its owner", "the machine's owner"])
@pytest.mark.parametrize("action", list(act(RunFolder(""), "")))
def test_its_owner_and_the_machines_may_do_everything(action, by):
    run = runs.create_run(RunConfig(), "the first", owner=ANNA)
    run.set_status(state="queued" if action == "pause" else "stopped")
    before = contents(run.path)
    act(run, by)[action]()
    assert not run.path.exists() or action == "stop" or contents(run.path) != before


def test_a_run_without_an_owner_or_with_a_damaged_one_is_the_machines():
    run = runs.create_run(RunConfig())
    assert run.owner == MACHINE
    for text in ("{}", '{"owner": null}', '{"owner": ["a"]}', "nonsense"):
        (run.path / "about.json").write_text(text)
        assert run.owner == MACHINE


def test_renaming_keeps_the_owner():
    run = runs.create_run(RunConfig(), owner=ANNA)
    run.rename("other", by=ANNA)
    run.leave_study()
    assert run.owner == ANNA


def test_an_exported_run_does_not_say_whose_it_was_and_is_the_importers():
    packed = runs.export_zip(runs.create_run(RunConfig(), owner=ANNA))
    assert ANNA.encode() not in packed
    assert runs.import_zip(io.BytesIO(packed), owner=BEN).owner == BEN
    assert runs.import_zip(io.BytesIO(packed)).owner == MACHINE


def test_a_zip_cannot_give_a_run_to_somebody_else():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", RunConfig().model_dump_json())
        archive.writestr("about.json", f'{{"name": "gift", "owner": "{ANNA}"}}')
    assert runs.import_zip(packed, owner=BEN).owner == BEN


def test_the_runs_of_a_study_belong_to_who_started_it():
    folder = lifecycle.start_study(Study("seeds", count=2, owner=ANNA))
    members = [member.run for member in folder.members()]
    assert [run.owner for run in members if run] == [ANNA, ANNA]
    for action in (
        lifecycle.stop_study,
        lifecycle.resume_study,
        lambda folder, by: lifecycle.delete_study(folder, True, by=by),
    ):
        with pytest.raises(StudyError, match=r"^study .* belongs to person .*, who alone may change it"):
            action(folder, by=BEN)
    lifecycle.stop_study(folder, by=ANNA)
    lifecycle.delete_study(folder, True, by=ANNA)
    assert not studies.list_studies()
    assert [run for run in runs.list_runs() if not run.read_only] == []


# Nobody on a page asks in the machine owner's name by leaving out who asks

ASKED = {"rename", "annotate", "command", "stop", "pause", "resume", "delete", "check_owner"}
MADE = {"create", "import_files", "import_zip"}
NO_RUNS = {"st", "own"}  # Streamlit's own stop; data sets


def unsaid(source: str) -> list[str]:
    """Return the calls about runs and studies that do not say who asks."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        about = getattr(getattr(call.func, "value", None), "id", "")
        said = {word.arg for word in call.keywords}
        asks = name in ASKED and isinstance(call.func, ast.Attribute) and about not in NO_RUNS
        if (asks and "by" not in said) or (name in MADE and "owner" not in said):
            found.append(ast.unparse(call))
    return found


def test_a_call_that_does_not_say_who_asks_is_found():
    assert unsaid("client.stop(run); run.delete(); runs.create(config); st.stop(); stop(run)") == [
        "client.stop(run)",
        "run.delete()",
        "runs.create(config)",
    ]
    assert not unsaid("client.stop(run, by=who); runs.create(config, owner=who)")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_say_who_asks(path):
    assert unsaid(path.read_text(encoding="utf-8")) == []
