"""Text that is not ours is drawn as it stands, on every page: none of it is markdown, markup, a formula or an icon."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit.testing.v1.local_script_runner as script_runner
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg as Message
from ui_support import app_home, open_page, run, unpacked

from playground import runs, studies
from playground.config import from_flat
from playground.data import own, store
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder
from playground.studies import Study
from playground.ui.common.escape import escape

__all__ = ["app_home", "unpacked"]

FOE = "Zq **b** $x$ :red[r] :material/home: ![i](http://a.b/i.png) <b>t</b>"
READ = re.compile(r"(?<!\\)(\*\*b|\$x|:red\\?\[r|:material/home|!\[i|(?<=red)\[r|<b>)")
"""What of it markdown would read, unless a backslash stands before it."""
HTML = re.compile("<b>")
"""What of it Plotly, or a browser, would read."""
PLAIN = {
    *("Selectbox.options", "Selectbox.raw_value", "MultiSelect.options", "MultiSelect.raw_values"),
    *("TextInput.default", "TextInput.value", "TextArea.default", "TextArea.value", "Image.alt", "Dataframe.columns"),
}
"""Fields that the browser shows as they are."""
SMALL = {"epochs": 2, "channels": "4-8", "fc_width": 8, "device": "cpu", "threads": 1, "validation_share": 0.2}


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("cat", "cat"),
        ("T-shirt/top, 12:30, a_b & c: 5 > 3", "T-shirt/top, 12:30, a_b & c: 5 > 3"),
        ("**b** _i_ ~s~ `c` \\", r"\*\*b\*\* \_i\_ \~s\~ \`c\` \\"),
        ("$x$ [r](u) <b>", r"\$x\$ \[r\](u) \<b>"),
        (":red[r] :material/home: :+1:", ":\\:red\\[r\\]"[1:] + " :\u2060material/home: :\u2060+1:"),
        ("http://a.b www.a.b a@b", "http:\u2060//a.b www\u2060.a.b a@\u2060b"),
        ("&lt; &#60;", r"\&lt; \&#60;"),
        ("a -> b >= c", "a -\u2060> b >\u2060= c"),
        ("1. one\n# two", r"1\. one # two"),
        ("# two", r"\# two"),
        ("- three", r"\- three"),
        ("> four", r"\> four"),
    ],
)
def test_what_means_something_is_escaped_and_nothing_else(text: str, escaped: str) -> None:
    assert escape(text) == escaped


# On the pages


def strings(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (message type and field, text) of all texts in a protobuf."""
    for field, value in message.ListFields():
        name = f"{message.DESCRIPTOR.name}.{field.name}"
        values = value.values() if hasattr(value, "values") else value if hasattr(value, "append") else [value]
        for one in values:
            if hasattr(one, "ListFields"):
                yield from strings(one, name)
            elif isinstance(one, str):
                yield name, one


def faults(sent: list[Message]) -> set[tuple[str, str]]:
    """Return (field, text) of what the browser would read, of the texts that hold anything of the hostile one."""
    found = set()
    for message in sent:
        for field, text in strings(message):
            if field in PLAIN or "Zq" not in text:
                continue
            read = READ
            if field == "BidiComponent.json":  # figures are read by Plotly; other components set their texts as text
                text, read = json.dumps(json.loads(text).get("figure")), HTML
            elif field == "Html.body":
                read = HTML
            if at := read.search(text):
                found.add((field, text[max(0, at.start() - 200) : at.end() + 50]))
    return found


def trained(dataset: str, seed: int) -> RunFolder:
    folder = runs.create_run(from_flat({**SMALL, "dataset": dataset, "seed": seed}), FOE, FOE)
    run_worker(folder, Slot("cpu", 1))
    folder.set_status(message=FOE)
    return folder


@pytest.fixture
def foes(app_home: Path, unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    """Three runs on data sets whose every word is hostile, of which the last labels pixels; and a damaged data set."""
    monkeypatch.setattr(client, "list_devices", lambda: {"cpu": "CPU"})
    (app_home / "data").unlink()
    (app_home / "data").mkdir()
    (app_home / "data" / "cifar10-mini").symlink_to(unpacked / "cifar10-mini")
    random = np.random.default_rng(0)
    images, targets = random.integers(0, 256, (60, 3, 16, 16), np.uint8), np.arange(60) % 3
    masks = random.integers(0, 3, (60, 16, 16), np.uint8)
    entry = replace(own.make_entry("foe", FOE, tuple(f"{FOE} {k}" for k in range(3)), 16), licence=FOE, source=FOE)
    store.write_arrays(entry, images[:30], targets[:30], images[30:], targets[30:])
    pixels = replace(entry, name="foe-masks", task="segmentation", citation=FOE)
    store.write_arrays(pixels, images[:30], masks[:30], images[30:], masks[30:])
    (app_home / "data" / "broken").mkdir()
    (app_home / "data" / "broken" / "info.json").write_text(entry.to_json().replace('"foe"', '"broken **b**"'))
    return [trained("foe", 0), trained("foe", 1), trained("foe-masks", 0)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that a browser would have been sent."""
    sent: list[Message] = []
    parse = script_runner.parse_tree_from_messages

    def keep(messages: list[Message]) -> Any:
        sent.extend(messages)
        return parse(messages)

    monkeypatch.setattr(script_runner, "parse_tree_from_messages", keep)
    return sent


View = tuple[str, dict[str, str], dict[str, Any]]


def views(one: RunFolder, two: RunFolder, pixels: RunFolder) -> Iterator[View]:
    """Yield (page, parameters of the address, the session's state) of all there is to see."""
    study = studies.create_study(Study("seeds", from_flat({**SMALL, "dataset": "foe"}), count=2, name=FOE))
    yield "data", {}, {"data_done": FOE, "data_error_foe": FOE}
    yield "studies", {"study": study.id}, {"study_done": FOE, "study_error": FOE}
    yield "train", {"run": one.id}, {}
    yield "runs", {}, {"shelf_run": one.id, "shelf_error": FOE, "shelf_done": FOE}
    yield "predict", {"run": one.id}, {}
    for view in ("pair", "luck", "diagnosis"):
        yield "compare", {"runs": f"{one.id},{two.id}"}, {"compare_view": view}
    yield "compare", {"runs": f"{pixels.id},{one.id}"}, {}
    for view in ("matrix", "per_class", "curves", "calibration", "hardest"):
        yield "evaluate", {"run": one.id}, {"evaluate_view": view, "evaluate_ranked": f"{FOE} 0"}
    for view in ("maps", "kernels", "why", "over_time", "exciting", "edit", "embedding"):
        yield "inside", {"run": one.id}, {"inside_view": view}
    yield "segment", {"run": one.id}, {}
    yield "evaluate", {"run": pixels.id}, {}
    for view in ("masks", "photo", "remedies"):
        yield "segment", {"run": pixels.id}, {"segment_view": view}
    for page in ("train", "predict", "inside", "segment", "evaluate"):
        yield page, {"run": FOE, "epoch": FOE, "dataset": FOE, "epochs": FOE, FOE: FOE}, {}
    yield "compare", {"runs": f"{one.id},{FOE}"}, {}
    yield "studies", {"study": FOE}, {}


def test_every_page_draws_hostile_names_as_they_stand(foes: list[RunFolder], drawn: list[Message]) -> None:
    found: dict[tuple[str, str], View] = {}
    for view in views(*foes):
        page, query, state = view
        del drawn[:]
        at = open_page(page, **query)
        for key, value in state.items():
            at.session_state[key] = value
        run(at)
        assert any("Zq" in text for message in drawn for _, text in strings(message)), f"{view} shows none of the names"
        found |= dict.fromkeys(faults(drawn), view)
    assert found == {}
