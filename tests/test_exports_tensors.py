"""Weights as safetensors, out and in: they come back as they were, and whatever is not right is refused in one line."""

import io
import json
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from exports_support import trained, unpacked, with_images
from factories import pack
from safetensors.numpy import save as save_numpy
from safetensors.torch import load as load_torch
from safetensors.torch import save as save_torch
from ui_support import open_page

from playground.config import RunConfig, from_flat, from_json
from playground.data import store
from playground.exports import export_run
from playground.exports.tensors import import_weights, is_pickle
from playground.inference.classify import predict
from playground.models import build
from playground.runs import RunError, RunFolder, create_run, demo_run, list_runs

pytestmark = pytest.mark.usefixtures("with_images")
__all__ = ["unpacked", "with_images"]

CONFIG = from_flat({"channels": "2", "norm": "batch", "fc_width": 0})


def bring(*files: tuple[str, bytes]) -> RunFolder:
    (run,) = import_weights([(name, io.BytesIO(content)) for name, content in files])
    return run


def pair(weights: dict, metadata: dict | None = None, config: RunConfig = CONFIG) -> RunFolder:
    """Import a model.safetensors, as torch's own writer makes it, and a config.json."""
    files = ("w.safetensors", save_torch(weights, metadata)), ("c.json", config.model_dump_json().encode())
    return bring(*files)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(build(CONFIG.model, (3, 32, 32), 10).state_dict())


def refused(*files: tuple[str, bytes]) -> str:
    """Return the line with which the files are refused; nothing may be kept."""
    before = list_runs()
    with pytest.raises(RunError) as error:
        bring(*files)
    assert list_runs() == before
    line = str(error.value)
    assert "\n" not in line
    return line


# There and back


def test_a_network_comes_back_as_it_was(unpacked):
    run = trained("to go", norm="batch", dataset="cifar10-mini")
    file = export_run(run, 1, "safetensors")
    assert file.name == "to-go-epoch-1-weights.zip"
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert archive.namelist() == ["model.safetensors", "config.json", "README.txt"]
        assert from_json(archive.read("config.json")) == run.config
        readme = archive.read("README.txt").decode()
        assert len(readme.splitlines()) == 6
        found = load_torch(archive.read("model.safetensors"))
        files = [(name, archive.read(name)) for name in ("config.json", "model.safetensors")]
    net = build(run.config.model, (3, 32, 32), 10)
    net.load_state_dict(found)  # as the README says
    for imported in (bring(("x.zip", file.content)), bring(*files)):
        status = imported.status()
        assert (status.state, status.epoch, status.epochs) == ("finished", 1, 2)
        assert status.parameters == sum(p.numel() for p in net.parameters())
        assert imported.name == "imported to go"
        assert imported.about.parent is None
        assert (imported.config, imported.epochs()) == (run.config, [1])
        wanted, found = run.weights(1), imported.weights(1)
        assert wanted.keys() == found.keys()
        assert all(np.array_equal(wanted[name], found[name]) for name in wanted)
        images = np.array(store.open_arrays("cifar10-mini").test_images[:20])
        assert np.array_equal(predict(run, 1, images), predict(imported, 1, images))


@pytest.mark.parametrize("page", ["predict", "inside", "runs", "train"])
def test_the_pages_open_an_imported_network(page, with_images, monkeypatch):
    from playground.jobs import client

    monkeypatch.setattr(client, "ensure_service", lambda: None)
    imported = bring(("x.zip", export_run(demo_run(), 24, "safetensors").content))
    at = open_page(page, run=imported.id)
    assert not at.error, [error.value for error in at.error]


def test_the_demo_comes_back_with_its_mean_and_its_test_images():
    imported = bring(("x.zip", export_run(demo_run(), 24, "safetensors").content))
    assert imported.predictions_dataset == "cifar10-mini"
    images = np.array(store.open_arrays("cifar10-mini").test_images[:5])
    assert np.array_equal(predict(imported, 24, images), predict(demo_run(), 24, images))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_type_of_fractions_is_read(weights, dtype):
    given = {name: t.to(dtype) if t.is_floating_point() else t for name, t in weights.items()}
    found = pair(given).weights(0)
    for name, tensor in given.items():
        assert np.array_equal(found[name], tensor.float().numpy())


def test_a_header_of_640_bytes_is_no_pickle(weights):
    """Its length is written as 80 02 00 …, with which pickles begin too."""
    content = save_torch(weights)
    for length in (0x280, 0x380, 0x480):
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text = json.dumps(header, separators=(",", ":")).encode()
        assert len(text) <= 0x480
        if len(text) > length:
            continue
        data = content[8 + int.from_bytes(content[:8], "little") :]
        padded = struct.pack("<Q", length) + text.ljust(length) + data
        assert padded[:1] == b"\x80"
        assert bring(("w", padded), ("c", CONFIG.model_dump_json().encode())).epochs() == [0]


def test_a_run_s_own_zip_is_still_taken_in():
    from playground.runs import export_zip

    imported = bring(("run.zip", export_zip(demo_run())))
    assert imported.epochs() == demo_run().epochs()


# Pickles


def pickles() -> dict[str, bytes]:
    made = {f"protocol {p}": pickle.dumps({"weight": [1.0]}, protocol=p) for p in (2, 3, 4, 5)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, new in (("torch", True), ("legacy torch", False)):
            file = io.BytesIO()
            torch.save({"weight": torch.ones(2)}, file, _use_new_zipfile_serialization=new)
            made[name] = file.getvalue()
    return made


@pytest.mark.parametrize("kind", pickles())
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "run.zip"])
def test_pickles_are_refused_by_their_bytes(kind, name):
    content = pickles()[kind]
    line = refused((name, content))
    assert (
        line
        == f"{name} is a pickle, which can run any program when it is opened; save the weights as safetensors instead"
    )
    if kind != "torch":
        assert refused((name, content), ("config.json", CONFIG.model_dump_json().encode())) == line
    assert is_pickle(content[:16]) == (kind != "torch")


def test_a_pickle_is_not_opened(monkeypatch):
    def opened(*arguments, **options):
        raise AssertionError("it was opened")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"), (np, "load")):
        monkeypatch.setattr(module, name, opened)
    for content in pickles().values():
        refused(("model.pt", content))


# What is not what it says


def test_parts_that_are_missing_or_too_many(weights):
    model, config = ("m", save_torch(weights)), ("c", CONFIG.model_dump_json().encode())
    assert "weights alone; choose their config.json together" in refused(model)
    assert "config.json alone; choose model.safetensors together" in refused(config)
    assert "choose one zip, or" in refused(model, model)
    assert "choose one zip, or" in refused(model, config, ("r", b"{}"))
    assert "no readable zip" in refused(("x", b"hello"))
    assert "no readable zip" in refused(("x", b""))


def zipped(**files: bytes) -> bytes:
    named = {name.replace("__", "/").replace("_", "."): content for name, content in files.items()}
    return pack(named, zipfile.ZIP_STORED).getvalue()


def test_zips_that_are_not_quite_it(weights):
    model, config = save_torch(weights), CONFIG.model_dump_json().encode()
    good = zipped(model_safetensors=model, config_json=config)
    assert bring(("x.zip", good)).epochs() == [0]
    assert "has to hold config.json" in refused(("x.zip", zipped(model_safetensors=model)))
    assert "and no other files" in refused(("x.zip", zipped(model_safetensors=model, config_json=config, evil_py=b"")))
    assert "no other files" in refused(
        ("x.zip", zipped(model_safetensors=model, config_json=config, a__config_json=b""))
    )
    assert "no readable zip" in refused(("x.zip", good[:-40]))
    assert "no readable zip" in refused(("x.zip", good[:100] + bytes([good[100] ^ 1]) + good[101:]))


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (b"{", "config.json"),
        (b'{"model": {"kernel_size": 99}}', "Kernel size (kernel_size) cannot be 99"),
        (b'{"data": {"dataset": "nobody-knows"}}', "trained on nobody-knows, which this computer does not have"),
        (b'{"data": {"dataset": "../../etc"}}', "Data set (dataset) cannot be"),
        (b'{"model": {"channels": [512,512,512,512,512,512], "kernel_size": 11}}', "100,000,000"),
        (b'{"model": {"padding": "0", "kernel_size": 11, "channels": [1,1,1,1]}}', "does not fit a map"),
    ],
)
def test_configs_that_make_no_network(weights, config, line):
    assert line in refused(("m", save_torch(weights)), ("c", config))


def test_nothing_is_allocated_for_what_a_config_claims(weights, monkeypatch):
    huge = from_flat({"channels": "512-512-512", "kernel_size": 7})
    monkeypatch.setattr(np, "frombuffer", lambda *a, **k: pytest.fail("it read numbers before it knew the shapes"))
    with pytest.raises(RunError, match=r"choose the config|has shape"):
        pair(weights, config=huge)


def change(weights: dict, name: str, tensor: torch.Tensor | None) -> dict:
    changed = {**weights, name: tensor}
    return {key: value for key, value in changed.items() if value is not None}


def test_tensors_that_do_not_fit_the_config(weights):
    with pytest.raises(RunError, match=r"lacks output.bias; choose the config.json that belongs to it"):
        pair(change(weights, "output.bias", None))
    with pytest.raises(RunError, match="has, unlike its config, extra"):
        pair(change(weights, "extra", torch.ones(1)))
    with pytest.raises(RunError, match=r"output.bias has shape \[11\], its config wants \[10\]"):
        pair(change(weights, "output.bias", torch.ones(11)))
    with pytest.raises(RunError, match=r"output.bias is of type F64; it has to be F32, F16 or BF16"):
        pair(change(weights, "output.bias", torch.ones(10).double()))
    with pytest.raises(RunError, match=r"num_batches_tracked is of type F32; it has to be I64"):
        pair(change(weights, "block1_norm1.num_batches_tracked", torch.tensor(1.0)))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(RunError, match=r"output.bias holds numbers that are not finite"):
            pair(change(weights, "output.bias", torch.full((10,), bad)))
        with pytest.raises(RunError, match=r"output.bias holds numbers that are not finite"):
            pair(change(weights, "output.bias", torch.full((10,), bad).bfloat16()))
    with pytest.raises(RunError, match="is a variance, and holds numbers below 0"):
        pair(change(weights, "block1_norm1.running_var", torch.tensor([1.0, -1.0])))


def rewritten(content: bytes, edit) -> bytes:
    """Change a file's header: `edit` takes and returns it, as a dict or as text."""
    length = int.from_bytes(content[:8], "little")
    header = edit(json.loads(content[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def moved(name: str, place: object):
    return lambda header: header | {name: header[name] | {"data_offsets": place}}


HEADERS = {
    "overlap": (moved("output.bias", [0, 40]), "overlaps another tensor"),
    "beyond the end": (moved("output.bias", [10**12, 10**12 + 40]), "or its bytes are not there"),
    "negative": (moved("output.bias", [-40, 0]), "overlaps another tensor"),
    "backwards": (moved("output.bias", [40, 0]), "overlaps another tensor"),
    "no whole numbers": (moved("output.bias", [0.0, 40.0]), "has no place"),
    "truth": (moved("output.bias", [False, True]), "has no place"),
    "no place": (moved("output.bias", None), "has no place"),
    "no entry": (lambda h: h | {"output.bias": 7}, "of type None"),
    "a type that is a list": (lambda h: h | {"output.bias": h["output.bias"] | {"dtype": ["F32"]}}, "of type ['F32']"),
    "a shape of truths": (
        lambda h: h | {"block1_norm1.bias": h["block1_norm1.bias"] | {"shape": [2.0]}}, "has shape [2.0]"
    ),
    "a list": (lambda h: b"[]", "damaged header"),
    "nested": (lambda h: b"[" * 200_000, "damaged header"),
    "nested in a name": (lambda h: b'{"output.bias":' * 50_000, "damaged header"),
    "not a number": (lambda h: json.dumps(h | {"x": float("nan")}).encode(), "NaN is no JSON"),
    "a long number": (lambda h: b'{"x": ' + b"9" * 5000 + b"}", "damaged header"),
    "not text": (lambda h: b"\xff\xfe{}", "damaged header"),
    "twice": (lambda h: b'{"output.bias": {}, "output.bias": {}}', "a name that comes twice"),
    "twice inside": (lambda h: b'{"output.bias": {"dtype": "F32", "dtype": "F16"}}', "a name that comes twice"),
    "metadata of numbers": (lambda h: h | {"__metadata__": {"epoch": 3}}, "metadata that is no text"),
    "metadata that is a list": (lambda h: h | {"__metadata__": []}, "damaged header"),
    "empty": (lambda h: b"", "damaged header"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_hostile_headers(weights, kind):
    edit, line = HEADERS[kind]
    content = rewritten(save_torch(weights), edit)
    assert line in refused(("m", content), ("c", CONFIG.model_dump_json().encode()))


def test_lengths_that_lie(weights):
    content, config = save_torch(weights), ("c", CONFIG.model_dump_json().encode())
    for length in (2**63, 2**40, len(content), 2**20 + 1):
        assert "its header would be longer" in refused(("m", struct.pack("<Q", length) + content[8:]), config)
    assert "its header would be longer" in refused(("m", b"abc"), config)
    assert "cut short" in refused(("m", content[:-4]), config)
    assert "longer than its header says" in refused(("m", content + b"more"), config)


def test_a_file_larger_than_any_network(weights, monkeypatch):
    monkeypatch.setattr("playground.exports.tensors.MAX_BYTES", 1000)
    model, config = save_torch(weights), CONFIG.model_dump_json().encode()
    assert "is larger than any network" in refused(("m", model), ("c", config))
    assert "unpacks to more" in refused(("x.zip", zipped(model_safetensors=model, config_json=config)))


def test_metadata_are_not_believed(weights):
    classes = json.dumps(["a"] * 10)
    for metadata, line in (
        ({"classes": classes}, "its classes are not those of CIFAR-10 mini"),
        ({"classes": "["}, "metadata are damaged"),
        ({"mean": "[0.5]", "std": "[1,1,1]"}, "mean and std have to be numbers from 0 to 1"),
        ({"mean": "[0.5,0.5,0.5]", "std": "[0,1,1]"}, "mean and std"),
        ({"mean": "[NaN,0.5,0.5]", "std": "[1,1,1]"}, "mean and std"),
        ({"mean": "[0.5,0.5,0.5]"}, "mean and std"),
    ):
        with pytest.raises(RunError, match=line):
            pair(weights, metadata)
    odd = {"epoch": "-1", "name": "a\nb" + "x" * 300, "predictions_dataset": "../.."}
    made = pair(weights, odd)
    assert (made.epochs(), made.predictions_dataset) == ([0], "cifar10-mini")
    assert "\n" not in made.name
    assert len(made.name) <= 100
    assert pair(weights, {"epoch": "9999"}).epochs() == [9999]
    assert pair(weights, {"epoch": "12345"}).epochs() == [0]
    assert pair(weights, {"predictions_dataset": "mnist"}).predictions_dataset == "cifar10-mini"


def test_a_run_of_another_set_says_what_it_needs(unpacked):
    run = trained("own images")
    file = export_run(run, 2, "safetensors")
    assert bring(("x.zip", file.content)).config == run.config
    other = create_run(CONFIG)
    (run.path.parent.parent / "data").unlink()
    imported = bring(("x.zip", file.content))  # the weights say what their data set is like
    assert imported.dataset.classes == run.dataset.classes and imported.dataset.mean == run.dataset.mean
    alone = save_numpy(run.weights(2)), run.config.model_dump_json().encode()  # as an older version wrote them
    line = refused(("w.safetensors", alone[0]), ("c.json", alone[1]))
    assert "trained on few, which this computer does not have" in line
    assert other.path.exists()
