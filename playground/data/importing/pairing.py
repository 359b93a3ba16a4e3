"""Which image has which mask, by where they lie and what they are called."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from playground.data.importing.folders import Folders
from playground.data.importing.names import is_mask_name, natural_key, plain_stem
from playground.data.importing.sources import Skipped

Pair = tuple[PurePosixPath, PurePosixPath]
Key = Callable[[PurePosixPath], Hashable]


@dataclass
class Pairing:
    """Images with their masks, and what has no partner.

    Attributes:
        explicit: whether there are folders of images and folders of masks, paired or not.
    """

    pairs: list[Pair] = field(default_factory=list)
    left_out: Skipped = field(default_factory=list)
    explicit: bool = False


def pair_masks(paths: Iterable[PurePosixPath], folders: Folders) -> Pairing:
    """Find each image's mask: first by the same name in the same place, then by what is alike of it."""
    images, masks, aside = _kinds(sorted(paths, key=lambda path: natural_key(str(path))), folders)
    if not masks and not aside:
        return Pairing()
    found = Pairing(explicit=any(folders.kind(path).kind == "images" for path in images) and bool(masks or aside))
    for candidates in (masks, aside):
        for key, unique in _keys(folders):
            images_left, masks_left = {image for image, _ in found.pairs}, {mask for _, mask in found.pairs}
            _match(
                [path for path in images if path not in images_left],
                [path for path in candidates if path not in masks_left],
                key,
                unique,
                found,
            )
    used = {path for pair in found.pairs for path in pair}
    found.left_out += [(str(path), "It has no image") for path in masks if path not in used]
    told = "It tells single things apart or is made to be looked at, not classes"
    found.left_out += [(str(path), told) for path in aside if path not in used]
    twins = {(image.parent, _stem(image)): image.name for image, _ in found.pairs}
    for path in images:
        if path not in used:
            twin = twins.get((path.parent, _stem(path)))
            found.left_out.append((str(path), f"There is {twin} of the same name" if twin else "It has no mask"))
    return found


def _kinds(paths: list[PurePosixPath], folders: Folders) -> tuple[list[PurePosixPath], ...]:
    """Part files into images, masks, and masks of another sort, by their folders or else by their names."""
    images, masks, aside = [], [], []
    stems = defaultdict(set)
    for path in paths:
        if not is_mask_name(path.stem):
            stems[path.parent].add(plain_stem(path.stem))
    for path in paths:
        role = folders.kind(path)
        beside = role.kind is None and is_mask_name(path.stem) and plain_stem(path.stem) in stems[path.parent]
        if role.kind == "masks" and (role.aside or _is_aside(path)):
            aside.append(path)
        elif role.kind == "masks" or beside:
            masks.append(path)
        else:
            images.append(path)
    return images, masks, aside


def _is_aside(path: PurePosixPath) -> bool:
    return path.stem.casefold().endswith(("_instanceids", "_color", "_polygons"))


def _keys(folders: Folders) -> list[tuple[Key, bool]]:
    """Return what must be equal of an image and its mask, at first much, then less; and whether it must be unique."""
    return [
        (lambda path: (folders.part(path), folders.around(path), _stem(path)), False),
        (lambda path: (folders.part(path), folders.around(path), plain_stem(path.stem)), False),
        (lambda path: (folders.part(path), plain_stem(path.stem)), True),
        (lambda path: plain_stem(path.stem), True),
    ]


def _stem(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", path.stem).casefold()


def _match(images: list[PurePosixPath], masks: list[PurePosixPath], key: Key, unique: bool, found: Pairing) -> None:
    """Pair those whose key is equal; where several have it, the first of each, or none if it has to be unique."""
    both: tuple[dict[Hashable, list[PurePosixPath]], ...] = defaultdict(list), defaultdict(list)
    for groups, paths in zip(both, (images, masks), strict=True):
        for path in paths:
            groups[key(path)].append(path)
    for name, group in both[1].items():
        partners = both[0].get(name, [])
        if partners and not (unique and len(partners) + len(group) > 2):
            found.pairs.append((partners[0], group[0]))
