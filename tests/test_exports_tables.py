"""The table, the event files and the report, read back by other programs."""

import csv
import io
import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports_support import few_pixels, trained, unpacked, with_images
from PIL import Image
from rows_support import make_row
from ui_support import make_run

from playground.config import RunConfig, to_json
from playground.data import shapes
from playground.exports import FORMATS, export_run
from playground.exports.context import load_context
from playground.exports.report import kernels
from playground.exports.spreadsheet import COLUMNS, escape_formula
from playground.exports.tensorboard import confusion_picture
from playground.metrics.scores import compute_iou
from playground.runs import RunFolder, create_run, demo_run

pytestmark = pytest.mark.usefixtures("with_images")
__all__ = ["unpacked", "with_images"]

HOSTILE = '=HYPERLINK("x") </title><script>window.hacked=1</script><img src=x onerror=hacked=1>'


@pytest.fixture(scope="module")
def run(unpacked, tmp_path_factory) -> RunFolder:
    home = tmp_path_factory.mktemp("tables")
    (home / "data").symlink_to(unpacked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(home))
        run = trained(HOSTILE, channels="4-6")
        run.annotate("A note & <b>more</b>")
    return run


@pytest.fixture(scope="module")
def pixels(tmp_path_factory) -> RunFolder:
    """A run that labels pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("pixels")))
        few_pixels()
        return trained("pixels", dataset="few-pixels", images_per_class=0, channels="4-6", validation_share=0.2)


@pytest.fixture
def with_pixels(pixels, monkeypatch) -> RunFolder:
    """The run that labels pixels, in its home."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(pixels.path.parent.parent))
    return pixels


def by_hand() -> RunFolder:
    """A run with figures made by hand."""
    run = create_run(RunConfig(), "=1+1")
    scores = {"loss": 2.5, "accuracy": 0.125}
    row = {"type": "epoch", "epoch": 0, "step": 0, "seconds": 0.5, "train": None, "val": None, "test": scores}
    run.append(make_row(row | {"confusion": [[1] * 10] * 10}))
    progress = {"loss": 1.5, "accuracy": 0.25, "learning_rate": 0.004, "grad_norm": 3.0, "weight_norm": 9.0}
    progress |= {"type": "progress", "epoch": 0.5, "step": 10, "seconds": 2.0, "images_per_second": 4000.0}
    run.append(make_row(progress))
    run.append(make_row({"type": "change", "epoch": 0.5, "step": 10, "knob": "dropout", "old": 0.0, "new": 0.1}))
    run.append(
        make_row(
            row | {"epoch": 1, "step": 20, "seconds": 4.0, "train": scores, "val": scores, "confusion": [[1] * 10] * 10}
        )
    )
    run.append(make_row({"type": "diverged", "epoch": 1.5, "step": 30}))
    run.save_epoch(1, {"output.bias": np.zeros(10, np.float32)}, np.zeros((1, 10), np.float16))
    return run


def test_the_table_is_a_row_an_event():
    file = export_run(by_hand(), 1, "csv")
    assert file.content.startswith(b"\xef\xbb\xbfrun,type,epoch,step,seconds,")
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert tuple(rows[0]) == COLUMNS  # none of pixels
    given = [{key: value for key, value in row.items() if value} for row in rows]
    assert given == [
        {"run": "'=1+1", "type": "epoch", "epoch": "0", "step": "0", "seconds": "0.5", "test_loss": "2.5",
         "test_accuracy": "0.125"},
        {"run": "'=1+1", "type": "progress", "epoch": "0.5", "step": "10", "seconds": "2.0", "loss": "1.5",
         "accuracy": "0.25", "learning_rate": "0.004", "grad_norm": "3.0", "weight_norm": "9.0",
         "images_per_second": "4000.0"},
        {"run": "'=1+1", "type": "change", "epoch": "0.5", "step": "10", "knob": "dropout", "old": "0.0", "new": "0.1"},
        {"run": "'=1+1", "type": "epoch", "epoch": "1", "step": "20", "seconds": "4.0", "train_loss": "2.5",
         "train_accuracy": "0.125", "val_loss": "2.5", "val_accuracy": "0.125", "test_loss": "2.5",
         "test_accuracy": "0.125"},
        {"run": "'=1+1", "type": "diverged", "epoch": "1.5", "step": "30",
         "what": "the loss is no longer a finite number"},
    ]  # fmt: skip


def test_the_table_of_a_run_that_labels_pixels(with_pixels):
    table = list(csv.DictReader(io.StringIO(export_run(with_pixels, 2, "csv").content.decode("utf-8-sig"))))
    assert list(table[0]) == [*COLUMNS, "val_iou", "val_boundary_f1", "test_iou", "test_boundary_f1"]
    given = [row for row in table if row["type"] == "epoch"]
    rows = [row for row in with_pixels.rows() if row.type == "epoch"]
    assert len(given) == len(rows) == 3
    for line, row in zip(given, rows, strict=True):
        for split in ("val", "test"):
            for figure in ("loss", "accuracy", "iou", "boundary_f1"):
                assert float(line[f"{split}_{figure}"]) == getattr(row[split], figure)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_is_taken_for_a_formula(text):
    assert escape_formula(text) == f"'{text}"


def test_numbers_and_plain_text_stay():
    assert [escape_formula(value) for value in (-1.5, "a=1", "")] == [-1.5, "a=1", ""]


def in_tensorboard(run: RunFolder, folder: Path) -> Any:
    """What TensorBoard finds in a run's export."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = export_run(run, 2, "tensorboard")
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        archive.extractall(folder)
        events = next(name for name in archive.namelist() if "tfevents" in name)
    assert re.fullmatch(r"[\w-]+/events\.out\.tfevents\.\d+\.playground", events)  # no name of this computer
    found = EventAccumulator(str(folder / events), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    return found.Reload()


def test_tensorboard_reads_the_figures_of_pixels(with_pixels, tmp_path):
    found = in_tensorboard(with_pixels, tmp_path)
    epochs = [row for row in with_pixels.rows() if row.type == "epoch"]
    figures = [(figure, split) for figure in ("loss", "accuracy", "iou", "boundary_f1") for split in ("val", "test")]
    for figure, split in figures:
        wanted = [(row.step, pytest.approx(getattr(row[split], figure))) for row in epochs]
        assert [(event.step, event.value) for event in found.Scalars(f"{figure}/{split}")] == wanted
    tags = {tag for tag in found.Tags()["scalars"] if not tag.startswith("progress/")}
    assert tags == {f"{figure}/{split}" for figure, split in figures} | {"loss/train", "accuracy/train"}
    assert len(found.Images("confusion")) == len(epochs)


def test_tensorboard_reads_the_event_files(run, tmp_path):
    found, rows = in_tensorboard(run, tmp_path), run.rows()
    epochs = [row for row in rows if row.type == "epoch"]
    progress = [row for row in rows if row.type == "progress"]
    for split in ("train", "val", "test"):
        for figure in ("loss", "accuracy"):
            wanted = [(row.step, pytest.approx(getattr(row[split], figure))) for row in epochs if row.get(split)]
            assert [(event.step, event.value) for event in found.Scalars(f"{figure}/{split}")] == wanted
    for figure in ("loss", "learning_rate", "grad_norm", "weight_norm"):
        events = found.Scalars(f"progress/{figure}")
        assert [(event.step, event.value) for event in events] == [
            (r.step, pytest.approx(getattr(r, figure))) for r in progress
        ]
    begun = run.status().started
    times = [event.wall_time for event in found.Scalars("loss/test")]
    assert times == pytest.approx([begun + row.seconds for row in epochs], abs=1e-3)
    assert len(found.Images("confusion")) == len(epochs)
    texts = b"".join(
        t.tensor_proto.string_val[0] for tag in found.Tags()["tensors"] for t in found.Tensors(tag)
    ).decode()
    assert "| Channels of each block | 4-6 |" in texts
    assert json.loads(re.search(r"```json\n(.*)\n```", texts, re.DOTALL)[1]) == json.loads(to_json(run.config))


def test_the_confusion_picture():
    picture = confusion_picture(np.array([[3, 1], [0, 0]]), side=4)
    assert picture.shape == (4, 4, 3)
    assert picture[0, 0].tolist() == [70, 100, 144]  # three quarters of the way to dark blue
    assert (picture[2:] == 255).all()


class Page(HTMLParser):
    """The tags of a page, and its text outside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.inside: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside):
            self.text += data + "\n"


def read(content: bytes) -> Page:
    page = Page()
    page.feed(content.decode())
    return page


def test_the_report_says_everything_and_escapes_what_a_person_wrote(run):
    page = read(export_run(run, 2, "html").content)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert [attributes["src"][:22] for tag, attributes in page.tags if tag == "img"] == ["data:image/png;base64,"]
    assert not [attributes for _, attributes in page.tags if "href" in attributes or "onerror" in attributes]
    assert HOSTILE in page.text
    assert "A note & <b>more</b>" in page.text
    last = run.rows()[-1]
    assert f"test accuracy {last.test.accuracy:.2%}" in page.text
    for words in ("Channels of each block\n4-6\n16-32-64", "block2.conv1\n6 × 16 × 16\n222", "airplane", "automobile"):
        assert words in page.text
    labels = {attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"}
    assert len(labels) == 5
    for words in ("IoU", "oundary F1", "ixel accuracy"):
        assert words not in page.text


def drawn(content: bytes) -> dict:
    """The figures of a report, by the names of their places."""
    return json.loads(re.search(rb'<script type="application/json" id="figures">(.*?)</script>', content)[1])


def test_a_report_of_pixels_gives_the_figures_that_they_are_judged_by(with_pixels):
    content = export_run(with_pixels, 2, "html").content
    page, figures = read(content), drawn(content)
    epochs = [row for row in with_pixels.rows() if row.type == "epoch"]
    last = epochs[-1]
    for split, name in (("val", "validation"), ("test", "test")):
        scores = last[split]
        assert (
            f"{name} mean IoU {scores.iou:.2%}, boundary F1 {scores.boundary_f1:.2%}, "
            f"pixel accuracy {scores.accuracy:.2%}, loss {scores.loss:.4g}"
        ) in page.text
    assert f"training pixel accuracy {last.train.accuracy:.2%}, loss" in page.text
    assert not re.search(r"(?<!pixel )(?<!Pixel )accuracy", page.text, re.IGNORECASE)
    labels = [attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"]
    titles = ["Loss", "Mean IoU", "Boundary F1", "Pixel accuracy", "Learning rate", "Images per second"]
    assert labels == [*(f"{title} over the epochs" for title in titles), "Confusion matrix"]
    assert set(figures) == {attributes["id"] for _, attributes in page.tags if attributes.get("role") == "img"}
    assert [figures[name]["layout"]["title"]["text"] for name in figures if name != "confusion"] == [
        "Loss", "Learning rate", "Images per second", "Mean IoU", "Boundary F1", "Pixel accuracy",
    ]  # fmt: skip
    for name, figure in (("iou", "iou"), ("boundary_f1", "boundary_f1"), ("pixel_accuracy", "accuracy")):
        traces = {trace["name"]: trace for trace in figures[name]["data"]}
        assert set(traces) - {"best"} == {"validation", "test"} | ({"train"} if figure == "accuracy" else set())
        for split, label in (("val", "validation"), ("test", "test")):
            assert traces[label]["x"] == [0, 1, 2]
            assert traces[label]["y"] == pytest.approx([100 * getattr(row[split], figure) for row in epochs], rel=1e-4)
    progress = [100 * row.accuracy for row in with_pixels.rows() if row.type == "progress"]
    assert {trace["name"]: trace for trace in figures["pixel_accuracy"]["data"]}["train"]["y"] == pytest.approx(
        progress, rel=1e-4
    )


def test_a_report_of_pixels_gives_the_overlap_of_each_class(with_pixels):
    content = export_run(with_pixels, 2, "html").content
    page, cells = read(content), drawn(content)["confusion"]["data"]
    last = with_pixels.rows()[-1]
    counts = np.array(last.confusion)
    found = compute_iou(counts)
    pixels = counts.sum(1)
    assert pixels[-1] == 0 < pixels[:-1].min()
    for name, overlap, count in list(zip(shapes.CLASSES, found, pixels, strict=True))[:-1]:
        assert re.search(rf"\n{name}\n{overlap:.1%}\n(.*%\n){{3}}{count:,}\n", page.text), name
    assert f"\n{shapes.CLASSES[-1]}\n–\n–\n–\n–\n0\n" in page.text
    assert f"\nMean of the classes that occur\n{last.test.iou:.1%}\n" in page.text
    assert f"\n{pixels.sum():,}\n" in page.text
    diagonal = [cells[1]["z"][i][i] for i in range(len(counts))]  # in per cent of the true class
    assert diagonal == pytest.approx(100 * np.diag(counts) / np.maximum(pixels, 1), rel=1e-4)


def test_a_report_of_a_run_without_rows_or_kernels():
    run = make_run()
    page = read(export_run(run, 3, "html").content)
    assert "Precision" in page.text
    assert "kernels" not in page.text
    (run.path / "metrics.jsonl").unlink()
    assert "Knobs" in read(export_run(run, 3, "html").content).text


def test_kernels_as_a_picture():
    demo = demo_run()
    picture = np.array(Image.open(io.BytesIO(kernels(load_context(demo, 24)))))
    weights = demo.weights(24)["block1_conv1.weight"]
    assert picture.shape == (2 * 4 * 8, 16 * 4 * 8, 3)  # 24 kernels of 3×3 in rows of 16, with a line between
    wanted = 127.5 + 127.5 * weights[0].transpose(1, 2, 0) / np.abs(weights[0]).max()
    assert np.abs(picture[4:24:8, 4:24:8].astype(float) - wanted).max() <= 0.51


def test_every_format_exports_the_demo():
    demo = demo_run()
    for name in FORMATS:
        if name != "onnx":
            file = export_run(demo, 24, name)
            assert file.content
            assert re.fullmatch(r"Demo-CIFAR-10[a-z0-9-]*\.(py|ipynb|zip|html|csv)", file.name)
