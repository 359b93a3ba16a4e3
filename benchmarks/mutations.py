"""Mutations of files: bytes, values in JSON, headers of safetensors, members of zips, the names of members.

Each function returns what it made, and in a few words what it did.
"""

import functools
import io
import json
import tempfile
import warnings
import zipfile
from random import Random

import numpy as np
from safetensors.numpy import load, save

ESCAPE = "hostile-escape"
"""In the name of whatever tries to leave its folder."""
VALUES = (
    *(None, True, -1, 0, 1, 2**31, 2**70, 1e308, float("inf"), float("nan"), 0.5, "", "0", "a" * 100_000),
    *("nul\0\x1b[31m", "\u202e\u200b\u2066x", "\ud800", "<script>alert(1)</script>", "$x$ **b** :red[r]"),
    *(f"../../../{ESCAPE}", [], {}, [[]], [None], {"": {}}, [0] * 5000),
    functools.reduce(lambda inner, _: [inner], range(300), 0),
)


def damage_bytes(content: bytes, random: Random) -> tuple[bytes, str]:
    """Change, cut, insert or repeat some bytes."""
    at, count = random.randrange(len(content) + 1), random.choice((1, 1, 1, 4, 64, 4096))
    before, some, after = content[:at], content[at : at + count], content[at + count :]
    made = {
        "changed": before + random.randbytes(len(some)) + after,
        "cut": before + after,
        "inserted": before + random.randbytes(count) + some + after,
        "repeated": before + some * random.randint(2, 4) + after,
        "filled": before + random.choice((b"\0", b"\xff")) * len(some) + after,
        "cut off": before,
    }
    how = random.choices(tuple(made), (6, 2, 2, 2, 2, 1))[0]
    return made[how], f"{how} {count} bytes at {at}"


def near(value: object, random: Random) -> object:
    """Return a value of the same kind, which may well be taken."""
    match value:
        case bool():
            return not value
        case int():
            return random.choice((value + 1, value - 1, random.randrange(10_000), 10**15))
        case float():
            return random.choice((-value, value * 10, 1.0, 1e-30, 1e15))
        case str():
            return random.choice((value + value, value[1:], value.upper(), "a b", "猫", "auto", "cifar10-mini"))
        case list() if value:
            return random.choice((value * 2, value[1:], value[::-1], value[:1]))
        case dict() if value:
            return dict(random.sample(sorted(value.items()), random.randrange(len(value))))
    return [value, value]


def damage_tensors(content: bytes, random: Random) -> tuple[bytes, str]:
    """Change the type, the shape, the name or the numbers of an array in a safetensors file that stays whole."""
    try:
        tensors = load(content)
        name = random.choice(sorted(tensors))
    except Exception:  # it is damaged already
        return damage_bytes(content, random)
    array = tensors.pop(name)
    kind = random.choice(("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u2", "?"))
    with np.errstate(all="ignore"):
        made = {
            f"as {kind}": array.astype(kind),
            "flat": array.reshape(-1),
            "deeper": array[None],
            "half": array[: len(array) // 2] if array.ndim else array,
            "doubled": np.concatenate([array, array]) if array.ndim else array,
            "empty": np.empty((0, *array.shape[1:]), array.dtype),
            "a number": np.zeros((), array.dtype),
            "ones": np.ones_like(array),
            "huge": array * array.dtype.type(100),
            "not numbers": np.full_like(array, np.nan) if array.dtype.kind == "f" else array,
        }
    how = random.choice(list(made))
    if random.random() < 0.9:
        tensors[random.choice((name, name, name, name, "", "probs", "masks"))] = made[how]
    return save({key: np.ascontiguousarray(value) for key, value in tensors.items()}), f"{name}: {how}"


def damage_json(content: bytes, random: Random) -> tuple[bytes, str]:
    """Replace or remove a value."""
    try:
        whole = json.loads(content)
        box, key, path = [whole], 0, ""
        while box[key] and isinstance(box[key], dict | list) and (not path or random.random() < 0.6):
            box = box[key]
            key = random.choice(list(box)) if isinstance(box, dict) else random.randrange(len(box))
            path += f".{key}"
        if random.random() < 0.2 and path:
            del box[key]
            return json.dumps(whole).encode(), f"{path} removed"
        box[key] = value = random.choice((random.choice(VALUES), near(box[key], random)))
        return json.dumps(whole if path else value).encode(), f"{path} = {repr(value)[:60]}"
    except (ValueError, RecursionError):
        return damage_bytes(content, random)


def damage_file(name: str, content: bytes, random: Random) -> tuple[bytes, str]:
    """Mutate a file by what its name says it is, or as mere bytes."""
    if random.random() < 0.3:
        return damage_bytes(content, random)
    if name.endswith(".json"):
        return damage_json(content, random)
    if name.endswith(".jsonl") and content:
        lines = content.splitlines(keepends=True)
        k = random.randrange(len(lines))
        made, how = damage_json(lines[k], random)
        return b"".join([*lines[:k], made + b"\n", *lines[k + 1 :]]), f"line {k + 1}: {how}"
    if name.endswith(".safetensors") and random.random() < 0.6:
        return damage_tensors(content, random)
    if name.endswith(".safetensors"):
        size = int.from_bytes(content[:8], "little")
        made, how = damage_json(content[8 : 8 + size], random)
        return len(made).to_bytes(8, "little") + made + content[8 + size :], f"header: {how}"
    if name.endswith((".csv", ".txt", ".yaml")):
        words = content.split(b",")
        k = random.randrange(len(words))
        words[k] = str(random.choice(VALUES)).encode(errors="surrogatepass")
        return b",".join(words), f"field {k} = {words[k][:60]!r}"
    return damage_bytes(content, random)


def damage_member(content: bytes, random: Random) -> tuple[bytes, str]:
    """Mutate a file in a zip, its name or its entry, and pack the zip again."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
        k = random.randrange(len(members))
    except Exception:  # a case that is no readable zip itself
        return damage_bytes(content, random)
    info, inside = members[k]
    top, _, name = info.filename.rpartition("/")
    match random.choices(("content", "name", "entry", "bomb", "doubled", "gone"), (10, 3, 1, 1, 1, 1))[0]:
        case "content":
            inside, how = damage_file(info.filename, inside, random)
            members[k] = info, inside
        case "name":
            up = "../" * random.randint(1, 6)
            stem = random.choice(
                (up, f"{top}/{up}", f"{tempfile.gettempdir()}/", "C:\\", up.replace("/", "\\"), "\x01", "x" * 300)
            )
            info.filename = how = f"{stem}{ESCAPE}{random.choice(('.png', f'/{name}', ''))}"
        case "entry":
            info.external_attr = random.choice((0o120777, 0o060666, 0o040777)) << 16
            how = f"mode {info.external_attr >> 16:o}"
        case "bomb":
            members[k], how = (info, bytes(20_000_000)), "20 MB of zeros"
        case "doubled":
            members.append((info, inside))
            how = "twice"
        case _:
            del members[k]
            how = "removed"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that comes twice is what is wanted
        for info, inside in members:
            archive.writestr(info, inside)
    return packed.getvalue(), f"{top}/{name}: {how}"


def damage_zip(content: bytes, random: Random) -> tuple[bytes, str]:
    """Mutate a zip once to three times, as bytes or from inside."""
    done = []
    for _ in range(random.choice((1, 1, 2, 3))):
        content, how = random.choices((damage_bytes, damage_member), (1, 2))[0](content, random)
        done.append(how)
    return content, "; ".join(done)
