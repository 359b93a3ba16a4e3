"""A file that a person chose → pixels, and pixels → what a network sees.

Only Pillow and numpy. Every file is untrusted: its type is told from its bytes, its size is checked before anything is
decoded, and whatever cannot be read is refused with one line (`ImageError`).
"""

import codecs
import io
import warnings
from typing import BinaryIO

import numpy as np
import pi_heif
from PIL import Image, ImageCms

MAX_BYTES = 64 * 2**20
"""The largest file that is read."""
MAX_PIXELS = 70_000_000
"""The largest picture that is decoded; about 0.5 GB while it is converted."""

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


class ImageError(ValueError):
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
        ImageError: the file is empty, too large, cut off, or no photo; one line.
    """
    raw = data if isinstance(data, bytes) else data.read(MAX_BYTES + 1)
    if not raw:
        raise ImageError(f"The file is empty; {WANTED}")
    if len(raw) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES >> 20} MB; save the photo smaller and try again")
    try:
        image = Image.open(io.BytesIO(raw), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(_too_large("")) from None
    except Exception:  # decoders raise anything on hostile bytes: SyntaxError, struct.error, KeyError …
        raise ImageError(_refusal(raw)) from None
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(_too_large(f"{image.width:,} × {image.height:,} pixels are too many; "))
        try:
            image.load()
            # Some files tell their orientation after the pixels, and TIFF turns itself while it loads.
            turn = _orientation(image)
            pixels = _to_rgb(image)
        except ImageError:
            raise
        except Exception:
            name = image.format or "image"
            raise ImageError(_damaged(name)) from None
    return np.ascontiguousarray(_turned(pixels, turn))


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


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert any of Pillow's modes to uint8 (height, width, 3)."""
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_to_8_bit(np.asarray(image), image.mode)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    if image.mode == "LAB":
        to_srgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return np.asarray(ImageCms.applyTransform(image, to_srgb))
    return np.asarray(image.convert("RGB"))


def _to_8_bit(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale greyscale of another depth to uint8.

    16-bit files span 0 to 65535. Wider integers and floating point have no agreed white: values within 0 to 1 (floating
    point), 0 to 255 or 0 to 65535 are taken to span that range, anything else its own lowest to highest value.
    """
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    ceilings = (65535.0,) if mode.startswith("I;16") else (255.0, 65535.0) if mode == "I" else (1.0, 255.0, 65535.0)
    ceiling = next((ceiling for ceiling in ceilings if low >= 0 and high <= ceiling), None)
    if ceiling is not None:
        low, high = 0.0, ceiling
    return np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)


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


def _too_large(prefix: str) -> str:
    return (
        f"{prefix or 'The picture has too many pixels; '}at most {MAX_PIXELS // 10**6} million can be read: shrink it"
    )


def _damaged(name: str) -> str:
    return f"This {name} file is cut off or damaged; copy it again and retry"


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
