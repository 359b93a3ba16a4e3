"""How a person's set is laid out: which image has which label or mask, and belongs to which part. From names alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from playground.data.catalog import DataError
from playground.data.importing.folders import Folders
from playground.data.importing.label_tables import label_of_name, labels_of_names, read_table
from playground.data.importing.names import UNLABELLED, Part, clean_name, natural_key, read_words, shorten_names, tokens
from playground.data.importing.pairing import pair_masks
from playground.data.importing.sources import Skipped
from playground.tasks import TASKS, TaskName

UNSORTED = "It has no class: it lies among test images, in no class folder"
HOW_MASKS = "a mask is called like its image: 7.jpg and 7.png, 7_mask.png or mask_7.png"


@dataclass(frozen=True)
class Item:
    """An image with its place in the set.

    Attributes:
        part: of a split; None where the set has none.
        label: its class, or nothing where a mask says it for each pixel.
        mask: the file of its mask.
    """

    path: PurePosixPath
    part: Part | None
    label: str = ""
    mask: PurePosixPath | None = None


@dataclass
class Layout:
    """What the names say.

    Attributes:
        classes: the labels in their order; none for masks.
        folders: {folder: (role, images)} of all folders that play a part.
        deeper: names of folders inside of class folders, which may be the classes instead.
        labels_from: what the labels are read from.
        explicit: of masks, whether folders are called so, of images as well as of masks.
    """

    task: TaskName
    items: list[Item]
    folders: dict[str, tuple[str, int]]
    left_out: Skipped
    classes: tuple[str, ...] = ()
    deeper: list[str] = field(default_factory=list)
    labels_from: str = "folders"
    explicit: bool = False
    merged: list[str] = field(default_factory=list)
    tested_only: list[str] = field(default_factory=list)


def arrange(
    paths: Iterable[PurePosixPath],
    tables: Mapping[PurePosixPath, bytes],
    forced: Mapping[str, str],
    task: TaskName | None = None,
    depth: int = 0,
) -> Layout:
    """Tell each image's label or mask, and its part, by its path.

    Args:
        paths: of the images.
        tables: what may be tables of labels, with their bytes.
        forced: {folder: role} as a person says it.
        task: what it is, if a person says it.
        depth: how many folders below the upper ones the classes lie.

    Raises:
        DataError: masks that fit no image, or a role that cannot be.
    """
    paths = sorted(paths, key=lambda path: natural_key(str(path)))
    folders = Folders(paths, forced)
    left_out = [(str(path), "You leave its folder out") for path in paths if folders.is_out(path)]
    paths = [path for path in paths if not folders.is_out(path)]
    if task is None or TASKS[task].target == "mask":
        found = pair_masks(paths, folders)
        masks = len(found.pairs) + sum(why == "It has no image" for _, why in found.left_out)
        if task or (len(found.pairs) >= 2 and len(found.pairs) >= masks / 2):
            items = [Item(image, folders.part(image), mask=mask) for image, mask in found.pairs]
            layout = Layout("segmentation", items, _shown(folders, ()), left_out + found.left_out)
            layout.explicit = found.explicit
            return _with_parts(layout, folders)
        if found.explicit and task is None:
            names = f"only {len(found.pairs)} of the masks fits an image" if found.pairs else "no mask fits an image"
            raise DataError(f"there are folders of images and of masks, but {names}; {HOW_MASKS}")
    return _classes(paths, folders, tables, left_out, depth)


def _shown(folders: Folders, classes: Iterable[PurePosixPath]) -> dict[str, tuple[str, int]]:
    """List the folders that play a part, those of classes last."""
    roles = {
        folder: str(role) for folder, role in folders.roles.items() if str(role) != "none" or folder in folders.forced
    }
    labels = {folder: "class" for folder in classes if folder not in roles}
    ordered = [*sorted(roles, key=lambda f: natural_key(str(f))), *sorted(labels, key=lambda f: natural_key(str(f)))]
    return {str(folder): ((roles | labels)[folder], folders.count(folder)) for folder in ordered}


def _with_parts(layout: Layout, folders: Folders) -> Layout:
    """Leave out what is in no part of a split, and forget a split that has no two parts."""
    if {item.part for item in layout.items} >= {"train"}:
        where = ", ".join(folders.splits()[:4])
        none = [item for item in layout.items if item.part is None]
        layout.left_out += [(str(item.path), f"It is in none of the folders {where}") for item in none]
        layout.items = [item for item in layout.items if item.part is not None]
    if len({item.part for item in layout.items}) < 2:
        layout.items = [Item(item.path, None, item.label, item.mask) for item in layout.items]
    order = {"train": 0, None: 0, "val": 1, "test": 2}
    # Training images first, so that of two equal ones the test image is the one that goes.
    layout.items.sort(key=lambda item: order[item.part])
    return layout


def _classes(
    paths: list[PurePosixPath],
    folders: Folders,
    tables: Mapping[PurePosixPath, bytes],
    left_out: Skipped,
    depth: int,
) -> Layout:
    """Read labels from folders, else from a table, else from names."""
    inside = _stripped(paths, folders)
    found: dict[PurePosixPath, str] = {}
    deeper: dict[str, set[str]] = defaultdict(set)
    for path, parts in inside.items():
        if label := folders.label(path) or (parts[min(depth, len(parts) - 2)] if len(parts) >= 2 else ""):
            found[path] = label
        if len(parts) > depth + 2:
            deeper[label].add(parts[depth + 1])
    labels_from = "folders"
    if len({clean_name(label).casefold() for label in found.values()}) < 2 and (
        other := _from_tables(paths, tables) or _from_names(paths, folders)
    ):
        labels_from, found = other
    layout = Layout("classification", [], {}, left_out, labels_from=labels_from)
    layout.deeper = sorted({name for names in deeper.values() if len(names) > 1 for name in names}, key=natural_key)
    _fill(layout, paths, found, folders)
    class_folders = {
        path.parents[len(parts) - 2 - min(depth, len(parts) - 2)] for path, parts in inside.items() if len(parts) >= 2
    }
    layout.folders = _shown(folders, class_folders if labels_from == "folders" else ())
    return layout


def _fill(layout: Layout, paths: list[PurePosixPath], found: Mapping[PurePosixPath, str], folders: Folders) -> None:
    """Add the images with a label, and list those without one."""
    cleaned = {label: clean_name(label) for label in set(found.values())}
    spelling: dict[str, str] = {}  # "Cat" in train/ and "cat" in test/ are one class.
    spelt: dict[str, dict[Part | None, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in paths:
        if label := cleaned.get(found.get(path, ""), ""):
            spelling.setdefault(label.casefold(), label)
            spelt[spelling[label.casefold()]][folders.part(path)].add(found[path])
            layout.items.append(Item(path, folders.part(path), spelling[label.casefold()]))
        else:
            where = {"folders": "It is in no class folder", "names": "Its name begins with no class"}
            why = where.get(layout.labels_from, f"It has no label in {layout.labels_from}")
            layout.left_out.append((str(path), why if folders.part(path) in ("train", None) else UNSORTED))
    layout.merged = sorted(
        {" and ".join(sorted(names)) for parts in spelt.values() for names in parts.values() if len(names) > 1}
    )
    _with_parts(layout, folders)
    learnt = {item.label for item in layout.items if item.part in ("train", None)}
    rest = {item.label for item in layout.items} - learnt
    common = {item.label for item in layout.items if item.part not in ("train", None)} & learnt
    bare = {label for label in rest if not common or read_words(label) != read_words("") or _unlabelled(label)}
    layout.tested_only = sorted(rest - bare, key=natural_key)
    for item in layout.items:
        if item.label in rest:
            why = UNSORTED if item.label in bare else f"Its class {item.label} has no image to learn from"
            layout.left_out.append((str(item.path), why))
    layout.items = [item for item in layout.items if item.label in learnt]
    _with_parts(layout, folders)
    short = shorten_names({item.label for item in layout.items})
    layout.items = [Item(item.path, item.part, short[item.label]) for item in layout.items]
    layout.classes = tuple(sorted(short.values(), key=natural_key))


def _unlabelled(label: str) -> bool:
    return not UNLABELLED.isdisjoint(tokens(label))


def _stripped(paths: list[PurePosixPath], folders: Folders) -> dict[PurePosixPath, tuple[str, ...]]:
    """Return each image's path without the folders of a split, and without those around all classes of a part."""
    inside = {path: folders.rest(path) for path in paths}
    while True:
        groups: dict[Part | None, list[PurePosixPath]] = defaultdict(list)
        for path, parts in inside.items():
            if len(parts) >= 2:
                groups[folders.part(path)].append(path)
        common = {part: top for part, group in groups.items() if (top := _common(group, inside))}
        # What only one part has around its classes must be called like something around: one class may be all it has.
        if len(set(common.values())) > 1 or len(common) < len(groups):
            common = {part: top for part, top in common.items() if read_words(top) != read_words("")}
        if not common:
            return inside
        for part in common:
            for path in groups[part]:
                inside[path] = inside[path][1:]


def _common(group: list[PurePosixPath], inside: Mapping[PurePosixPath, tuple[str, ...]]) -> str:
    """Return the folder that lies around all of these images, and around folders with most of them."""
    tops = {inside[path][0] for path in group}
    deep = sum(len(inside[path]) >= 3 for path in group)
    return tops.pop() if len(tops) == 1 and deep > len(group) / 2 else ""


def _from_tables(
    paths: list[PurePosixPath], tables: Mapping[PurePosixPath, bytes]
) -> tuple[str, dict[PurePosixPath, str]] | None:
    """Read labels from the table that has the most of them; return its name and them."""
    keys = {key for path in paths for key in (path.name.casefold(), path.stem.casefold())}
    best: tuple[str, dict[PurePosixPath, str]] | None = None
    for name, raw in tables.items():
        labels = read_table(raw, keys)
        near = [path for path in paths if _near(path, name)]
        found = {p: label for p in near if (label := labels.get(p.name.casefold()) or labels.get(p.stem.casefold()))}
        if len(set(found.values())) >= 2 and (best is None or len(found) > len(best[1])):
            best = str(name), found
    return best


def _near(path: PurePosixPath, table: PurePosixPath) -> bool:
    """Say whether a table may speak of an image: train.csv does not of those in test/."""
    part = read_words(table.stem).part
    own = next((words.part for folder in path.parts[:-1] if (words := read_words(folder)).part), None)
    return part is None or own is None or part == own


def _from_names(paths: list[PurePosixPath], folders: Folders) -> tuple[str, dict[PurePosixPath, str]] | None:
    """Read labels from the images' names, in each part that has such names."""
    groups: dict[Part | None, list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        groups[folders.part(path)].append(path)
    found = {
        path: label_of_name(path.stem)
        for group in groups.values()
        if labels_of_names([path.stem for path in group])
        for path in group
    }
    return ("names", found) if found else None
