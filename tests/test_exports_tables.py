"""The table, the event files and the report, read back by other programs."""

import csv
import io
import json
import re
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from exports_support import trained, unpacked, with_images
from PIL import Image
from ui_support import make_run

from playground.config import RunConfig
from playground.exports import FORMATS, export
from playground.exports.facts import facts
from playground.exports.report import kernels
from playground.exports.table import safe
from playground.exports.tensorboard import confusion_picture
from playground.runs import RunFolder, create, demo_run

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


def by_hand() -> RunFolder:
    """A run with figures made by hand."""
    run = create(RunConfig(), "=1+1")
    scores = {"loss": 2.5, "accuracy": 0.125}
    row = {"type": "epoch", "epoch": 0, "step": 0, "seconds": 0.5, "train": None, "val": None, "test": scores}
    run.append(row | {"confusion": [[1] * 10] * 10})
    progress = {"loss": 1.5, "accuracy": 0.25, "learning_rate": 0.004, "grad_norm": 3.0, "weight_norm": 9.0}
    progress |= {"type": "progress", "epoch": 0.5, "step": 10, "seconds": 2.0, "images_per_second": 4000.0}
    run.append(progress)
    run.append({"type": "change", "epoch": 0.5, "step": 10, "knob": "dropout", "old": 0.0, "new": 0.1})
    run.append(
        row | {"epoch": 1, "step": 20, "seconds": 4.0, "train": scores, "val": scores, "confusion": [[1] * 10] * 10}
    )
    run.append({"type": "diverged", "epoch": 1.5, "step": 30, "what": "the loss is no longer a finite number"})
    run.save_epoch(1, {"output.bias": np.zeros(10, np.float32)}, np.zeros((1, 10), np.float16))
    return run


def test_the_table_is_a_row_an_event():
    file = export(by_hand(), 1, "csv")
    assert file.content.startswith(b"\xef\xbb\xbfrun,type,epoch,step,seconds,")
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
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


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_is_taken_for_a_formula(text):
    assert safe(text) == f"'{text}"


def test_numbers_and_plain_text_stay():
    assert [safe(value) for value in (-1.5, "a=1", "")] == [-1.5, "a=1", ""]


def test_tensorboard_reads_the_event_files(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = export(run, 2, "tensorboard")
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        archive.extractall(tmp_path)
        events = next(name for name in archive.namelist() if "tfevents" in name)
    assert re.fullmatch(r"[\w-]+/events\.out\.tfevents\.\d+\.playground", events)  # no name of this computer
    found = EventAccumulator(str(tmp_path / events), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    found.Reload()
    rows = run.rows()
    epochs = [row for row in rows if row["type"] == "epoch"]
    progress = [row for row in rows if row["type"] == "progress"]
    for split in ("train", "val", "test"):
        for figure in ("loss", "accuracy"):
            wanted = [(row["step"], pytest.approx(row[split][figure])) for row in epochs if row[split]]
            assert [(event.step, event.value) for event in found.Scalars(f"{figure}/{split}")] == wanted
    for figure in ("loss", "learning_rate", "grad_norm", "weight_norm"):
        events = found.Scalars(f"progress/{figure}")
        assert [(event.step, event.value) for event in events] == [
            (r["step"], pytest.approx(r[figure])) for r in progress
        ]
    begun = run.status().started
    times = [event.wall_time for event in found.Scalars("loss/test")]
    assert times == pytest.approx([begun + row["seconds"] for row in epochs], abs=1e-3)
    assert len(found.Images("confusion")) == len(epochs)
    texts = b"".join(
        t.tensor_proto.string_val[0] for tag in found.Tags()["tensors"] for t in found.Tensors(tag)
    ).decode()
    assert "| Channels of each block | 4-6 |" in texts
    assert json.loads(re.search(r"```json\n(.*)\n```", texts, re.DOTALL)[1]) == json.loads(run.config.model_dump_json())


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
    page = read(export(run, 2, "html").content)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert [attributes["src"][:22] for tag, attributes in page.tags if tag == "img"] == ["data:image/png;base64,"]
    assert not [attributes for _, attributes in page.tags if "href" in attributes or "onerror" in attributes]
    assert HOSTILE in page.text
    assert "A note & <b>more</b>" in page.text
    last = run.rows()[-1]
    assert f"test accuracy {last['test']['accuracy']:.2%}" in page.text
    for words in ("Channels of each block\n4-6\n16-32-64", "block2.conv1\n6 × 16 × 16\n222", "airplane", "automobile"):
        assert words in page.text
    labels = {attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"}
    assert len(labels) == 5


def test_a_report_of_a_run_without_rows_or_kernels():
    run = make_run()
    page = read(export(run, 3, "html").content)
    assert "Precision" in page.text
    assert "kernels" not in page.text
    (run.path / "metrics.jsonl").unlink()
    assert "Knobs" in read(export(run, 3, "html").content).text


def test_kernels_as_a_picture():
    demo = demo_run()
    picture = np.array(Image.open(io.BytesIO(kernels(facts(demo, 24)))))
    weights = demo.weights(24)["block1_conv1.weight"]
    assert picture.shape == (2 * 4 * 8, 16 * 4 * 8, 3)  # 24 kernels of 3×3 in rows of 16, with a line between
    wanted = 127.5 + 127.5 * weights[0].transpose(1, 2, 0) / np.abs(weights[0]).max()
    assert np.abs(picture[4:24:8, 4:24:8].astype(float) - wanted).max() <= 0.51


def test_every_format_exports_the_demo():
    demo = demo_run()
    for name in FORMATS:
        if name != "onnx":
            file = export(demo, 24, name)
            assert file.content
            assert re.fullmatch(r"Demo-CIFAR-10[a-z0-9-]*\.(py|ipynb|zip|html|csv)", file.name)
