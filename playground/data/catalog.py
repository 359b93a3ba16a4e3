"""Which data sets there are: the catalog, and the sets that a person has imported. Nothing here reads an image."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from playground.errors import PlaygroundError, first_fault
from playground.home import home
from playground.tasks import TASKS, Task, TaskName

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What a data set may be called; the name is also a folder, a URL parameter and a value on the command line."""


MAX_INFO = 2**20
"""Bytes of an info.json."""
_Words = Annotated[str, Field(max_length=10_000)]


class DataError(PlaygroundError, ValueError):
    """Something about a data set that a person can put right; the message is one line, fit to be shown."""


def may_flip(classes: Sequence[str]) -> bool:
    """Say whether an image mirrored left to right still shows its class: not so where all are digits or letters."""
    return not classes or not all(len(name) == 1 and name.isalnum() for name in classes)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a data set before its images are read.

    Attributes:
        classes: the names of the classes, in the order of the targets.
        channels: 3 for colour, 1 for greyscale.
        size: the side of the images in pixels; where they are not square, their width.
        train_count, test_count: how many images there are to learn from and to test on.
        licence, source, citation: what its authors say about its use, where it comes from, how to cite it.
        download_mb: how much is fetched the first time, in megabytes; 0 where nothing is.
        bundled: whether the images are part of this program.
        mean, std: per channel over the training images, pixels in [0, 1]; empty until the set is ready.
        task: the name of what a network is asked for on it, one of `tasks.TASKS`.
        height: of images that are not square, else 0.
    """

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    classes: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=1000)]
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=1, le=4096)]
    train_count: Annotated[int, Field(ge=1, le=10**8)]
    test_count: Annotated[int, Field(ge=0, le=10**8)]
    licence: _Words
    source: _Words
    citation: _Words
    task: TaskName = "classification"
    download_mb: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    bundled: bool = False
    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    std: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    height: Annotated[int, Field(ge=0, le=4096)] = 0

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def own(self) -> bool:
        """Whether a person imported it."""
        return self.name not in CATALOG

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        return self.channels, self.height or self.size, self.size

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)

    def check(self) -> None:
        """Make sure that every field is of its type and within its range.

        Raises:
            ValueError: one is not, or they do not fit together; one line.
        """
        DatasetInfo.from_json(self.to_json())

    @model_validator(mode="after")
    def _fit(self) -> Self:
        """Make sure that the fields fit together, wherever one is read: of a set, of a run, of weights."""
        if len(set(self.classes)) < len(self.classes) or len(self.classes) < 2:
            raise PydanticCustomError("classes", "classes: at least two different names are needed, none of them twice")
        if {len(self.mean), len(self.std)} - {0, self.channels} or len(self.mean) != len(self.std):
            raise PydanticCustomError("channels", "mean, std: one number a channel is needed")
        return self

    @staticmethod
    def from_json(text: str | bytes) -> "DatasetInfo":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else; one line.
        """
        try:
            return _MODEL.validate_json(text, strict=True)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from None


_MODEL = TypeAdapter(DatasetInfo)


_CIFAR_CITATION = (
    "Alex Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto, "
    "2009."
)
_CIFAR_LICENCE = "None stated; its authors ask to cite the technical report."
_CIFAR_SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_DIGITS = tuple("0123456789")
# The order of the archive, which is alphabetical.
_CIFAR100_CLASSES = tuple(
    " ".join(name.split())
    for name in """
    apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, butterfly,
    camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, crocodile, cup,
    dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn mower,
    leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak tree, orange, orchid,
    otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray,
    road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar,
    sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip, turtle,
    wardrobe, whale, willow tree, wolf, woman, worm
    """.split(",")
)

CATALOG: dict[str, DatasetInfo] = {
    entry.name: entry
    for entry in (
        DatasetInfo(
            name="cifar10-mini",
            title="CIFAR-10 mini",
            classes=_CIFAR10_CLASSES,
            channels=3,
            size=32,
            train_count=10_000,
            test_count=2_000,
            licence=_CIFAR_LICENCE,
            source=f"The first 1,000 training and 200 test images of each class of CIFAR-10, {_CIFAR_SOURCE}",
            citation=_CIFAR_CITATION,
            bundled=True,
        ),
        DatasetInfo(
            name="shapes",
            title="Shapes, a label for each pixel",
            classes=("background", "disc", "square", "triangle", "star", "cross"),
            channels=3,
            size=64,
            train_count=2000,
            test_count=400,
            licence="MIT, as this program, which draws it.",
            source="playground/data/shapes.py",
            citation="Drawn by this program.",
            bundled=True,
            task="segmentation",
        ),
        DatasetInfo(
            name="cifar10",
            title="CIFAR-10",
            classes=_CIFAR10_CLASSES,
            channels=3,
            size=32,
            train_count=50_000,
            test_count=10_000,
            licence=_CIFAR_LICENCE,
            source=_CIFAR_SOURCE,
            citation=_CIFAR_CITATION,
            download_mb=170.5,
        ),
        DatasetInfo(
            name="cifar100",
            title="CIFAR-100",
            classes=_CIFAR100_CLASSES,
            channels=3,
            size=32,
            train_count=50_000,
            test_count=10_000,
            licence=_CIFAR_LICENCE,
            source=_CIFAR_SOURCE,
            citation=_CIFAR_CITATION,
            download_mb=169.0,
        ),
        DatasetInfo(
            name="fashion-mnist",
            title="Fashion-MNIST",
            classes=(
                *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
                *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
            ),
            channels=1,
            size=28,
            train_count=60_000,
            test_count=10_000,
            licence="MIT",
            source="https://github.com/zalandoresearch/fashion-mnist",
            citation="Han Xiao, Kashif Rasul, Roland Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking "
            "Machine Learning Algorithms. arXiv:1708.07747, 2017.",
            download_mb=30.9,
        ),
        DatasetInfo(
            name="mnist",
            title="MNIST",
            classes=_DIGITS,
            channels=1,
            size=28,
            train_count=60_000,
            test_count=10_000,
            licence="CC BY-SA 3.0, as commonly stated; the authors' own page names none.",
            source="http://yann.lecun.com/exdb/mnist/",
            citation="Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner: Gradient-based learning applied to "
            "document recognition. Proceedings of the IEEE 86(11), 2278-2324, 1998.",
            download_mb=11.6,
        ),
        DatasetInfo(
            name="svhn",
            title="Street View House Numbers",
            classes=_DIGITS,
            channels=3,
            size=32,
            train_count=73_257,
            test_count=26_032,
            licence="For non-commercial use only.",
            source="http://ufldl.stanford.edu/housenumbers/",
            citation="Yuval Netzer, Tao Wang, Adam Coates, Alessandro Bissacco, Bo Wu, Andrew Y. Ng: Reading Digits in "
            "Natural Images with Unsupervised Feature Learning. NIPS Workshop on Deep Learning and Unsupervised "
            "Feature Learning, 2011.",
            download_mb=246.3,
        ),
        DatasetInfo(
            name="oxford-pet",
            title="Oxford-IIIT Pet, a label for each pixel",
            # The trimaps' third value marks the border as not classified, so it is no class here either.
            classes=("background", "pet"),
            channels=3,
            size=128,
            train_count=3680,
            test_count=3669,
            licence="CC BY-SA 4.0",
            source="https://www.robots.ox.ac.uk/~vgg/data/pets/",
            citation="Omkar M. Parkhi, Andrea Vedaldi, Andrew Zisserman, C. V. Jawahar: Cats and Dogs. IEEE Conference "
            "on Computer Vision and Pattern Recognition, 2012.",
            download_mb=811.1,
            task="segmentation",
        ),
        DatasetInfo(
            name="voc2012",
            title="Pascal VOC 2012, a label for each pixel",
            classes=(
                *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
                *("dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train"),
                "tv monitor",
            ),
            channels=3,
            size=160,
            height=120,
            train_count=1464,
            test_count=1449,  # what its authors call validation; the masks of their test images are not public
            licence="The photos are from Flickr, whose terms of use apply.",
            source="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
            citation="Mark Everingham, Luc Van Gool, Christopher K. I. Williams, John Winn, Andrew Zisserman: The "
            "Pascal Visual Object Classes (VOC) Challenge. International Journal of Computer Vision 88(2), 303-338, "
            "2010.",
            download_mb=1999.6,
            task="segmentation",
        ),
    )
}
"""The data sets that everybody has, in the order in which they are offered."""


def find_folder(name: str) -> Path:
    """Return where the arrays of a data set are kept; it need not be there yet.

    Raises:
        DataError: the name cannot be a data set's.
    """
    if not NAME.fullmatch(name):
        raise DataError(f"{name[:60]!r} is no data set's name; small letters, digits, - and _ make one, 64 at most")
    return home() / "data" / name


def is_ready(name: str) -> bool:
    """Say whether the images are on this disk, so that nothing has to be downloaded (or unpacked) first."""
    return isinstance(_stored(name), DatasetInfo)


def find_info(name: str) -> DatasetInfo:
    """Look a data set up in the catalog and among the imported ones; with mean and std once it is ready.

    Raises:
        DataError: there is none of that name, or an imported one is damaged.
    """
    stored = _stored(name)
    if isinstance(stored, str) and name not in CATALOG:
        raise DataError(f"the data set {name} is damaged ({stored}); delete it on the Data page and get it again")
    if isinstance(stored, DatasetInfo):
        if name not in CATALOG:
            return stored
        # The words come from the catalog, so that they can be mended; what depends on the arrays, from beside them.
        return dataclasses.replace(
            CATALOG[name],
            train_count=stored.train_count,
            test_count=stored.test_count,
            mean=stored.mean,
            std=stored.std,
        )
    if name in CATALOG:  # A damaged one counts as not there: getting it again replaces it.
        return CATALOG[name]
    near = get_close_matches(name, [entry.name for entry in list_available()], 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "the Data page names those that there are"
    raise DataError(f"there is no data set {name}; {hint}")


def task_of(dataset: str) -> Task:
    """Return what a network is asked for on a data set; where the set is not known here, what most are asked for."""
    try:
        return TASKS[find_info(dataset).task]
    except DataError:
        return TASKS["classification"]


def list_available() -> list[DatasetInfo]:
    """Return every data set: the catalog's in its order, then the imported ones by name. Damaged ones are left out."""
    own = [found for name in _own_names() if isinstance(found := _stored(name), DatasetInfo)]
    return [find_info(name) for name in CATALOG] + own


def list_damaged() -> dict[str, str]:
    """Return {name: reason} of the imported data sets of which nothing can be read."""
    return {name: found for name in _own_names() if isinstance(found := _stored(name), str)}


def _own_names() -> list[str]:
    try:
        with os.scandir(home() / "data") as entries:
            names = sorted(entry.name for entry in entries if NAME.fullmatch(entry.name))
    except OSError:  # no data set was ever kept, or what is called data is no folder
        return []
    return [name for name in names if name not in CATALOG and os.path.lexists(find_folder(name) / "info.json")]


def _stored(name: str) -> DatasetInfo | str | None:
    """Return what the folder of a data set says of it, or why that cannot be read; None where there is nothing."""
    path = find_folder(name) / "info.json"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "info.json leads nowhere" if path.is_symlink() else None
    except OSError as error:
        return f"info.json: {error.strerror}"
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, changed: int, size: int) -> DatasetInfo | str:
    if size > MAX_INFO:
        return f"info.json is larger than {MAX_INFO >> 20} MB"
    try:
        found = DatasetInfo.from_json(path.read_bytes())
    except OSError as error:
        return f"info.json: {error.strerror}"
    except ValueError as error:
        return f"info.json: {error}"
    return found if found.name == path.parent.name else f"info.json: it is that of {found.name}"
