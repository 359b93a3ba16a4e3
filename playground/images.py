"""A file that a person chose → pixels, and pixels → what a network sees.

Only Pillow and numpy. Every file is untrusted: its type is told from its bytes, its size is checked before anything is
decoded, and whatever cannot be read is refused with one line (`ImageError`).
"""

import codecs
import io
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import pi_heif
from PIL import Image, ImageCms, ImageFile, JpegImagePlugin, TiffImagePlugin

from playground.errors import PlaygroundError

MAX_BYTES = 64 * 2**20
"""The largest file that is read."""
MAX_PIXELS = 70_000_000
"""The largest picture that is decoded; about 0.5 GB while it is converted."""
PHOTO = 2048
"""The longer side of photos that are kept while a person looks at them, in pixels; 13 MB."""
STRIP = 2**20
"""Pixels that are converted at a time."""
MAX_MEMORY = 512 * 2**20
"""What decoding and converting may take, as `_bytes_a_pixel` counts it."""
MAX_SCANS = 2_000_000_000
"""Pixels × scans of a JPEG, which is drawn once for each of its scans; 2 to 3 s."""
MAX_SLOW = 8_000_000
"""Numbers that Pillow decodes in Python, not in C; 3 s."""
MAX_PARTS = 200_000
"""Strips or tiles of a TIFF, each of which costs a Python object; 1 s."""

Image.init()
pi_heif.register_heif_opener(thumbnails=False)
FORMATS = [
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM")
    if name in Image.OPEN
]
"""The decoders that are let near a file. Others would add little but attack surface: EPS, for one, runs Ghostscript."""
EXTENSIONS = tuple("jpg jpeg jfif jpe png webp gif bmp tif tiff avif heic heif jp2 ppm pgm".split())
WANTED = "choose a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC photo"

# Pillow remarks on odd metadata and on large pictures, which would only litter a server's console: whatever matters is
# checked below, against our own limits.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageError(PlaygroundError, ValueError):
    """A file that cannot be shown to a network; the message is one line, fit to be shown."""


def read_image(data: bytes | BinaryIO) -> np.ndarray:
    """Decode an image file, whatever its kind, to plain upright RGB.

    EXIF rotation is applied; 16-bit, 32-bit and floating point greyscale is scaled to 8 bits; transparent parts are
    laid on white; of an animation or a document the first frame is taken. Colour profiles are not applied.

    Args:
        data: The file, as bytes or open for reading in binary mode.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ImageError: the file is empty, too large, too slow to decode, cut off, or no photo; one line.
    """
    raw = data if isinstance(data, bytes) else data.read(MAX_BYTES + 1)
    if not raw:
        raise ImageError(f"The file is empty; {WANTED}")
    if len(raw) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES >> 20} MB; save the photo smaller and try again")
    pixels, turn = _decode(raw)
    return np.ascontiguousarray(_turned(pixels, turn))


def read_photo(data: bytes | BinaryIO, longest: int = PHOTO) -> tuple[np.ndarray, tuple[int, int]]:
    """Read a photo and shrink it, so that many can be kept.

    Args:
        longest: the longer side of the result at most, in pixels.

    Returns:
        uint8 (h, w, 3), and the (height, width) that the file has.

    Raises:
        ImageError: as `read_image`.
    """
    photo = read_image(data)
    height, width = photo.shape[:2]
    scale = longest / max(height, width)
    if scale < 1:
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        photo = np.asarray(Image.fromarray(photo).resize(shape, Image.Resampling.BICUBIC, reducing_gap=2))
    return photo, (height, width)


def crop_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom), in pixels, of the centred square of `image` (height, width, …)."""
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def fit_to(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Make of a photo what a network sees: its centred square, shrunk with antialiasing.

    Args:
        image: uint8 (height, width, 3).
        size: The side of the network's input, in pixels.
        channels: 3 for colour, 1 for greyscale (ITU-R 601 luma).

    Returns:
        uint8 (channels, size, size). A square image that already has this size comes back unchanged.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels}; a network's input has 1 or 3")
    left, top, right, bottom = crop_box(image)
    # Cut out first: `resize(box=…)` would let pixels beyond the edge of the crop bleed in.
    square = Image.fromarray(image[top:bottom, left:right])
    small = square.resize((size, size), Image.Resampling.BICUBIC)
    if channels == 1:
        return np.asarray(small.convert("L"))[None]
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def with_crop(image: np.ndarray, longest: int = 720) -> np.ndarray:
    """Return the photo, shrunk for the screen, with all outside of its crop dimmed and the crop outlined.

    Args:
        image: uint8 (height, width, 3).
        longest: The longer side of the result at most, in pixels.

    Returns:
        uint8 (h, w, 3).
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.BICUBIC, reducing_gap=2))
    left, top, right, bottom = crop_box(small)
    shown = (small * 0.35 + 120).astype(np.uint8)
    shown[top:bottom, left:right] = small[top:bottom, left:right]
    line = max(1, min(shown.shape[:2]) // 150)
    # White beside black: seen on any photo.
    for inset, colour in ((0, 255), (line, 0)):
        for part in (
            np.s_[top + inset : top + inset + line, left + inset : right - inset],
            np.s_[bottom - inset - line : bottom - inset, left + inset : right - inset],
            np.s_[top + inset : bottom - inset, left + inset : left + inset + line],
            np.s_[top + inset : bottom - inset, right - inset - line : right - inset],
        ):
            shown[part] = colour
    return shown


def enlarge(seen: np.ndarray, pixels: int = 320) -> np.ndarray:
    """Blow up a network's input with hard pixel edges, by a whole factor.

    Args:
        seen: uint8 (channels, height, width), 1 or 3 channels.
        pixels: The longer side of the result, about.

    Returns:
        uint8 (h, w, 3).
    """
    factor = max(1, round(pixels / max(seen.shape[1:])))
    colour = np.broadcast_to(seen, (3, *seen.shape[1:])).transpose(1, 2, 0)
    return colour.repeat(factor, axis=0).repeat(factor, axis=1)


def _decode(raw: bytes) -> tuple[np.ndarray, int]:
    """Return a file's pixels, (height, width, 3) as they are stored, and its EXIF orientation."""
    if _tiff_parts(raw) > MAX_PARTS:
        raise ImageError(f"This TIFF file is in more than {MAX_PARTS:,} pieces; save the photo as PNG or JPEG")
    try:
        if raw.startswith(b"\xff\xd8\xff"):
            # Not by way of `Image.open`, which also parses, and stumbles over, the list of the photos after the first.
            image: Image.Image = JpegImagePlugin.JpegImageFile(io.BytesIO(raw))
        else:
            image = Image.open(io.BytesIO(raw), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(_too_large("")) from None
    except Exception:  # decoders raise anything on hostile bytes: SyntaxError, struct.error, KeyError …
        raise ImageError(_refusal(raw)) from None
    with image:
        _check_cost(image, raw)
        try:
            image.load()
            # Some files tell their orientation after the pixels, and TIFF turns itself while it loads.
            turn = _orientation(image)
            pixels = _to_rgb(image)
            deep = isinstance(image, TiffImagePlugin.TiffImageFile) and 16 in image.tag_v2.get(258, ())
            if deep and image.mode == "RGB" and 0 < pixels.max() < 16:
                # Of 16-bit colour Pillow keeps the upper 8 bits, which leaves next to nothing of a camera's 12.
                raise ImageError("This TIFF file holds 12 bits of colour in 16 and would be black; save it as PNG")
            return pixels, turn
        except ImageError:
            raise
        except Exception:
            name = image.format or "image"
            raise ImageError(_damaged(name)) from None


def _check_cost(image: Image.Image, raw: bytes) -> None:
    """Refuse what would take too much memory or time, by what the file's header says, before it is decoded."""
    count = image.width * image.height
    most = min(MAX_PIXELS, int(MAX_MEMORY / _bytes_a_pixel(image)))
    if count > most:
        raise ImageError(_too_large(f"{image.width:,} × {image.height:,} pixels are too many; ", most))
    # In compressed data the marker of a scan never occurs by chance; TIFFs hold JPEGs too.
    scans = raw.count(b"\xff\xda") if image.format in ("JPEG", "TIFF") else 1
    if count * scans > MAX_SCANS and scans > 1:
        raise ImageError(f"This {image.format} file draws its pixels {scans:,} times over; save it anew as PNG or JPEG")
    slow = any(tile[0] in Image.DECODERS for tile in image.tile) if isinstance(image, ImageFile.ImageFile) else False
    if slow and count * len(image.getbands()) > MAX_SLOW:
        raise ImageError(f"A {image.format} file of this kind and size takes too long to read; save it as PNG")


def _bytes_a_pixel(image: Image.Image) -> float:
    """Return the most that decoding, or converting, holds at a time for each pixel, as measured."""
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("progressive"):
        # All coefficients, 2 bytes each, beside the picture; colours may have fewer of them than brightness.
        sampling = [layer[1] * layer[2] for layer in image.layer]
        return max(7.0, 4 + 2 * sum(sampling) / max(sampling))
    return {"WEBP": 16.0, "AVIF": 16.0, "HEIF": 16.0, "JPEG2000": 26.0}.get(image.format or "", 7.0)


def _tiff_parts(raw: bytes) -> int:
    """Return how many strips or tiles a TIFF's first directory lists; 0 where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(raw[:2], "")
    if not order or len(raw) < 16:
        return 0
    large = raw[2:4] in (b"+\0", b"\0+")
    at = struct.unpack_from(f"{order}Q" if large else f"{order}L", raw, 8 if large else 4)[0]
    entry = struct.Struct(f"{order}HHQ8x" if large else f"{order}HHL4x")
    try:
        (entries,) = struct.unpack_from(f"{order}Q" if large else f"{order}H", raw, at)
        at += 8 if large else 2
        tags = (entry.unpack_from(raw, at + k * entry.size) for k in range(min(entries, 1000)))
        return max((count for tag, _, count in tags if tag in (273, 324)), default=0)
    except struct.error:
        return 0


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert any of Pillow's modes to uint8 (height, width, 3), strip by strip, so that no second copy is made."""
    width, height = image.size
    convert = _grey_converter(image) if image.mode.startswith("I") or image.mode == "F" else _strip_to_rgb
    pixels = np.empty((height, width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = convert(strip)
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield (row, strip) from top to bottom."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _strip_to_rgb(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    if image.mode == "LAB":
        to_srgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return np.asarray(ImageCms.applyTransform(image, to_srgb))
    return np.asarray(image.convert("RGB"))


def _grey_converter(image: Image.Image) -> Callable[[Image.Image], np.ndarray]:
    """Return what scales strips of greyscale of another depth to uint8 (height, width, 1).

    16-bit files span 0 to 65535, but a TIFF may hold the 12 bits of a camera or the 8 of a table in them. Wider
    integers and floating point have no agreed white: values within 0 to 1 (floating point), 0 to 255 or 0 to 65535 are
    taken to span that range, anything else its own lowest to highest value.
    """

    def numbers(strip: Image.Image) -> np.ndarray:
        values = np.asarray(strip)
        return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) if values.dtype.kind == "f" else values

    ends = [(part.min(), part.max()) for _, strip in _strips(image) if (part := numbers(strip)).size]
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    if image.mode.startswith("I;16"):
        ceilings = (255.0, 4095.0, 65535.0) if image.format == "TIFF" else (65535.0,)
    else:
        ceilings = (255.0, 65535.0) if image.mode == "I" else (1.0, 255.0, 65535.0)
    ceiling = next((ceiling for ceiling in ceilings if low >= 0 and high <= ceiling), None)
    if ceiling is not None:
        low, high = 0.0, ceiling

    def convert(strip: Image.Image) -> np.ndarray:
        return np.rint((numbers(strip).astype(np.float64) - low) * (255 / ((high - low) or 1))).astype(np.uint8)[
            ..., None
        ]

    return convert


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if there is none or it cannot be read."""
    try:
        value = int(image.getexif().get(0x0112, 1))
    except Exception:  # a photo with broken EXIF is still a photo
        return 1
    return value if 1 <= value <= 8 else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (height, width, 3) upright; `orientation` as in the EXIF standard, section 4.6.4, tag 274."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _too_large(prefix: str, most: int = MAX_PIXELS) -> str:
    return f"{prefix or 'The picture has too many pixels; '}at most {most // 10**6} million can be read: shrink it"


def _damaged(name: str) -> str:
    """Valid files of rare kinds, such as AVIF grids, fail as damaged ones do, so neither is said to be certain."""
    return (
        f"This {name} file is cut off or damaged, or of a kind that cannot be read here; copy it again, or save it as "
        "PNG or JPEG"
    )


_KINDS = {
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"PK\x03\x04": "a zip archive or an office document",
    b"8BPS": "a Photoshop document",
    b"\x1f\x8b": "a compressed archive",
    b"ID3": "a sound file",
    b"OggS": "a sound or video file",
    b"RIFF": "a sound or video file",
    b"\x1aE\xdf\xa3": "a video",
    b"\x00\x00\x01\x00": "an icon",
}
_HEIC = (b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1")
_DAMAGED = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"II*\x00": "TIFF", b"MM\x00*": "TIFF"}


def _refusal(raw: bytes) -> str:
    """Say in one line what a file is that no decoder takes, and what would be right."""
    head = raw[:1024]
    name = next((name for magic, name in _DAMAGED.items() if head.startswith(magic)), None)
    if head[8:12] == b"WEBP" or head[4:12] == b"ftypavif":
        name = "WebP" if head[8:12] == b"WEBP" else "AVIF"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        name = "HEIC"
    return _damaged(name) if name else f"This is {_kind(head)}, not a photo that can be read; {WANTED}"


def _kind(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "a video"
    for magic, name in _KINDS.items():
        if head.startswith(magic):
            return name
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # which forgives a character cut in two at the end
    except UnicodeDecodeError:
        return "a file of an unknown kind"
    if "<svg" in text.lower():
        return "an SVG drawing"
    if "<html" in text.lower():
        return "a web page"
    return "a file of an unknown kind" if "\x00" in text else "a text file"
