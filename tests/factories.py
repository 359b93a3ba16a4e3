"""Small things that tests of several rooms make: images and zips, as bytes."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """Return an image that no other seed makes: (height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image: Image.Image | np.ndarray, form: str = "PNG", mode: str = "", **options: object) -> bytes:
    """Return an image, or its pixels, as a file of this form."""
    made = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    (made.convert(mode) if mode else made).save(file, form, **options)
    return file.getvalue()


def pack(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    """Return a zip of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    packed.seek(0)
    return packed
