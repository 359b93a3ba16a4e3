"""ONNX files compute what the network computes, for every layer that the knobs allow and every batch size."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exports_support import unpacked, with_images
from jobs_support import tiny

from playground.choices import ACTIVATIONS
from playground.config import KNOBS
from playground.data import store
from playground.exports import ExportError, export_run
from playground.exports import onnx as exporter
from playground.exports.context import load_context
from playground.inference.classify import predict
from playground.models import build
from playground.runs import RunFolder, create_run, demo_run

pytestmark = [pytest.mark.usefixtures("with_images"), pytest.mark.timeout(300)]
__all__ = ["unpacked", "with_images"]

NETWORKS = {
    "leaky_relu": {"convs_per_block": 2, "norm": "batch", "dropout": 0.5},
    "elu": {"norm": "group", "pooling": "average", "kernel_size": 4},
    "gelu": {"pooling": "none", "stride": 3, "dilation": 2},
    "silu": {"padding": "0", "channels": "3-5"},
    "sigmoid": {"padding": "5", "fc_width": 7},
    "tanh": {"kernel_size": 1, "stride": 2, "pooling": "average"},
    "relu": {"channels": "2-3-4-5-6", "kernel_size": 5},
}
"""By the activation; between them every kind of layer, pooling, padding, stride and dilation."""
NETWORKS |= {name: {} for name in ACTIVATIONS if name not in NETWORKS}


def untrained(dataset: str = "cifar10-mini", **knobs) -> RunFolder:
    """A run with random weights, its running averages and its biases included."""
    run, data = create_run(tiny(dataset=dataset, **knobs), "a network"), store.open_arrays(dataset).info
    torch.manual_seed(0)
    net = build(run.config.model, data.shape, data.num_classes, data.task)
    weights = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    random = np.random.default_rng(0)
    averages = {
        name: random.uniform(0.5, 2, a.shape).astype(a.dtype) for name, a in weights.items() if "running" in name
    }
    run.save_epoch(0, weights | averages, np.zeros((1, 10), np.float16))
    return run


def logits(content: bytes, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": images.astype(np.float32) / 255})[0])


def test_every_pooling_is_tried():
    assert {knobs.get("pooling", "max") for knobs in NETWORKS.values()} == set(KNOBS["pooling"].choices)


@pytest.mark.parametrize("activation", NETWORKS)
def test_every_layer_computes_the_same(activation):
    run = untrained(activation=activation, **NETWORKS[activation])
    made = exporter.make_onnx(load_context(run, 0))
    onnx.checker.check_model(onnx.load_from_string(made.content), full_check=True)
    assert made.difference <= exporter.TOLERANCE
    images = np.array(store.open_arrays("cifar10-mini").test_images[:33])
    found = logits(made.content, images)
    probs = np.exp(found) / np.exp(found).sum(1, keepdims=True)
    assert np.abs(probs - predict(run, 0, images)).max() < 1e-5
    assert np.abs(logits(made.content, images[:1]) - found[:1]).max() < 1e-5


@pytest.mark.parametrize("knobs", [{"architecture": "unet"}, {"architecture": "fcn", "upsampling": "transposed"}])
def test_a_label_for_each_pixel(knobs):
    run = untrained("shapes", channels="2-3", **knobs)
    made = exporter.make_onnx(load_context(run, 0))
    assert made.difference <= exporter.TOLERANCE
    assert logits(made.content, np.zeros((3, 3, 64, 64), np.uint8)).shape == (3, 6, 64, 64)
    found = {entry.key: entry.value for entry in onnx.load_from_string(made.content).metadata_props}
    assert found["output"].startswith("logits: float32 (N, 6, 64, 64);")


def test_the_demo_in_a_process_of_its_own():
    file = export_run(demo_run(), 24, "onnx")
    assert file.name == "Demo-CIFAR-10-epoch-24.onnx"
    assert "Checked with onnxruntime on batches of 1, 2 and 7 images" in file.note
    model = onnx.load_from_string(file.content)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(found["classes"])[3] == "cat"
    assert (found["run"], found["epoch"], found["dataset"]) == ("Demo: CIFAR-10", "24", "cifar10")
    assert found["input"].startswith("images: float32 (N, 3, 32, 32), red, green, blue, from 0 to 1")
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", 3, 32, 32]
    data = store.open_arrays("cifar10-mini")
    right = logits(file.content, np.array(data.test_images[:500])).argmax(1) == data.test_targets[:500]
    assert right.mean() > 0.8


def test_a_file_that_computes_something_else_is_not_handed_out(monkeypatch):
    run = untrained()
    monkeypatch.setattr(exporter, "_pictures", lambda facts, count: np.full((count, 3, 32, 32), 7, np.uint8))
    content = exporter.make_onnx(load_context(run, 0)).content
    run.save_epoch(0, run.weights(0) | {"output.bias": np.arange(10, dtype=np.float32)}, np.zeros((1, 10), np.float16))
    with pytest.raises(ExportError, match="answers differ from this network's by"):
        exporter._difference(content, load_context(run, 0))


def test_a_failure_in_the_other_process_is_one_line(monkeypatch):
    run = untrained()
    run.checkpoint(0).write_bytes(b"damaged")
    with pytest.raises(
        ExportError, match=r"^The ONNX file could not be made: run .* is damaged .*; choose another epoch$"
    ):
        export_run(run, 0, "onnx")
