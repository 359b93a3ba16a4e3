"""Weights as safetensors with their config, out and in. What comes in is checked by its header before anything is made.

A pickle is never opened, whatever its name: it is known by its bytes and refused.
"""

import contextlib
import io
import json
import math
import re
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import save

from playground.config import ConfigError, RunConfig, from_json, to_json
from playground.data.catalog import DataError, DatasetInfo, find_info
from playground.errors import one_line
from playground.exports.context import ExportContext
from playground.geometry import MAX_PARAMETERS
from playground.people import MACHINE
from playground.runs import RunError, RunFolder, Status, import_runs, import_zip
from playground.runs.about import ABOUT, About, clean_name
from playground.runs.archive import MAX_FILES
from playground.runs.status import STATUS
from playground.zips import ZipError, open_zip

MAX_HEADER = 2**20
MAX_BYTES = 4 * MAX_PARAMETERS + MAX_HEADER
_KINDS = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_PARTS = ("model.safetensors", "config.json", "README.txt")
PICKLE = "is a pickle, which can run any program when it is opened; save the weights as safetensors instead"
README = """\
model.safetensors  the weights of {name} after epoch {epoch}
config.json        the knobs it was trained with
In the CNN playground: Runs, Import, and choose this zip; or: playground import FILE
In PyTorch: build the network, net, as the exported script does, then
    from safetensors.torch import load_file
    net.load_state_dict(load_file("model.safetensors"))
"""


def pack_weights(facts: ExportContext) -> bytes:
    """Write the zip: model.safetensors, config.json and a few words.

    Raises:
        RunError: the weights are damaged; ExportError: mean and deviation are not known here.
    """
    mean, std = facts.normalisation()
    weights = {
        name: array.astype(np.int64) if name.endswith("num_batches_tracked") else array
        for name, array in facts.run.weights(facts.epoch).items()
    }
    about = {
        "format": "cnn-playground 1",
        "name": facts.name,
        "epoch": str(facts.epoch),
        "classes": json.dumps(facts.dataset.classes, ensure_ascii=False),
        "mean": json.dumps(mean),
        "std": json.dumps(std),
        "predictions_dataset": facts.run.predictions_dataset,
        "dataset": facts.dataset.to_json(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("model.safetensors", save(weights, about))
        archive.writestr("config.json", to_json(facts.config))
        archive.writestr("README.txt", README.format(name=facts.name, epoch=facts.epoch))
    return buffer.getvalue()


# In


def import_weights(files: Sequence[tuple[str, BinaryIO]], owner: str = MACHINE) -> list[RunFolder]:
    """Import a zip of runs, a zip of weights and config, or these two files, under new ids.

    Args:
        files: (name, content) of each; names are shown, never trusted.
        owner: the person who takes them in.

    Raises:
        RunError: it is none of these, or a part of it is damaged; one line, and nothing is kept.
    """
    contents: dict[str, bytes] = {}
    for name, file in files:
        head = file.read(16)
        file.seek(0)
        if is_pickle(head):
            raise RunError(f"{one_line(name)} {PICKLE}")
        if len(files) == 1 and head[:4] == b"PK\x03\x04":
            return _take_zip(name, file, owner)
        content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise RunError(f"{one_line(name)} is larger than any network of this program: {MAX_BYTES >> 20} MB")
        contents["config.json" if content.lstrip()[:1] == b"{" else "model.safetensors"] = content
    if len(files) == 1 and "config.json" in contents:
        raise RunError("this is a config.json alone; choose model.safetensors together with it")
    if len(files) == 1 and contents["model.safetensors"][8:9] == b"{":
        raise RunError("these are weights alone; choose their config.json together with them")
    if len(files) == 1:
        return [import_zip(files[0][1], owner)]  # which says what it is not
    if len(files) != 2 or len(contents) != 2:
        raise RunError("choose one zip, or model.safetensors and its config.json together")
    return [adopt_run(contents["model.safetensors"], contents["config.json"], owner)]


def is_pickle(head: bytes) -> bool:
    """Whether a file that begins with these (at least 9) bytes is a pickle, as torch.save made them before zips.

    A safetensors file whose header has 640 bytes begins with the same two bytes, and goes on with zeros, which no
    pickle does.
    """
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and head[2:8] != bytes(6)


def _take_zip(name: str, file: BinaryIO, owner: str) -> list[RunFolder]:
    """Tell runs from weights and from a pickle by the names of what is in the zip."""
    try:
        with open_zip(file, MAX_FILES) as archive:
            files = [info for info in archive.entries if not info.is_dir()]
            entries = {info.filename.split("/")[-1]: info for info in files}
            if any(part.endswith((".pkl", ".pickle")) for part in entries):
                raise RunError(f"{one_line(name)} {PICKLE}")
            if "model.safetensors" not in entries:
                file.seek(0)
                return import_runs(file, owner)
            if "config.json" not in entries or set(entries) - set(_PARTS) or len(entries) != len(files):
                raise RunError("this zip holds model.safetensors, so it has to hold config.json and no other files")
            if max(info.file_size for info in entries.values()) > MAX_BYTES:
                raise RunError(f"this zip unpacks to more than any network of this program: {MAX_BYTES >> 20} MB")
            contents = [archive.read(entries[part]) for part in _PARTS[:2]]
    except ZipError as error:
        raise RunError(f"this is no readable zip ({error})") from None
    return [adopt_run(*contents, owner=owner)]


def adopt_run(model: bytes, config_json: bytes, owner: str = MACHINE) -> RunFolder:
    """Make a run of weights and config: finished, with this one epoch, for the pages that look at networks.

    Raises:
        RunError: they do not fit each other, or are damaged; one line, and nothing is kept.
    """
    try:
        config = from_json(config_json)
    except ConfigError as error:
        raise RunError(f"config.json: {error}") from None
    header, about = _header(model)
    dataset = _dataset_of(config, about)
    wanted = _wanted(config, dataset)
    start = len(model) - _check_layout(header, wanted, model)
    weights = {name: _numbers(name, entry, model, start) for name, entry in header.items()}
    return import_zip(io.BytesIO(_as_run(config, dataset, weights, about)), owner)


def _dataset_of(config: RunConfig, about: dict[str, str]) -> DatasetInfo:
    """Return what is known here of the config's data set, or else what the weights' metadata say of it."""
    with contextlib.suppress(DataError):
        return find_info(config.data.dataset)
    with contextlib.suppress(ValueError):
        carried = DatasetInfo.from_json(about.get("dataset", ""))
        if carried.name == config.data.dataset:
            return carried
    name = one_line(config.data.dataset)
    raise RunError(f"it was trained on {name}, which this computer does not have; import that data set")


def _wanted(config: RunConfig, dataset: DatasetInfo) -> dict[str, tuple[list[int], bool]]:
    """Return {name: (shape, whether it holds fractions)} of the config's weights; nothing is allocated for them."""
    import torch

    from playground.models import build

    try:
        with torch.device("meta"):
            network = build(config.model, dataset.shape, dataset.num_classes, dataset.task)
    except ConfigError as error:
        raise RunError(f"config.json: {error}") from None
    return {name: (list(t.shape), t.is_floating_point()) for name, t in network.state_dict().items()}


def _header(content: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a safetensors header: ({name: entry}, metadata)."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a name that comes twice")
        return dict(pairs)

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(MAX_HEADER, len(content) - 8):
        raise RunError("model.safetensors is no safetensors file: its header would be longer than it may be")
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=unique, parse_constant=refuse)
        about = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in about.values()):
            raise ValueError("metadata that is no text")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise RunError(f"model.safetensors has a damaged header ({one_line(error)})") from None
    return header, about


def _check_layout(header: dict[str, Any], wanted: dict[str, tuple[list[int], bool]], content: bytes) -> int:
    """Compare every tensor's name, type, shape and place with what the config wants; return the bytes of all data."""
    if odd := sorted(header.keys() ^ wanted.keys()):
        has = "lacks" if odd[0] in wanted else "has, unlike its config,"
        raise RunError(f"model.safetensors {has} {one_line(odd[0])}; choose the config.json that belongs to it")
    spans = []
    for name, (shape, fractions) in wanted.items():
        entry = header[name] if isinstance(header[name], dict) else {}
        kind = entry.get("dtype")
        if kind not in (list(_KINDS) if fractions else ["I64"]):
            takes = "F32, F16 or BF16" if fractions else "I64"
            raise RunError(f"model.safetensors: {name} is of type {one_line(kind)}; it has to be {takes}")
        if entry.get("shape") != shape or any(type(side) is not int for side in entry["shape"]):
            raise RunError(
                f"model.safetensors: {name} has shape {one_line(entry.get('shape'))}, its config wants {shape}"
            )
        place, size = entry.get("data_offsets"), math.prod(shape) * (8 if kind == "I64" else _KINDS[kind].itemsize)
        if not isinstance(place, list) or len(place) != 2 or any(type(end) is not int for end in place):
            raise RunError(f"model.safetensors: {name} has no place in the file")
        spans.append((place[0], place[1], size, name))
    position = 0
    for begin, end, size, name in sorted(spans):
        if begin != position or end - begin != size:
            raise RunError(f"model.safetensors: {name} overlaps another tensor, or its bytes are not there")
        position = end
    if 8 + int.from_bytes(content[:8], "little") + position != len(content):
        raise RunError("model.safetensors is cut short, or longer than its header says")
    return position


def _numbers(name: str, entry: dict[str, Any], content: bytes, start: int) -> np.ndarray:
    """Read one tensor as float32 (as int64, a counter)."""
    kind = _KINDS.get(entry["dtype"], np.dtype("<i8"))
    count = math.prod(entry["shape"])
    raw = np.frombuffer(content, kind, count, start + entry["data_offsets"][0]).reshape(entry["shape"])
    if entry["dtype"] == "I64":
        return raw.copy()
    numbers = (raw.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else raw.astype("<f4")
    if not np.isfinite(numbers).all():
        raise RunError(f"model.safetensors: {name} holds numbers that are not finite")
    if name.endswith("running_var") and (numbers < 0).any():
        raise RunError(f"model.safetensors: {name} is a variance, and holds numbers below 0")
    return numbers


def _as_run(config: RunConfig, dataset: DatasetInfo, weights: dict[str, np.ndarray], about: dict[str, str]) -> bytes:
    """Pack what was checked as a run's own zip, which the shelf takes in."""
    epoch, described = _read_metadata(about, dataset)
    parameters = sum(array.size for name, array in weights.items() if name.endswith((".weight", ".bias")))
    now = time.time()
    status = Status(
        "finished",
        "its weights alone were imported, so it has no curves",
        epoch=epoch,
        epochs=max(config.training.epochs, epoch),
        parameters=parameters,
        finished=now,
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("config.json", to_json(config))
        archive.writestr("about.json", ABOUT.dump_json(replace(described, created=now)))
        archive.writestr("status.json", STATUS.dump_json(status))
        archive.writestr(f"checkpoints/epoch-{epoch:04d}.safetensors", save(weights))
    return buffer.getvalue()


def _read_metadata(about: dict[str, str], dataset: DatasetInfo) -> tuple[int, About]:
    """Return what the weights' metadata say: the epoch, and name, data set and whose test images belong to them."""
    epoch = about.get("epoch", "0")
    found = About(clean_name(f"imported {about.get('name', '') or 'weights'}"), dataset=dataset)
    try:
        classes = json.loads(about.get("classes", "null"))
        numbers = [json.loads(about.get(key, "null")) for key in ("mean", "std")]
    except (ValueError, RecursionError):
        raise RunError("model.safetensors: its metadata are damaged") from None
    if classes is not None and classes != list(dataset.classes):
        raise RunError(f"its classes are not those of {dataset.title} here; it was trained on another data set")
    if numbers != [None, None]:
        usable = all(isinstance(n, list) and len(n) == dataset.channels for n in numbers)
        if (
            not usable
            or not all(type(x) in (int, float) and 0 <= x <= 1 for n in numbers for x in n)
            or 0 in numbers[1]
        ):
            raise RunError("model.safetensors: its mean and std have to be numbers from 0 to 1, one a channel")
        mean, std = (tuple(map(float, n)) for n in numbers)
        found = replace(found, dataset=replace(dataset, mean=mean, std=std))
    with contextlib.suppress(DataError):  # the demo's test images are a part of its data set
        part = find_info(about.get("predictions_dataset", ""))
        if (part.shape, part.classes) == (dataset.shape, dataset.classes):
            found = replace(found, predictions_dataset=part.name)
    return int(epoch) if re.fullmatch(r"[0-9]{1,4}", epoch) else 0, found
