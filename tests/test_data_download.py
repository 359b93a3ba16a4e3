"""Downloads through torchvision's own classes, from a server on this machine that can misbehave."""

import contextlib
import gzip
import hashlib
import io
import json
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from playground.data import download, store
from playground.data.catalog import DataError, find_folder, find_info, is_ready
from playground.data.load import load_dataset
from playground.data.progress import Progress
from playground.metrics import IGNORE

SHARED = Path(__file__).resolve().parents[2] / "shared"
MD5 = dict[str, str]


class Server(ThreadingHTTPServer):
    """Serves `files`; cuts connections after `cut` bytes, `cuts` times; may ignore Range, or send other bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.cut, self.cuts = 0, 0
        self.ranges = True
        self.lengths = True
        self.wrong_range = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        wanted = self.headers.get("Range", "")
        self.server.requests.append((self.path, wanted))
        if self.path not in self.server.files:
            self.send_error(404)
            return
        content, start = self.server.files[self.path], 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            if self.server.wrong_range:
                start = 0
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        if self.server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            body = body[: self.server.cut]
        with contextlib.suppress(ConnectionError):  # The client has cancelled.
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "CHUNK", 4096)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def cifar_archive(base: str, files: dict[str, dict]) -> tuple[bytes, MD5]:
    """Build an archive as the official ones are: a folder of pickles; also the checksum of each."""
    out, sums = io.BytesIO(), {}
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            data = pickle.dumps(content, protocol=2)
            sums[name] = hashlib.md5(data).hexdigest()
            member = tarfile.TarInfo(f"{base}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue(), sums


def point_cifar(patch: pytest.MonkeyPatch, source: Any, server: Server, archive: bytes, sums: MD5) -> None:
    """Make torchvision's class expect this archive from this server."""
    server.files[f"/{source.filename}"] = archive
    patch.setattr(source, "url", f"{server.url}/{source.filename}")
    patch.setattr(source, "tgz_md5", hashlib.md5(archive).hexdigest())
    for listing in ("train_list", "test_list"):
        patch.setattr(source, listing, [[name, sums[name]] for name, _ in getattr(source, listing)])
    patch.setattr(source, "meta", source.meta | {"md5": sums[source.meta["filename"]]})


@pytest.fixture
def cifar(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A small CIFAR-10 on the server: {file: data (20, 3072)}; image k of a file is of class k % 10."""
    random = np.random.default_rng(0)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    data = {name: random.integers(0, 256, (20, 3072), dtype=np.uint8) for name in names}
    files = {name: {"data": d, "labels": [k % 10 for k in range(20)]} for name, d in data.items()}
    archive, sums = cifar_archive("cifar-10-batches-py", files | {"batches.meta": {"label_names": list("abcdefghij")}})
    point_cifar(monkeypatch, datasets.CIFAR10, server, archive, sums)
    return data


def archive_path() -> Path:
    return find_folder("cifar10").parent / ".downloads" / "cifar10" / "cifar-10-python.tar.gz"


def check(data: dict[str, np.ndarray]) -> None:
    found = load_dataset("cifar10")
    train = np.concatenate([data[f"data_batch_{k}"] for k in range(1, 6)]).reshape(-1, 3, 32, 32)
    assert np.array_equal(found.train_images, train)
    assert np.array_equal(found.test_images, data["test_batch"].reshape(-1, 3, 32, 32))
    assert found.train_targets.tolist() == [k % 10 for k in range(100)]


def test_a_download_ends_in_the_store_and_leaves_no_archive(server: Server, cifar: dict[str, np.ndarray]) -> None:
    told: list[Progress] = []
    load_dataset("cifar10", told.append)
    check(cifar)
    size = len(server.files["/cifar-10-python.tar.gz"])
    transfer = [p for p in told if p.what == "Downloading CIFAR-10"]
    assert transfer[0] == Progress(0, size, "Downloading CIFAR-10") and transfer[-1].done == transfer[-1].total == size
    assert [p.done for p in transfer] == sorted(p.done for p in transfer) and len(transfer) > size / 5000
    assert not archive_path().parent.exists()
    assert find_info("cifar10").train_count == 100 and len(find_info("cifar10").mean) == 3
    server.files.clear()
    check(cifar)  # from the disk
    assert server.requests == [("/cifar-10-python.tar.gz", "")]


def test_a_cut_connection_is_taken_up_again_by_itself(server: Server, cifar: dict[str, np.ndarray]) -> None:
    server.cut, server.cuts = 50_000, 2
    check(cifar)
    assert [wanted for _, wanted in server.requests] == ["", "bytes=50000-", "bytes=100000-"]


def test_a_connection_that_keeps_breaking_is_one_line_and_the_next_try_goes_on(
    server: Server, cifar: dict[str, np.ndarray]
) -> None:
    server.cut, server.cuts = 10_000, 100
    with pytest.raises(DataError, match=r"the connection to 127\.0\.0\.1 broke .* kept.* cifar10-mini works offline$"):
        load_dataset("cifar10")
    assert len(server.requests) == 1 + download.RETRIES and not archive_path().exists()
    server.cuts = 0
    check(cifar)
    assert server.requests[-1][1] == "bytes=40000-"


def test_a_cut_without_a_length_is_found_by_the_checksum(server: Server, cifar: dict[str, np.ndarray]) -> None:
    server.cut, server.cuts, server.lengths = 10_000, 1, False
    with pytest.raises(DataError, match="corrupt"):
        load_dataset("cifar10")
    check(cifar)


def test_a_cancel_keeps_what_is_there(server: Server, cifar: dict[str, np.ndarray]) -> None:
    class Cancelled(RuntimeError):  # torchvision raises RuntimeErrors too: they must not be mistaken for this
        pass

    def cancel(progress: Progress) -> None:
        if progress.done > 100_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        load_dataset("cifar10", cancel)
    part = archive_path().with_name("cifar-10-python.tar.gz.part")
    assert part.stat().st_size > 100_000 and not archive_path().exists() and not is_ready("cifar10")
    told: list[Progress] = []
    kept = part.stat().st_size
    load_dataset("cifar10", told.append)
    check(cifar)
    assert server.requests[1][1] == f"bytes={kept}-" and told[0].done == kept


def test_a_cancel_before_unpacking_does_not_download_again(server: Server, cifar: dict[str, np.ndarray]) -> None:
    def cancel(progress: Progress) -> None:
        if progress.what.startswith("Unpacking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset("cifar10", cancel)
    assert archive_path().exists()
    check(cifar)
    assert len(server.requests) == 1


def test_a_part_that_is_whole_already_is_only_checked(server: Server, cifar: dict[str, np.ndarray]) -> None:
    archive_path().parent.mkdir(parents=True)
    archive = server.files["/cifar-10-python.tar.gz"]
    archive_path().with_name("cifar-10-python.tar.gz.part").write_bytes(archive)
    check(cifar)
    assert server.requests == [("/cifar-10-python.tar.gz", f"bytes={len(archive)}-")]


def test_a_part_that_is_too_long_is_fetched_again(server: Server, cifar: dict[str, np.ndarray]) -> None:
    archive_path().parent.mkdir(parents=True)
    archive_path().with_name("cifar-10-python.tar.gz.part").write_bytes(bytes(10**6))
    check(cifar)


def test_a_server_that_ignores_range_starts_again(server: Server, cifar: dict[str, np.ndarray]) -> None:
    server.ranges, server.cut, server.cuts = False, 50_000, 1
    check(cifar)
    assert [wanted for _, wanted in server.requests] == ["", "bytes=50000-"]


def test_another_range_than_the_one_asked_for_is_not_appended(server: Server, cifar: dict[str, np.ndarray]) -> None:
    server.wrong_range, server.cut, server.cuts = True, 50_000, 1
    with pytest.raises(DataError, match="another piece of the file"):
        load_dataset("cifar10")
    assert archive_path().with_name("cifar-10-python.tar.gz.part").stat().st_size == 50_000


def test_a_corrupt_archive_never_gets_its_name(server: Server, cifar: dict[str, np.ndarray]) -> None:
    whole = server.files["/cifar-10-python.tar.gz"]
    server.files["/cifar-10-python.tar.gz"] = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    expected = hashlib.md5(whole).hexdigest()
    with pytest.raises(DataError, match=rf"corrupt .*expected {expected}\), which was deleted.*try again") as error:
        load_dataset("cifar10")
    assert "\n" not in str(error.value)
    assert list(archive_path().parent.iterdir()) == [] and not is_ready("cifar10")
    server.files["/cifar-10-python.tar.gz"] = whole
    check(cifar)


def test_a_corrupt_archive_in_place_is_fetched_again(server: Server, cifar: dict[str, np.ndarray]) -> None:
    archive_path().parent.mkdir(parents=True)
    archive_path().write_bytes(b"not what it should be")
    check(cifar)
    assert len(server.requests) == 1


def test_torchvisions_own_check_is_run(
    server: Server, cifar: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [[name, "0" * 32] for name, _ in datasets.CIFAR10.train_list]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", wrong)
    with pytest.raises(DataError, match="damaged while it was unpacked"):
        load_dataset("cifar10")
    assert not is_ready("cifar10")


def test_no_network_names_the_set_the_host_and_the_way_out(
    server: Server, cifar: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{free.getsockname()[1]}/x")
        with pytest.raises(
            DataError, match=r"^CIFAR-10 cannot .* 127\.0\.0\.1 could not be reached .*offline$"
        ) as error:
            load_dataset("cifar10")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://no-such-host.invalid/x")
    with pytest.raises(DataError, match=r"no-such-host\.invalid could not be reached"):
        load_dataset("cifar10")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{server.url}/elsewhere")
    with pytest.raises(DataError, match="answered 404"):
        load_dataset("cifar10")


def test_a_full_disk_is_not_taken_for_the_network(
    server: Server, cifar: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(self: Path, mode: str = "r", **rest: object) -> object:
        if self.suffix == ".part" and mode != "rb":
            raise OSError(28, "No space left on device")
        return real(self, mode, **rest)  # ty: ignore

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=r"cannot be kept in .*No space left on device$"):
        load_dataset("cifar10")
    assert len(server.requests) == 1


def test_a_server_that_falls_silent_is_given_up(
    server: Server, cifar: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{silent.getsockname()[1]}/x")
        with pytest.raises(DataError, match="could not be reached"):
            load_dataset("cifar10")


def test_two_processes_that_want_the_same_set_download_it_once(
    server: Server, cifar: dict[str, np.ndarray], tmp_path: Path
) -> None:
    code = """
import json, sys
from torchvision import datasets
from playground.data.load import load_dataset
for key, value in json.load(open(sys.argv[1])).items():
    setattr(datasets.CIFAR10, key, value)
print(load_dataset("cifar10", lambda progress: print(progress.what, flush=True)).train_images.sum())
"""
    names = ("url", "tgz_md5", "train_list", "test_list", "meta")
    (tmp_path / "a.json").write_text(json.dumps({name: getattr(datasets.CIFAR10, name) for name in names}))
    command = [sys.executable, "-c", code, str(tmp_path / "a.json")]
    with store.locked("cifar10"):
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for process in processes:
            assert process.stdout and "Waiting for another process" in process.stdout.readline()
    sums = {process.communicate(timeout=240)[0].splitlines()[-1] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(sums) == 1 and len(server.requests) == 1


def test_cifar100_takes_the_fine_labels(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    labels = {"fine_labels": [99, 0, 50, 1, 2, 3], "coarse_labels": [0] * 6}
    files = {name: {"data": data, **labels} for name in ("train", "test")}
    archive, sums = cifar_archive("cifar-100-python", files | {"meta": {"fine_label_names": ["x"] * 100}})
    point_cifar(monkeypatch, datasets.CIFAR100, server, archive, sums)
    found = load_dataset("cifar100")
    assert found.train_targets.tolist() == labels["fine_labels"]
    assert np.array_equal(found.test_images, data.reshape(6, 3, 32, 32))


@pytest.mark.parametrize(("name", "source"), [("mnist", datasets.MNIST), ("fashion-mnist", datasets.FashionMNIST)])
def test_the_mnists_come_from_the_mirror_that_works(
    name: str, source: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, resources, arrays = np.random.default_rng(0), [], []
    for file, _ in source.resources:
        shape = (30, 28, 28) if "images" in file else (30,)
        array = random.integers(0, 256 if "images" in file else 10, shape, dtype=np.uint8)
        header = struct.pack(f">{1 + len(shape)}i", 0x800 + len(shape), *shape)
        packed = gzip.compress(header + array.tobytes())
        server.files[f"/good/{file}"] = packed
        resources.append((file, hashlib.md5(packed).hexdigest()))
        arrays.append(array)
    monkeypatch.setattr(source, "mirrors", ["http://no-such-host.invalid/", f"{server.url}/good/"])
    monkeypatch.setattr(source, "resources", resources)
    # An earlier run was killed while it unpacked: torchvision would take this for the whole file.
    half = find_folder(name).parent / ".downloads" / name / source.__name__ / "raw" / "train-images-idx3-ubyte"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    told: list[Progress] = []
    found = load_dataset(name, told.append)
    assert any(p.what.endswith(", file 4 of 4") for p in told)
    train_images, train_targets, test_images, test_targets = arrays
    assert np.array_equal(found.train_images, train_images[:, None])
    assert np.array_equal(found.train_targets, train_targets)
    assert np.array_equal(found.test_images, test_images[:, None])
    assert np.array_equal(found.test_targets, test_targets)
    assert not half.exists() and found.info.channels == 1 and found.info.size == 28


def test_a_set_that_no_mirror_has_names_them_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://no-such-host.invalid/", f"{server.url}/bad/"])
    with pytest.raises(DataError, match=r"no-such-host\.invalid could not be reached .*127\.0\.0\.1 answered 404"):
        load_dataset("mnist")


def test_svhn_has_the_digit_0_as_class_0(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    random, listing, arrays = np.random.default_rng(0), {}, {}
    for split, n in (("train", 20), ("test", 10)):
        images = random.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)  # height, width, channel, image
        labels = np.arange(n)[:, None] % 10 + 1  # 1 to 10, where 10 is the digit 0
        out = io.BytesIO()
        scipy.io.savemat(out, {"X": images, "y": labels.astype(np.uint8)})
        server.files[f"/{split}_32x32.mat"] = out.getvalue()
        url = f"{server.url}/{split}_32x32.mat"
        listing[split] = [url, f"{split}_32x32.mat", hashlib.md5(out.getvalue()).hexdigest()]
        arrays[split] = images
    monkeypatch.setattr(datasets.SVHN, "split_list", listing)
    found = load_dataset("svhn")
    assert found.train_targets.tolist() == [*range(1, 10), 0] * 2 and found.test_targets.tolist() == [*range(1, 10), 0]
    for split, images in (("train", found.train_images), ("test", found.test_images)):
        assert np.array_equal(images, arrays[split].transpose(3, 2, 0, 1))
    assert found.info.classes[found.train_targets[9]] == "0"


def tar(files: dict[str, bytes], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as made:  # ty: ignore[no-matching-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return out.getvalue()


def picture(pixels: np.ndarray, form: str) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    if form == "PNG":
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(out, form, quality=95)
    return out.getvalue()


def stripes(values: tuple[int, ...], height: int, width: int) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8), width // len(values))[None].repeat(height, 0)


@pytest.fixture
def pets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photos to learn from and two to test on, 300 × 200 pixels, a third of each pet, background, neither."""
    photo = np.full((200, 300, 3), 90, np.uint8)
    names = {"trainval": ["Abyssinian_1", "beagle_2", "pug_10"], "test": ["Abyssinian_3", "pug_11"]}
    every = names["trainval"] + names["test"]
    images = {f"images/{name}.jpg": picture(photo, "JPEG") for name in every}
    notes = {f"annotations/{s}.txt": "".join(f"{n} 1 1 1\n" for n in found).encode() for s, found in names.items()}
    trimaps = {f"annotations/trimaps/{n}.png": picture(stripes((1, 2, 3), 200, 300), "PNG") for n in every}
    resources = []
    for file, content in (("images.tar.gz", images), ("annotations.tar.gz", notes | trimaps)):
        server.files[f"/pets/{file}"] = tar(content, "w:gz")
        resources.append((f"{server.url}/pets/{file}", hashlib.md5(server.files[f"/pets/{file}"]).hexdigest()))
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", tuple(resources))


def check_pets() -> None:
    found = load_dataset("oxford-pet")
    assert found.info.task == "segmentation" and found.info.shape == (3, 128, 128)
    assert (found.info.train_count, found.info.test_count) == (3, 2)
    assert np.ptp(found.train_images) < 5 and abs(int(found.train_images[0, 0, 0, 0]) - 90) < 5
    # The middle 200 of 300 pixels: half a third of pet, a third of background, half a third of neither.
    for mask in (*found.train_targets, *found.test_targets):
        assert (mask == mask[:1]).all()
        edges = np.flatnonzero(np.diff(mask[0].astype(int))) + 1
        assert edges.tolist() == [32, 96] and mask[0, [0, 64, 127]].tolist() == [1, 0, IGNORE]


def test_the_pets_are_cut_to_their_middle_and_the_border_is_no_class(server: Server, pets: None) -> None:
    server.cut, server.cuts = 500, 1
    told: list[Progress] = []
    load_dataset("oxford-pet", told.append)
    check_pets()
    whats = [progress.what for progress in told]
    assert whats[-1] == "Shrinking test images of Oxford-IIIT Pet, a label for each pixel"
    assert any(what.endswith("file 2 of 2") for what in whats)
    assert [wanted for _, wanted in server.requests] == ["", "bytes=500-", ""]
    assert not (find_folder("oxford-pet").parent / ".downloads" / "oxford-pet").exists()


def test_pets_that_were_half_unpacked_are_unpacked_again(server: Server, pets: None) -> None:
    def cancel(progress: Progress) -> None:
        if progress.what.startswith("Shrinking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset("oxford-pet", cancel)
    unpacked = find_folder("oxford-pet").parent / ".downloads" / "oxford-pet" / "oxford-iiit-pet"
    (unpacked / "annotations" / "test.txt").unlink()  # torchvision only looks whether the folders are there
    check_pets()
    assert len(server.requests) == 2  # nothing is fetched twice


def test_voc_keeps_its_classes_and_its_void(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    base, files = "VOCdevkit/VOC2012", {}
    values = (0, 20, 255, 7)
    for split, names in (("train", ["2007_000032", "2007_000039"]), ("val", ["2007_000033"])):
        files[f"{base}/ImageSets/Segmentation/{split}.txt"] = "".join(f"{name}\n" for name in names).encode()
        for name in names:
            tall = name.endswith("39")  # 120 × 320, of which the middle 120 × 90 is taken
            photo = np.full((320, 120, 3) if tall else (240, 320, 3), 200, np.uint8)
            files[f"{base}/JPEGImages/{name}.jpg"] = picture(photo, "JPEG")
            files[f"{base}/SegmentationClass/{name}.png"] = picture(stripes(values, *photo.shape[:2]), "PNG")
    files[f"{base}/JPEGImages/2008_000001.jpg"] = picture(np.zeros((10, 10, 3), np.uint8), "JPEG")  # without a mask
    from torchvision.datasets import voc

    archive = tar(files, "w")
    server.files["/voc.tar"] = archive
    entry = voc.DATASET_YEAR_DICT["2012"] | {"url": f"{server.url}/voc.tar", "md5": hashlib.md5(archive).hexdigest()}
    monkeypatch.setitem(voc.DATASET_YEAR_DICT, "2012", entry)
    found = load_dataset("voc2012")
    assert found.info.shape == (3, 120, 160) and found.info.num_classes == 21
    assert (found.info.train_count, found.info.test_count) == (2, 1)
    for mask in (*found.train_targets, *found.test_targets):
        assert mask[:, [0, 41, 81, 159]].tolist() == [list(values)] * 120
    assert len(server.requests) == 1


def test_the_real_cifar10_in_the_official_layout(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = SHARED / "tools" / "cifar10_archive.py"
    if not tool.is_file():
        pytest.skip("the real CIFAR-10 is not in ../shared")
    made = subprocess.run([sys.executable, tool, tmp_path, "300"], check=True, capture_output=True, timeout=120)
    archive = (tmp_path / "cifar-10-python.tar.gz").read_bytes()
    point_cifar(monkeypatch, datasets.CIFAR10, server, archive, json.loads(made.stdout)["files"])
    server.cut, server.cuts = 1_000_000, 2
    load_dataset("cifar10")
    started = time.perf_counter()
    found = load_dataset("cifar10")
    assert time.perf_counter() - started < 2
    mini = load_dataset("cifar10-mini")
    # The first 300 images of the first batch hold fewer than 1,000 of each class, so the bundled set begins with them.
    assert np.array_equal(found.train_images[:300], mini.train_images[:300])
    assert np.array_equal(found.train_targets[:300], mini.train_targets[:300])
