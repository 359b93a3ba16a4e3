"""A run as a zip: there and back, and every hostile zip refused with one line and nothing left behind."""

import io
import json
import os
import pickle
import random
import shutil
import struct
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from factories import pack
from rows_support import REST, make_row

import playground.runs.archive as archives_module
from playground.config import RunConfig, from_flat
from playground.data import catalog
from playground.runs import RunError, RunFolder, create_run, export_zip, import_runs, import_zip, list_runs, runs_folder
from playground.runs.rows import to_line

WEIGHTS = {
    "weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "bias": np.zeros(2, np.float32),
}
PROBS = np.full((2, 10), 0.1, np.float16)
COUNTS = np.eye(10, dtype=int).tolist()
PROGRESS = make_row({"type": "progress"})
EPOCH = make_row({"type": "epoch", "step": 5, "confusion": COUNTS})
FIELDS = {kind: {"type": kind} | REST[kind] for kind in ("progress", "epoch", "change")}
CHANGE = make_row({"type": "change", "step": 3})


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home whose surroundings are its own too, to see that nothing is written there."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(home):
    """A finished run with two epochs, as a worker leaves it."""
    run = create_run(
        from_flat({"epochs": 2, "channels": "4-8"}), name="Mine", note="why", parent="20260101-000000-abcdef"
    )
    for row in (PROGRESS, CHANGE, EPOCH, make_row({"type": "resumed", "step": 5})):
        run.append(row)
    for epoch in (1, 2):
        run.save_epoch(epoch, WEIGHTS, PROBS)
    run.save_resume({"model.w": np.ones(3), "optimizer.0.0.exp_avg": np.full(3, np.nan)}, {"step": 5})
    run.set_status(state="finished", epoch=2, best_score=0.5, best_epoch=1, parameters=123)
    run.command(do="pause")
    return run


@pytest.fixture
def parts(run):
    """The files of its zip by name, for a test to spoil."""
    with zipfile.ZipFile(io.BytesIO(export_zip(run))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tree(folder) -> dict[str, bytes | None]:
    """All that is below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refuse(file, home) -> str:
    """Import; it must be refused in one line, with nothing written anywhere."""
    before = tree(home.parent)
    with pytest.raises(RunError) as error:
        import_zip(file)
    assert tree(home.parent) == before
    message = str(error.value)
    assert message.isprintable() and 10 < len(message) < 300
    return message


def top(parts: dict[str, bytes]) -> str:
    return next(iter(parts)).split("/")[0]


# There and back


def test_a_member_of_a_study_comes_back_as_a_run_by_itself(home):
    run = create_run(from_flat({"folds": 2, "fold": 1}), study="20260101-000000-abcdef", member=1)
    run.save_epoch(1, WEIGHTS, PROBS, PROBS[:1])
    again = import_zip(io.BytesIO(export_zip(run)))
    assert (again.about.study, again.about.member) == (None, None)
    assert np.array_equal(again.validation_predictions(1), PROBS[:1])
    assert again.config == run.config


def test_the_zip_holds_what_the_run_is(run, parts):
    assert sorted(name.removeprefix(f"{run.id}/") for name in parts) == [
        "about.json",
        "checkpoints/epoch-0001.safetensors",
        "checkpoints/epoch-0002.safetensors",
        "config.json",
        "metrics.jsonl",
        "predictions/epoch-0001.safetensors",
        "predictions/epoch-0002.safetensors",
        "resume.safetensors",
        "status.json",
    ]


def test_a_run_comes_back_equal(run):
    again = import_zip(io.BytesIO(export_zip(run)))
    assert again.id != run.id
    assert again.config == run.config
    assert again.about == run.about
    assert again.status() == run.status()
    assert again.rows() == run.rows()
    assert again.epochs() == again.predicted_epochs() == [1, 2]
    for epoch in (1, 2):
        assert np.array_equal(again.predictions(epoch), run.predictions(epoch))
        theirs = run.weights(epoch)
        assert again.weights(epoch).keys() == theirs.keys()
        assert all(np.array_equal(array, theirs[name]) for name, array in again.weights(epoch).items())
    tensors, facts = again.load_resume() or ({}, {})
    assert facts == {"step": 5} and np.array_equal(tensors["model.w"], np.ones(3))
    assert {item.id for item in list_runs() if not item.read_only} == {run.id, again.id}
    assert not (again.path / "control.jsonl").exists(), "commands are for the run that got them"
    again.rename("it is mine")
    with again.hold():
        pass


def test_from_a_file_on_disk(run, home):
    (home / "run.zip").write_bytes(export_zip(run))
    assert import_zip(home / "run.zip").rows() == run.rows()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["", "renamed folder/", "a/b/"])
def test_a_zip_that_was_packed_again(run, parts, compression, prefix):
    again = import_zip(pack({prefix + name.split("/", 1)[1]: content for name, content in parts.items()}, compression))
    assert again.rows() == run.rows()


def test_entries_of_folders_do_not_matter(run, parts):
    folders = {f"{run.id}/": b"", f"{run.id}/checkpoints/": b""}
    assert import_zip(pack(folders | parts)).rows() == run.rows()


def test_a_run_that_has_just_begun():
    run = create_run(RunConfig())
    again = import_zip(io.BytesIO(export_zip(run)))
    assert again.config == run.config and again.rows() == [] and again.epochs() == []
    assert again.name == run.about.name or again.name == "imported run"


def test_a_config_alone_is_a_run():
    again = import_zip(pack({"config.json": RunConfig().model_dump_json().encode()}))
    assert again.config == RunConfig()
    assert again.name == "imported run"
    assert again.status().state not in ("queued", "running")


@pytest.mark.parametrize("state", ["queued", "preparing", "running", "paused", "died", "interrupted"])
def test_a_run_that_was_going_on_is_interrupted_here(parts, state):
    name = f"{top(parts)}/status.json"
    parts[name] = json.dumps(json.loads(parts[name]) | {"state": state}).encode()
    again = import_zip(pack(parts))
    assert again.status().state == "interrupted"
    assert again.status().parameters == 123


@pytest.mark.parametrize("state", ["finished", "stopped", "diverged", "failed"])
def test_a_run_that_was_over_stays_so(parts, state):
    name = f"{top(parts)}/status.json"
    parts[name] = json.dumps(json.loads(parts[name]) | {"state": state}).encode()
    assert import_zip(pack(parts)).status().state == state


def test_a_torn_last_row_is_cut_off(run, parts):
    parts[f"{run.id}/metrics.jsonl"] += b'{"type":"progr'
    again = import_zip(pack(parts))
    assert again.rows() == run.rows()
    again.append(PROGRESS)
    assert len(again.rows()) == len(run.rows()) + 1


def test_a_name_of_several_lines_becomes_one(parts):
    parts[f"{top(parts)}/about.json"] = json.dumps({"name": "a\nb\x1b  c" + "x" * 500}).encode()
    name = import_zip(pack(parts)).name
    assert "\n" not in name and len(name) == 100


def test_a_file_that_is_thinned_out_while_it_is_packed_is_left_out(run, monkeypatch):
    real = zipfile.ZipFile.write

    def write(self, path, name):
        shutil.rmtree(run.path / "checkpoints", ignore_errors=True)
        real(self, path, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", write)
    again = import_zip(io.BytesIO(export_zip(run)))
    assert (again.epochs(), again.predicted_epochs()) == ([], [1, 2])


def test_strange_files_in_the_folder_are_not_packed(run, parts):
    (run.path / "log.txt").write_text("private")
    (run.path / "checkpoints" / ".epoch-0003.safetensors-abc").write_text("half")
    with zipfile.ZipFile(io.BytesIO(export_zip(run))) as archive:
        assert set(archive.namelist()) == set(parts)


# Refused


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip(home, content):
    runs_folder()
    assert "zip" in refuse(io.BytesIO(content), home)


def test_a_file_that_is_not_there(home):
    runs_folder()
    assert "No such file" in refuse(home / "absent.zip", home)


def test_an_empty_zip(home):
    runs_folder()
    assert "holds no config.json" in refuse(pack({}), home)


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.json",
        "../../escaped",
        "/etc/escaped",
        "C:\\escaped",
        "..\\escaped",
        "checkpoints/../../../escaped.safetensors",
        "checkpoints/epoch-0001.safetensors/../x",
        "checkpoints/epoch-0001.pt",
        "checkpoints/epoch-00001.safetensors",
        "checkpoints/deeper/epoch-0001.safetensors",
        "predictions/epoch-1.safetensors",
        "model.safetensors",
        "control.jsonl",
        "lock",
        "run.py",
        "sub/config.json",
        "__MACOSX/x",
        "inner.zip",
        "config.json/x",
        ".status.json-abc",
        "line\nbreak",
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_files_that_are_no_part_of_a_run(run, parts, home, name, first):
    extra = {f"{run.id}/{name}": b"{}"}
    message = refuse(pack(extra | parts if first else parts | extra), home)
    assert "is no part of a run; nothing was taken in" in message


def test_absolute_and_climbing_names_outside_the_folder(run, parts, home):
    for name in ("/escaped", "../escaped", "../../runs/x/config.json"):
        refuse(pack(parts | {name: b"{}"}), home)


def test_a_zip_that_is_all_in_a_climbing_folder_writes_nowhere_else(run, parts, home):
    outside = {name for name in tree(home.parent) if not name.startswith("home/runs/")}
    again = import_zip(pack({f"../../{name}": content for name, content in parts.items()}))
    assert again.path.parent == home / "runs"
    assert {name for name in tree(home.parent) if not name.startswith("home/runs/")} == outside


def test_two_files_of_one_name(parts, home):
    file = pack(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(f"{top(parts)}/config.json", b"{}")
    assert "is no part of a run" in refuse(file, home)


def test_a_link_is_read_as_what_it_holds_and_never_followed(parts, home):
    link = zipfile.ZipInfo(f"{top(parts)}/config.json")
    link.external_attr = 0o120777 << 16
    del parts[f"{top(parts)}/config.json"]
    file = pack(parts)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    assert "config.json" in refuse(file, home)


@pytest.mark.parametrize("part", ["checkpoints/epoch-0001.safetensors", "resume.safetensors"])
@pytest.mark.parametrize("kind", ["pickle", "torch's zip", "truncated", "empty", "long header", "short data"])
def test_tensors_that_are_none(run, parts, home, part, kind):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {home}/owned",)

    name = f"{run.id}/{part}"
    good = parts[name]
    parts[name] = {
        "pickle": pickle.dumps(Bomb()),
        "torch's zip": pack({"archive/data.pkl": pickle.dumps(Bomb())}).getvalue(),
        "truncated": good[:-1],
        "empty": b"",
        "long header": struct.pack("<Q", 2**60) + good[8:],
        "short data": good.replace(b'"shape":[2,3]', b'"shape":[9,9]').replace(b'"shape":[3]', b'"shape":[9]'),
    }[kind]
    assert part in refuse(pack(parts), home)
    assert not (home / "owned").exists()


@pytest.mark.parametrize("part", ["checkpoints", "predictions"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(run, home, part, value):
    weights, probs = {name: array.copy() for name, array in WEIGHTS.items()}, PROBS.copy()
    (weights["weight"] if part == "checkpoints" else probs)[0, 0] = value
    run.save_epoch(2, weights, probs)
    message = refuse(io.BytesIO(export_zip(run)), home)
    assert message.startswith(f"{part}/epoch-0002.safetensors is damaged (")
    assert "not finite" in message


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"", "config.json: the config: this is no JSON ("),
        (b"\xff\xfe{}", "config.json"),
        (b"[]", "config.json: the config: this is no JSON object"),
        (
            b'{"model": {"kernel_size": 99}}',
            "Kernel size (kernel_size) cannot be 99; it takes",
        ),
        (b'{"training": {"epochs": 1000000000}}', "Epochs (epochs) cannot be 1000000000"),
        (b'{"training": {"learning_rate": NaN}}', "Learning rate (learning_rate) cannot be NaN"),
        (b'{"data": {"dataset": "../../etc"}}', "Data set (dataset) cannot be ../../etc"),
        (b'{"surprise": 1}', "surprise"),
        (b"[" * 100_000, "this is no JSON ("),
    ],
)
def test_configs_that_are_refused(run, parts, home, config, says):
    assert says in refuse(pack(parts | {f"{run.id}/config.json": config}), home)


@pytest.mark.parametrize(
    "status",
    [
        *(
            b"",
            b"[]",
            b"null",
            b"\xff",
            b"[" * 100_000,
            b'{"state": 5}',
            b'{"state": "invented"}',
            b'{"state": ["finished"]}',
            b'{"epoch": "many"}',
        ),
        *(
            b'{"state": "finished", "epoch": -1}',
            b'{"epoch": 1.5}',
            b'{"epoch": "5"}',
            b'{"message": {}}',
            b'{"started": "<script>"}',
        ),
    ],
)
def test_statuses_that_are_refused(run, parts, home, status):
    assert refuse(pack(parts | {f"{run.id}/status.json": status}), home).startswith("status.json is damaged (")


@pytest.mark.parametrize(
    "about",
    [
        *(b"", b"[]", b"\xff", b"[" * 100_000, b'{"name": 5}', b'{"note": ["x"]}'),
        *(b'{"created": "today"}', b'{"created": "5"}', b'{"parent": 7}', b'{"predictions_dataset": {}}'),
        *(b'{"study": 7}', b'{"member": "1"}'),
    ],
)
def test_names_and_notes_that_are_refused(run, parts, home, about):
    assert refuse(pack(parts | {f"{run.id}/about.json": about}), home).startswith("about.json is damaged (")


@pytest.mark.parametrize(
    "change",
    [{"classes": ["cat"] * 10}, {"classes": ["cat"]}, {"mean": [0.5], "std": [0.5]}, {"mean": [0.5, 0.5, 0.5]}],
)
def test_a_data_set_that_does_not_fit_together_is_refused(run, parts, home, change):
    dataset = json.loads(catalog.find_info(run.config.data.dataset).to_json())
    whole, odd = (json.dumps({"dataset": fields}).encode() for fields in (dataset, dataset | change))
    assert import_zip(pack(parts | {f"{run.id}/about.json": whole})).rows() == run.rows()
    message = refuse(pack(parts | {f"{run.id}/about.json": odd}), home)
    assert "about.json is damaged (dataset: " in message and next(iter(change)) in message


@pytest.mark.parametrize(
    "row",
    [
        {"type": "resumed"},
        {"type": "resumed", "step": "x"},
        {"type": ["progress"]},
        {"type": "progress", "step": 1},
        FIELDS["progress"] | {"loss": "low"},
        FIELDS["progress"] | {"loss": float("nan")},
        FIELDS["progress"] | {"step": None},
        FIELDS["progress"] | {"seconds": -1.0},
        FIELDS["epoch"] | {"test": None},
        FIELDS["epoch"] | {"test": {"loss": 1.0}},
        FIELDS["epoch"] | {"test": {"loss": 1.0, "accuracy": 1.5}},
        FIELDS["epoch"] | {"confusion": "none"},
        FIELDS["epoch"] | {"confusion": [["a"]]},
        FIELDS["epoch"] | {"confusion": [[1, 2]]},
        FIELDS["epoch"] | {"confusion": [[2**70]]},
        FIELDS["epoch"] | {"confusion": [[-1]]},
        FIELDS["change"] | {"new": {}},
        FIELDS["change"] | {"knob": 1},
        FIELDS["change"] | {"knob": "seed"},
        FIELDS["change"] | {"new": 11.0},
        {"type": "resumed", "step": 3, "changes": [[4, "seed", 1.0]]},
    ],
    ids=lambda row: json.dumps(row)[:40],
)
def test_rows_that_would_break_a_page(run, parts, home, row):
    parts[f"{run.id}/metrics.jsonl"] += json.dumps(row).encode() + b"\n"
    assert refuse(pack(parts), home).startswith("metrics.jsonl is damaged (")


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_lines_that_are_no_rows_are_passed_over_as_in_any_run(run, parts, line):
    parts[f"{run.id}/metrics.jsonl"] += line + b"\n"
    assert import_zip(pack(parts)).rows() == run.rows()


# Bombs and broken zips


def claim(file: io.BytesIO, name: str, size: int) -> io.BytesIO:
    """Change the unpacked size that the zip claims for an entry, in both of its headers."""
    content = bytearray(file.getvalue())
    for signature, at, length in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        start = content.find(name.encode()) if signature == b"PK\x03\x04" else content.rfind(name.encode())
        header = start - length
        assert content[header : header + 4] == signature
        content[header + at : header + at + 4] = struct.pack("<I", size)
    return io.BytesIO(bytes(content))


def test_a_bomb_that_admits_its_size(run, parts, home):
    name = f"{run.id}/checkpoints/epoch-0003.safetensors"
    message = refuse(pack(parts | {name: bytes(10 * 2**20)}), home)
    assert "unpacks to too much for a run" in message


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(run, parts, home):
    name = f"{run.id}/checkpoints/epoch-0003.safetensors"
    file = claim(pack(parts | {name: bytes(50 * 2**20)}), name, 1000)
    before = tree(home.parent)
    tracemalloc.start()
    try:
        with pytest.raises(RunError, match="no readable zip"):
            import_zip(file)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert tree(home.parent) == before


def test_too_many_bytes_by_claim(run, parts, home):
    name = f"{run.id}/checkpoints/epoch-0001.safetensors"
    assert "unpacks to too much" in refuse(claim(pack(parts), name, 2**32 - 2), home)


def test_too_many_files(run, parts, home, monkeypatch):
    monkeypatch.setattr(archives_module, "MAX_FILES", len(parts))
    assert import_zip(pack(parts)).rows() == run.rows()
    extra = {f"{run.id}/checkpoints/epoch-0003.safetensors": parts[f"{run.id}/checkpoints/epoch-0001.safetensors"]}
    assert "more than 9 files" in refuse(pack(parts | extra), home)


def test_too_many_bytes(run, parts, home, monkeypatch):
    monkeypatch.setattr(archives_module, "MAX_BYTES", sum(map(len, parts.values())))
    assert import_zip(pack(parts)).rows() == run.rows()
    monkeypatch.setattr(archives_module, "MAX_BYTES", sum(map(len, parts.values())) - 1)
    assert "unpacks to too much" in refuse(pack(parts), home)


def test_long_curves_shrink_well_and_are_taken_in(parts):
    name = f"{top(parts)}/metrics.jsonl"
    parts[name] += to_line(PROGRESS) * 3000
    assert len(parts[name]) > 50 * len(zlib.compress(parts[name])), "like a bomb, but small"
    assert len(import_zip(pack(parts)).rows()) > 3000


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(parts, home, compression):
    assert "packed in a way that cannot be read" in refuse(pack(parts, compression), home)


def test_an_encrypted_zip(parts, home):
    content = bytearray(pack(parts).getvalue())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + at] |= 1
    assert "encrypted" in refuse(io.BytesIO(bytes(content)), home)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_that_is_cut_short(parts, home, share, compression):
    content = pack(parts, compression).getvalue()
    refuse(io.BytesIO(content[: int(len(content) * share)]), home)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_anywhere_is_refused_in_one_line_or_does_no_harm(run, parts, home, compression):
    content, rng = pack(parts, compression).getvalue(), random.Random(0)
    messages: list[str] = []
    for _ in range(120):
        broken = bytearray(content)
        for _ in range(rng.choice([1, 1, 3])):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            again = import_zip(io.BytesIO(bytes(broken)))
        except RunError as error:
            messages.append(str(error))
        else:
            # What a checksum covers is as it was; the rest is dates and attributes, or a name that is now another.
            assert again.config == run.config and again.about.note in (run.about.note, "")
            shutil.rmtree(again.path)
    assert len(messages) > 50
    assert all(message.isprintable() and len(message) < 300 for message in messages)
    assert [path.name for path in runs_folder().iterdir()] == [run.id]


def test_a_full_disk_leaves_nothing_behind(parts, home, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert "the disk is full" in refuse(pack(parts), home)


def test_an_interrupt_leaves_nothing_behind(run, parts, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        import_zip(pack(parts))
    assert [path.name for path in runs_folder().iterdir()] == [run.id]


# Several runs in one zip


def test_several_runs_go_and_come_back_together(run, home):
    other = create_run(RunConfig(), "another")
    again = import_runs(io.BytesIO(export_zip(run, other)))
    assert [each.name for each in again] == [run.name, "another"]
    assert [each.config for each in again] == [run.config, other.config]
    assert again[0].rows() == run.rows()
    assert len({each.id for each in (run, other, *again)}) == 4


def test_one_damaged_run_among_several_and_nothing_is_kept(run, parts, home):
    other = {name.replace(run.id, "other"): content for name, content in parts.items()}
    before = {path.name for path in runs_folder().iterdir()}
    with pytest.raises(RunError, match=r"config\.json: .*nothing was taken in"):
        import_runs(pack(parts | other | {"other/config.json": b"{"}))
    assert {path.name for path in runs_folder().iterdir()} == before


def test_too_many_runs_at_once(run, parts, monkeypatch):
    two = pack(parts | {name.replace(run.id, "other"): content for name, content in parts.items()})
    with pytest.raises(RunError, match="holds 2 runs, and at most 1 are taken in at once"):
        import_zip(two)
    monkeypatch.setattr("playground.runs.archive.MAX_FILES", 3)
    with pytest.raises(RunError, match=r"1 runs are too much for one zip .*; take fewer of them"):
        export_zip(run)
