"""Download data sets that torchvision knows.

torchvision says where the archives are and what their checksums are, extracts them and reads them. The transfer itself
is done here, because torchvision's can neither be watched nor cancelled nor resumed: it finds the archives already in
their place, checks them once more, and goes on.
"""

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from playground.data import store
from playground.data.catalog import CATALOG, DataError
from playground.data.importing.shrink import fit_pair
from playground.data.progress import Progress, Report
from playground.home import home
from playground.metrics import IGNORE
from playground.tasks import TASKS

CHUNK = 64 * 1024
TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""
RETRIES = 3
"""How often a transfer that broke, after having got something, is taken up again by itself."""

_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
_CLASSES |= {"svhn": "SVHN", "oxford-pet": "OxfordIIITPet", "voc2012": "VOCSegmentation"}

_VALUES = {name: np.arange(256, dtype=np.uint8) for name in ("oxford-pet", "voc2012")}
_VALUES["oxford-pet"][[1, 2, 3]] = 1, 0, IGNORE  # pet, background, not classified
"""What each value in the authors' masks becomes in ours."""


@dataclass(frozen=True)
class Archive:
    """A file to fetch: the URLs to try in turn, where torchvision looks for it, and its checksum."""

    urls: tuple[str, ...]
    path: Path
    md5: str


class _Failed(Exception):
    """A server did not send what it should; the message names it."""


def download_dataset(name: str, progress: Report | None = None) -> None:
    """Fetch a data set of the catalog and keep it in the store. Call it with the set's lock held.

    Raises:
        DataError: it cannot be fetched or kept.
    """
    entry = CATALOG[name]
    root = home() / "data" / ".downloads" / name
    files = list_archives(name, root)
    try:
        _tidy(root, files)
        for k, archive in enumerate(files, 1):
            which = f", file {k} of {len(files)}" if len(files) > 1 else ""
            fetch_archive(archive, entry.title, f"Downloading {entry.title}{which}", progress or (lambda _: None))
        if progress:
            progress(Progress(0, 0, f"Unpacking {entry.title}"))
        parts = _read_masks(name, root, progress) if TASKS[entry.task].target == "mask" else _read(name, root)
    except OSError as error:  # What the network raises has been dealt with: this is the disk.
        raise DataError(f"{entry.title} cannot be kept in {root}: {error.strerror or error}") from None
    store.write_arrays(entry, *parts)
    shutil.rmtree(root, ignore_errors=True)  # The arrays are all that is needed from now on.


def list_archives(name: str, root: Path) -> list[Archive]:
    """Ask torchvision which files a data set consists of, and where under `root` it expects them."""
    source = _torchvision(name)
    if name == "svhn":
        return [Archive((url,), root / file, md5) for url, file, md5 in map(source.split_list.get, ("train", "test"))]
    if name in ("mnist", "fashion-mnist"):
        raw = root / source.__name__ / "raw"
        return [
            Archive(tuple(mirror + file for mirror in source.mirrors), raw / file, md5)
            for file, md5 in source.resources
        ]
    if name == "oxford-pet":
        folder = root / "oxford-iiit-pet"
        return [Archive((url,), folder / url.rsplit("/", 1)[1], md5) for url, md5 in source._RESOURCES]
    if name == "voc2012":
        from torchvision.datasets.voc import DATASET_YEAR_DICT

        entry = DATASET_YEAR_DICT["2012"]
        return [Archive((entry["url"],), root / entry["filename"], entry["md5"])]
    return [Archive((source.url,), root / source.filename, source.tgz_md5)]


def fetch_archive(archive: Archive, title: str, what: str, report: Report) -> None:
    """Bring one file to its place; it gets its name only when its checksum is right.

    Raises:
        DataError: no server could be reached, or what they sent is not the file.
    """
    if archive.path.is_file():  # Left by a run that was ended while it unpacked.
        if _md5(archive.path) == archive.md5:
            return
        archive.path.unlink()
    archive.path.parent.mkdir(parents=True, exist_ok=True)
    part = archive.path.with_name(archive.path.name + ".part")
    failures = []
    for url in archive.urls:
        try:
            _transfer(url, part, what, report)
        except _Failed as error:
            failures.append(str(error))
            continue
        found = _md5(part)
        if found == archive.md5:
            part.replace(archive.path)
            return
        part.unlink()
        failures.append(
            f"{urlsplit(url).hostname} sent a corrupt {archive.path.name} (md5 {found}, expected {archive.md5}), "
            "which was deleted"
        )
    _give_up(title, failures, part)


def _give_up(title: str, failures: list[str], part: Path) -> NoReturn:
    """Say in one line why a file could not be had, and what can be done."""
    kept = (
        f"; {part.stat().st_size / 1e6:.1f} MB are kept, and the next try goes on from there" if part.exists() else ""
    )
    raise DataError(
        f"{title} cannot be downloaded: {'; '.join(failures)}{kept}. Check the network and try again; "
        "cifar10-mini works offline"
    )


def _transfer(url: str, part: Path, what: str, report: Report) -> None:
    """Fetch a URL into `part`, going on from what is there, and taking a broken connection up again.

    Raises:
        _Failed: the server cannot be reached, or its connection breaks again and again.
    """
    for attempt in range(RETRIES + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            response = _ask(url, before)
            if response is not None:
                with response:
                    _save(response, part, before, what, report)
        except _Failed:
            if attempt == RETRIES or not part.exists() or part.stat().st_size <= before:
                raise
        else:
            return


def _ask(url: str, have: int) -> Any:
    """Ask for the bytes of a URL from `have` on; None if the server says that there are no more."""
    host = urlsplit(url).hostname
    headers = {"User-Agent": "cnn-playground", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:
            raise _Failed(f"{host} answered {error.code} {error.reason}") from None
        # Either all of it is here, which the checksum will tell, or more than there should be: start again.
        return None if error.headers.get("Content-Range", "").endswith(f"/{have}") else _ask(url, 0)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or reason
        raise _Failed(f"{host} could not be reached ({reason})") from None


def _save(response: Any, part: Path, have: int, what: str, report: Report) -> None:
    """Append what a server sends to `part`, or replace it if the server starts from the beginning."""
    host = urlsplit(response.url).hostname
    if response.status != 206:
        have = 0
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise _Failed(f"{host} sent another piece of the file than the one asked for")
    length = response.headers.get("Content-Length", "")
    done, total = have, have + int(length) if length.isdigit() else 0
    with part.open("ab" if have else "wb") as file:
        report(Progress(done, total, what))
        while True:
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Failed(f"the connection to {host} broke ({error})") from None
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            report(Progress(done, total, what))
    if done < total:
        raise _Failed(f"the connection to {host} broke after {done / 1e6:.1f} of {total / 1e6:.1f} MB")


def _tidy(root: Path, files: list[Archive]) -> None:
    """Delete what an earlier run extracted: it may have been ended half-way, and torchvision does not always notice."""
    keep = {path for a in files for path in (a.path, a.path.with_name(a.path.name + ".part"))}
    for path in sorted(root.rglob("*"), reverse=True):  # what is in a folder before the folder
        if not path.is_dir() or path.is_symlink():
            if path not in keep:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


def _read(name: str, root: Path) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Let torchvision check, extract and read the archives; (N, C, H, W) uint8 images and targets, train then test."""
    source, parts = _torchvision(name), []
    for train in (True, False):
        which: dict[str, Any] = {"split": "train" if train else "test"} if name == "svhn" else {"train": train}
        try:
            data = source(root, download=True, **which)
        except RuntimeError as error:  # The archives are right, so it is what was made of them.
            raise DataError(f"{CATALOG[name].title} was damaged while it was unpacked ({error}); try again") from None
        if name == "svhn":
            parts += [np.ascontiguousarray(data.data), data.labels]
        elif name in ("mnist", "fashion-mnist"):
            parts += [data.data.numpy()[:, None], data.targets.numpy()]
        else:
            parts += [np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)), np.array(data.targets)]
    return parts[0], parts[1], parts[2], parts[3]


def _read_masks(name: str, root: Path, progress: Report | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Let torchvision check and extract the archives, and fit images (N, 3, H, W) and masks (N, H, W), train, test."""
    source, entry, parts = _torchvision(name), CATALOG[name], []
    _, height, width = entry.shape
    for first in (True, False):
        if name == "voc2012":
            which: dict[str, Any] = {"year": "2012", "image_set": "train" if first else "val"}
        else:
            which = {"split": "trainval" if first else "test", "target_types": "segmentation"}
        try:
            data = source(root, download=first, **which)  # once: it would extract everything a second time
        except RuntimeError as error:
            raise DataError(f"{entry.title} was damaged while it was unpacked ({error}); try again") from None
        images, masks = (
            np.empty((len(data), 3, height, width), np.uint8),
            np.empty((len(data), height, width), np.uint8),
        )
        for i in range(len(data)):
            image, mask = data[i]
            images[i], masks[i] = fit_pair(np.asarray(image), _VALUES[name][np.asarray(mask)], height, width)
            if progress:
                progress(Progress(i, len(data), f"Shrinking {'training' if first else 'test'} images of {entry.title}"))
        parts += [images, masks]
    return parts[0], parts[1], parts[2], parts[3]


def _torchvision(name: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, _CLASSES[name])


def _md5(path: Path) -> str:
    """Return a file's MD5: what the sets' authors publish. It guards against accidents, not against an attacker."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
