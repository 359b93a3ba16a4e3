"""Masks from the command line: what is written, what is said, and what is refused."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ui_support import open_page, run

from playground import cli
from playground.data import shapes
from playground.images import PHOTO
from playground.inference import preprocess
from playground.inference.segment import label_photo, predict_pixels
from playground.jobs import client
from playground.metrics.mask_scores import class_fractions
from playground.plots.masks import PALETTE, overlay_mask
from playground.runs import list_runs
from playground.ui.components.sheets import make_image_picture


@pytest.fixture
def pixels_run():
    """The bundled run that labels pixels."""
    return next(run for run in list_runs() if run.dataset.name == "shapes")


def photo_of(size: tuple[int, int]) -> np.ndarray:
    """A drawn image, enlarged to (height, width)."""
    image = shapes.first_test_images(1)[0][0].transpose(1, 2, 0)
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        file.load()
        return file


def test_a_mask_is_written_at_the_photos_own_size(capsys, tmp_path, pixels_run):
    photo = photo_of((150, 200))
    Image.fromarray(photo).save(tmp_path / "one.png")
    assert cli.main(["predict", str(tmp_path / "one.png"), "--out", str(tmp_path / "masks")]) == 0
    out = capsys.readouterr()
    assert pixels_run.name in out.err
    written = opened(tmp_path / "masks" / "one-mask.png")
    assert (written.mode, written.size) == ("P", (200, 150))
    mask = np.asarray(written)
    np.testing.assert_array_equal(mask, label_photo(pixels_run, pixels_run.status().best_epoch, photo, 64))
    np.testing.assert_array_equal(np.asarray(written.convert("RGB")), PALETTE[mask])
    found = class_fractions(mask, 6)
    said = dict(part.rsplit(" ", 1) for part in out.out.strip().split(": ", 1)[1].split(", "))
    assert said == {name: f"{share:.1%}" for name, share in zip(shapes.CLASSES, found, strict=True) if share}
    assert len(said) > 1


def test_without_a_folder_the_classes_are_only_said(capsys, tmp_path, monkeypatch, pixels_run):
    Image.fromarray(photo_of((80, 80))).save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["predict", "one.png", "--run", pixels_run.id, "--top", "1"]) == 0
    line = capsys.readouterr().out
    assert line.count("%") == 1 and line.startswith("one.png: background ")
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_the_side_is_what_the_network_is_shown(tmp_path, pixels_run):
    photo = photo_of((96, 128))
    Image.fromarray(photo).save(tmp_path / "one.png")
    name, epoch = str(tmp_path / "one.png"), pixels_run.epochs()[-1]
    for side in ("128", "9999"):  # its own is the most
        assert cli.main(["predict", name, "--out", str(tmp_path), "--side", side, "--epoch", str(epoch)]) == 0
        own = predict_pixels(pixels_run, epoch, np.ascontiguousarray(photo.transpose(2, 0, 1))).argmax(0)
        np.testing.assert_array_equal(np.asarray(opened(tmp_path / "one-mask.png")), own)


def test_a_photo_larger_than_is_kept_gets_a_mask_of_its_own_size(tmp_path):
    Image.fromarray(photo_of((700, PHOTO + 100))).save(tmp_path / "wide.png")
    assert cli.main(["predict", str(tmp_path / "wide.png"), "--out", str(tmp_path)]) == 0
    assert opened(tmp_path / "wide-mask.png").size == (PHOTO + 100, 700)


def test_a_file_that_is_no_photo_is_one_line_and_the_others_are_labelled(capsys, tmp_path):
    Image.fromarray(photo_of((64, 64))).save(tmp_path / "good.png")
    whole = io.BytesIO()
    Image.fromarray(photo_of((64, 64))).save(whole, "JPEG")
    Image.fromarray(photo_of((1, 2000))).save(tmp_path / "thin.png")  # shown at the side of training it has no height
    hostile = {"text.png": b"no photo", "cut.jpg": whole.getvalue()[:500], "empty.png": b"", "doc.png": b"%PDF-1.4"}
    for name, content in hostile.items():
        (tmp_path / name).write_bytes(content)
    names = [str(tmp_path / name) for name in (*hostile, "thin.png", "missing.png", "good.png")]
    assert cli.main(["predict", *names, "--out", str(tmp_path / "masks")]) == 2
    lines = capsys.readouterr().err.splitlines()
    for name in (*hostile, "thin.png", "missing.png"):
        assert sum(name in line for line in lines) == 1
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["good-mask.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "demo", "--out", "masks"], "labels whole images"),
        (["--run", "demo", "--side", "64"], "labels whole images"),
        (["--side", "0"], "--side 0 is too small"),
        (["sub/one.png", "--out", "masks"], "both become"),
        (["--out", "one.png"], "one.png"),  # a file, where a folder shall be
    ],
)
def test_what_cannot_be_is_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo_of((64, 64))).save("one.png")
    assert cli.main(["predict", "one.png", *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "after epoch" not in line]
    assert len(lines) == 1 and words in lines[0]
    assert not (tmp_path / "masks").exists()


def test_a_grey_network_is_shown_grey_pixels(pixels_run):
    photo, dataset = photo_of((40, 60)), pixels_run.dataset
    grey = preprocess.resize_to_side(photo, replace(dataset, channels=1), 30)
    assert (grey.shape, grey.dtype) == ((1, 20, 30), np.uint8)
    assert preprocess.resize_to_side(photo, dataset, 60).tolist() == photo.transpose(2, 0, 1).tolist()
    assert preprocess.offer_sides(photo, dataset) == [60]
    assert preprocess.offer_sides(photo_of((300, 200)), dataset) == [64, 128, 256, 300]


def test_the_mask_is_that_of_the_page(tmp_path, monkeypatch, pixels_run):
    monkeypatch.setattr(client, "ensure_service", lambda: None)
    photo = photo_of((150, 200))
    Image.fromarray(photo).save(tmp_path / "one.png")
    assert cli.main(["predict", str(tmp_path / "one.png"), "--out", str(tmp_path)]) == 0
    mask = np.asarray(opened(tmp_path / "one-mask.png"))
    at = open_page("segment", run=pixels_run.id)
    at.get_by_key("segment_view").set_value("photo")
    at = run(at)
    at.file_uploader[0].upload("one.png", (tmp_path / "one.png").read_bytes(), "image/png")
    shown = json.loads(run(at).get_by_key("segment_photo_pictures").proto.json)["items"][1]["url"]
    opacity, clear = 0.6, 0  # the background is left as it is
    assert shown == make_image_picture(overlay_mask(photo, mask, opacity, clear), "", "").url
