"""Every kind of file a person may choose, and what is made of it. Expected values are worked out by hand."""

import contextlib
import io
import struct
import subprocess
import sys
import warnings
from base64 import b85decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from playground import images
from playground.images import ImageError, crop_box, enlarge, fit_to, read_image, read_photo, with_crop

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(size=(16, 24)) -> Image.Image:
    """A picture whose four quarters are red, green / blue, white."""
    width, height = size
    image = Image.new("RGB", size, WHITE)
    for colour, place in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2))):
        image.paste(colour, (*place, place[0] + width // 2, place[1] + height // 2))
    return image


# Modes


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG2000"])
def test_lossless_formats_keep_every_pixel(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = read_image(encode(corners(), kind, **options))
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, np.asarray(corners()))


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "MPO"])
def test_lossy_formats_come_close(kind):
    pixels = read_image(encode(Image.new("RGB", (32, 32), (200, 100, 50)), kind, quality=95))
    assert pixels.shape == (32, 32, 3)
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 6


def test_reads_from_an_open_file():
    assert read_image(io.BytesIO(encode(corners()))).shape == (24, 16, 3)


def test_greyscale_becomes_three_equal_channels():
    assert read_image(encode(Image.new("L", (2, 2), 77)))[0, 0].tolist() == [77, 77, 77]


def test_one_bit():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert read_image(encode(image)).tolist() == [[list(BLACK), list(WHITE)]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_greyscale_is_scaled_not_clipped(kind):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)  # 257 = 65535 / 255, so these are 0, 1, 128, 255
    pixels = read_image(encode(Image.fromarray(values), kind))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (pixels == pixels[..., :1]).all()


def test_16_bit_portable_greymap():
    pixels = read_image(b"P5 2 1 65535\n" + struct.pack(">HH", 65535, 32896))
    assert pixels[0, :, 0].tolist() == [255, 128]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),  # 127.5 rounds to even
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
        ([0.0, float("inf"), 1.0], [0, 0, 255]),
    ],
)
def test_floating_point_tiff(values, expected):
    pixels = read_image(encode(Image.fromarray(np.array([values], np.float32)), "TIFF"))
    assert pixels[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 7, 255], [0, 7, 255]), ([0, 257, 65535], [0, 1, 255]), ([-100, 0, 100_000], [0, 0, 255])],
)
def test_32_bit_integer_tiff(values, expected):
    pixels = read_image(encode(Image.fromarray(np.array([values], np.int32)), "TIFF"))
    assert pixels[0, :, 0].tolist() == expected


def test_cmyk():
    pixels = read_image(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert pixels[0, 0].tolist() == list(RED)
    pixels = read_image(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(pixels[8, 8].astype(int) - RED).max() <= 4  # Adobe's JPEGs hold it inverted


def test_ycbcr():
    pixels = read_image(encode(Image.new("RGB", (8, 8), RED).convert("YCbCr"), "TIFF"))
    assert np.abs(pixels[0, 0].astype(int) - RED).max() <= 2


def test_lab():
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.new("RGB", (4, 4), (200, 100, 50)), to_lab)
    assert lab is not None
    pixels = read_image(encode(lab, "TIFF"))
    assert np.abs(pixels[0, 0].astype(int) - (200, 100, 50)).max() <= 3


def test_palette():
    np.testing.assert_array_equal(read_image(encode(corners().quantize(4))), np.asarray(corners()))


def test_palette_with_transparency_is_laid_on_white():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    assert read_image(encode(image, transparency=0)).tolist() == [[list(WHITE), list(BLUE)]]
    # Half transparent: 255 · 128/255 + 255 · 127/255 = 255 and 0 + 127.
    assert read_image(encode(image, transparency=bytes([128, 255])))[0, 0].tolist() == [255, 127, 127]


def test_alpha_is_laid_on_white():
    assert read_image(encode(Image.new("RGBA", (1, 1), (*RED, 128))))[0, 0].tolist() == [255, 127, 127]
    assert read_image(encode(Image.new("RGBA", (1, 1), (0, 0, 0, 0))))[0, 0].tolist() == list(WHITE)


def test_greyscale_with_alpha_and_colour_keyed_png():
    assert read_image(encode(Image.new("LA", (1, 1), (0, 128))))[0, 0].tolist() == [127, 127, 127]
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    assert read_image(encode(image, transparency=RED)).tolist() == [[list(WHITE), list(BLUE)]]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_of_many_frames_the_first_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "AVIF" else {}
    pixels = read_image(encode(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert np.abs(pixels[4, 4].astype(int) - RED).max() <= 3


# Orientation


TURNED_BACK = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),  # the camera was turned right, so the file is the photo turned left
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_rotation_is_applied(orientation, kind):
    upright = np.asarray(corners((8, 12)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNED_BACK[orientation](upright)))
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(read_image(encode(stored, kind, exif=exif, **options)), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_of_a_jpeg(orientation):
    upright = np.asarray(corners((32, 48)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNED_BACK[orientation](upright)))
    pixels = read_image(encode(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    for y, x in ((4, 4), (4, 28), (44, 4), (44, 28)):
        assert np.abs(pixels[y, x].astype(int) - upright[y, x]).max() < 12


@pytest.mark.parametrize("exif", [b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00nonsense"])
def test_a_photo_with_broken_exif_is_still_a_photo(exif):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow remarks on corrupt EXIF
        assert read_image(encode(corners(), "JPEG", exif=exif)).shape == (24, 16, 3)


def test_an_orientation_that_does_not_exist_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 99
    np.testing.assert_array_equal(read_image(encode(corners(), exif=exif)), np.asarray(corners()))


# 32 × 16 pixels, the left half red, the right blue, and turned clockwise when shown, as a telephone writes it
HEIC = b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0005UZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-"
    "+&aV*mgE07O6l0ssL300001>i_`&00000007ef0ssI200O=M0RR9100000Bme*aIB98aW&i*H00062000$fZf0cy000000RRAKc4ILB0000LX>"
    "Mj^0ssI300IC2MR;ju000004sdC7Z2$lO00031009PRaB^?}008A_aAR)(004Dpc4I>U18@KU0FVFx0000U@BsY%`1k+-"
    "4+CHT0RR|40Sp2E{{wIU00RJ!0009300RIXx&lC90096gLID8-"
    "Z~y=U0FVFx0{{R603M(qfd!W8uA1iHA)vs3000bt00093gkk^z00u+>!E?ch0000JV{dG7ZewhC0096E00w{n000zeb8uw<00000002M$002M$"
    "001asY+-"
    "N!001BW00031000mG00061|Nr0s00092|Nqbc00062000nhX?SS>000032nYxO000STa&L440000PX>e^}0000000001009Pp0s{qvh5!Hn8fk"
    "K6W&i*H000004r63<V*mmG0RRC20094OWMOmw007S@0j~+jXS~`uBUgX_+6VvtMth<B?4~P!`4%JZ<b==vywE?C>;1{9F2W~DvR%G7p;Jb8Ko@"
    "cVZt_DLUPqg55163@TwR$J7Gia@m0SBBe8S1RWbwKzm1kVF=X_sA`m*Av1hr+$j1JqTTR7&|j7Eh)5%0Xzph6}abAh#v4|KfkCc9A};eh?T<F_"
    "-jV2ZVWfh0z~M}VIo7D!TNy8qg~#}$`Y*zE4s@ahS$q?>7=Gf{>iK8TS;KNBTdYi#DRsP5E;nX<G@?^*x=00u>PX=VTbO-"
    "%qQ000080099K00RI30096700000000"
)


def test_a_heic_photo_is_read_upright():
    shown = read_image(HEIC)
    assert shown.shape == (32, 16, 3)
    assert np.abs(shown[:14].astype(int) - (220, 20, 20)).max() <= 4
    assert np.abs(shown[18:].astype(int) - (20, 20, 220)).max() <= 4
    with pytest.raises(ImageError, match="HEIC file is cut off or damaged"):
        read_image(HEIC[:-40])


# What is refused


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "empty"),
        (b"just some words about a cat\n", "a text file"),
        ("größe, naïveté and so on".encode() * 200, "a text file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<svg></svg>", "an SVG drawing"),
        (b"<!doctype html><html></html>", "a web page"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC file is cut off or damaged"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "HEIC file is cut off or damaged"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "a video"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", "cut off or damaged"),
        (b"PK\x03\x04" + bytes(40), "a zip archive"),
        (b"8BPS\x00\x01" + bytes(40), "a Photoshop document"),
        (b"RIFF\x00\x00\x00\x00WAVE", "a sound or video file"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "cut off or damaged"),
        (b"\x89PNG\r\n\x1a\n", "cut off or damaged"),
        (b"\xff\xd8\xff\xe0", "cut off or damaged"),
        (bytes(range(256)) * 8, "of an unknown kind"),
        (bytes(100), "of an unknown kind"),
    ],
)
def test_what_is_no_photo_is_named(raw, kind):
    with pytest.raises(ImageError, match=kind) as caught:
        read_image(raw)
    message = str(caught.value)
    assert "\n" not in message
    assert "choose a JPEG" in message or "copy it again" in message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000"])
def test_a_file_that_is_cut_off_anywhere(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    whole = encode(Image.fromarray(noise), kind)
    for share in (0.02, 0.3, 0.5, 0.9):
        with pytest.raises(ImageError) as caught:
            read_image(whole[: int(len(whole) * share)])
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="cut off or damaged"):
        read_image(whole[: int(len(whole) * 0.9)])


def test_hostile_bytes_never_raise_anything_else():
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "JPEG2000"):
        whole = np.frombuffer(encode(corners((16, 16)), kind), np.uint8)
        for _ in range(60):
            broken = whole.copy()
            places = rng.integers(0, len(broken), 4)
            broken[places] = rng.integers(0, 256, 4)
            with warnings.catch_warnings(), contextlib.suppress(ImageError):
                warnings.simplefilter("ignore")
                assert read_image(broken.tobytes()).dtype == np.uint8


def test_too_many_bytes(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 2**20)
    with pytest.raises(ImageError, match="larger than 1 MB"):
        read_image(bytes(2**20 + 1))
    with pytest.raises(ImageError, match="larger than 1 MB"):
        read_image(io.BytesIO(bytes(2**20 + 1)))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    with pytest.raises(ImageError, match="too many"):
        read_image(png_header(side, side))


# What costs too much

TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"


def progressive(size: tuple[int, int], scans: int, **options) -> bytes:
    """A progressive JPEG whose last scan is repeated; decoders draw the whole picture for each."""
    raw = encode(Image.new("RGB", size), "JPEG", progressive=True, **options)
    last = raw[raw.rindex(b"\xff\xda") : -2]
    return raw[:-2] + last * (scans - raw.count(b"\xff\xda")) + raw[-2:]


def test_scans_are_counted_before_a_jpeg_is_decoded():
    assert read_image(progressive((300, 200), 300)).shape == (200, 300, 3)
    with pytest.raises(ImageError, match="draws its pixels 900 times over"):
        read_image(progressive((2000, 2000), 900))


def test_scans_in_a_tiff_count_as_well():
    inside = progressive((2000, 2000), 900)
    tags = {256: 2000, 257: 2000, 258: 8, 259: 7, 262: 6, 273: 8, 277: 3, 278: 2000, 279: len(inside)}
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", tag, 4, 1, n) for tag, n in tags.items())
    with pytest.raises(ImageError, match="draws its pixels 900 times over"):
        read_image(b"II*\0" + struct.pack("<L", 8 + len(inside)) + inside + directory + bytes(4))


def test_a_tiff_in_too_many_pieces_is_refused():
    count = images.MAX_PARTS + 1
    for order, mark, head, entry in (("<", b"II*\0", "L", "HHLL"), (">", b"MM\0+", "HHQ", "HHQQ")):
        start = struct.pack(order + head, *([8, 0, 16] if len(head) > 1 else [8]))
        few = struct.pack(order + ("Q" if len(head) > 1 else "H"), 1)
        with pytest.raises(ImageError, match="in more than 200,000 pieces"):
            read_image(mark + start + few + struct.pack(order + entry, 273, 4, count, 100) + bytes(100))


@pytest.mark.parametrize("raw", [b"P6 2000 2000 254\n" + bytes(12_000_000), b"P3 2000 2000 255\n" + b"1 " * 99])
def test_what_pillow_reads_slowly_may_not_be_large(raw):
    with pytest.raises(ImageError, match="takes too long to read; save it as PNG"):
        read_image(raw)
    assert read_image(b"P6 2 1 254\n" + bytes([254, 0, 127] * 2))[0, 0].tolist() == [255, 0, 128]


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("PNG", Image.new("RGBA", (2600, 2600), (9, 9, 9, 99)), {}),
        ("PNG", Image.fromarray(np.full((2600, 2600), 40_000, np.uint16)), {}),
        ("TIFF", Image.new("F", (2600, 2600), 0.5), {}),
        (
            "JPEG",
            Image.new("RGB", (2600, 2600)),
            {"exif": TURNED},
        ),
        ("JPEG", Image.new("RGB", (2600, 2600)), {"progressive": True, "subsampling": 0}),
        ("GIF", Image.new("P", (2600, 2600)), {}),
        ("WEBP", Image.new("RGB", (2600, 2600)), {"lossless": True}),
        ("AVIF", Image.new("RGB", (2600, 2600)), {"speed": 10}),
        ("JPEG2000", Image.new("RGB", (2600, 2600)), {}),
    ],
)
def test_memory_is_what_it_says(name, image, options):
    """In a process of its own: decoders take their memory past Python's eyes."""
    raw = encode(image, name, **options)
    code = """if 1:
        import resource, sys
        from playground import images
        raw = sys.stdin.buffer.read()
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        before = peak()
        images.read_image(raw)
        with images.Image.open(images.io.BytesIO(raw)) as image:
            print(peak() - before, images._bytes_a_pixel(image) * 2600**2)
    """
    done = subprocess.run([sys.executable, "-c", code], input=raw, capture_output=True, cwd=ROOT, check=True)
    taken, said = map(float, done.stdout.split())
    assert taken < said + 40 * 2**20, "the strip, and what the libraries bring"


def test_twelve_bits_in_sixteen_are_no_black():
    values = np.array([[0, 2048, 4095]], np.uint16)
    assert read_image(encode(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(encode(Image.fromarray(values // 257), "TIFF"))[0, :, 0].tolist() == [0, 7, 15]  # a table's
    assert read_image(encode(Image.fromarray(values), "PNG"))[0, :, 0].tolist() == [0, 8, 16]  # PNG says what white is


def test_twelve_bits_of_colour_in_sixteen_are_refused():
    def tiff(values: list[int]) -> bytes:
        tags = {256: 1, 257: 1, 258: 200, 259: 1, 262: 2, 273: 210, 277: 3, 278: 1, 279: 6}
        entries = [struct.pack("<HHLL", tag, 3, 3 if tag == 258 else 1, n) for tag, n in tags.items()]
        head = b"II*\0" + struct.pack("<LH", 8, len(tags)) + b"".join(entries) + bytes(4)
        return head.ljust(200, b"\0") + struct.pack("<3H", 16, 16, 16).ljust(10, b"\0") + struct.pack("<3H", *values)

    assert read_image(tiff([65535, 256, 0])).tolist() == [[[255, 1, 0]]]
    assert read_image(tiff([0, 0, 0])).tolist() == [[[0, 0, 0]]]
    with pytest.raises(ImageError, match="12 bits of colour in 16"):
        read_image(tiff([4095, 256, 0]))


def test_a_jpeg_with_a_broken_list_of_more_photos_is_a_photo():
    two = encode(corners((32, 32)), "MPO", save_all=True, append_images=[corners((32, 32))])
    at = two.index(b"MPF\0")
    for spoiled in (two[: at + 12] + bytes(60) + two[at + 72 :], two.replace(b"\x01\xb0\x04\0", b"\x77\xb0\x04\0")):
        assert read_image(spoiled).shape == (32, 32, 3)


def test_a_photo_to_keep_is_shrunk_and_tells_its_size():
    pixels, size = read_photo(encode(corners((120, 60))), longest=40)
    assert (pixels.shape, size) == ((20, 40, 3), (60, 120))
    whole, size = read_photo(encode(corners()))
    np.testing.assert_array_equal(whole, np.asarray(corners()))
    assert size == (24, 16)


# What a network sees


def test_crop_is_the_centred_square():
    assert crop_box(np.zeros((10, 10, 3))) == (0, 0, 10, 10)
    assert crop_box(np.zeros((10, 20, 3))) == (5, 0, 15, 10)
    assert crop_box(np.zeros((21, 10, 3))) == (0, 5, 10, 15)


def test_an_image_of_the_right_size_is_unchanged():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(fit_to(pixels, 32, 3), pixels.transpose(2, 0, 1))


def test_only_the_crop_is_seen():
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 4:12] = (10, 20, 30)
    seen = fit_to(pixels, 4, 3)
    assert seen.shape == (3, 4, 4)
    assert seen.dtype == np.uint8
    assert seen[:, 0, 0].tolist() == [10, 20, 30]
    assert (seen == seen[:, :1, :1]).all()


def test_shrinking_averages_rather_than_skips():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # every other column: the mean is 127.5; skipping would give 0 or 255
    assert np.abs(fit_to(stripes, 8, 3)[:, 2:6, 2:6].astype(int) - 127).max() <= 2


def test_greyscale_is_luma():
    seen = fit_to(np.full((4, 4, 3), RED, np.uint8), 2, 1)
    assert seen.shape == (1, 2, 2)
    assert (seen == 76).all()  # 0.299 · 255


def test_a_pixel_is_enough():
    assert fit_to(np.full((1, 1, 3), 9, np.uint8), 28, 1).shape == (1, 28, 28)
    assert fit_to(np.full((1, 500, 3), 9, np.uint8), 28, 3).tolist() == np.full((3, 28, 28), 9).tolist()


def test_channels_are_one_or_three():
    with pytest.raises(ValueError, match="1 or 3"):
        fit_to(np.zeros((4, 4, 3), np.uint8), 2, 4)


def test_the_crop_is_drawn_and_the_rest_dimmed():
    shown = with_crop(np.full((300, 600, 3), 100, np.uint8), longest=300)
    assert shown.shape == (150, 300, 3)
    assert shown[75, 150].tolist() == [100, 100, 100]  # within
    assert shown[75, 5].tolist() == [155, 155, 155]  # outside: 100 · 0.35 + 120
    assert shown[75, 75].tolist() == [255, 255, 255]  # the line
    assert with_crop(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)
    assert with_crop(np.zeros((1, 4000, 3), np.uint8)).shape == (1, 720, 3)


def test_enlarging_repeats_pixels():
    seen = np.array([[[1, 2], [3, 4]]], np.uint8)
    shown = enlarge(seen, pixels=4)
    assert shown.shape == (4, 4, 3)
    assert shown[:2, :2].tolist() == np.full((2, 2, 3), 1).tolist()
    assert shown[3, 3].tolist() == [4, 4, 4]
    assert enlarge(np.zeros((3, 32, 32), np.uint8)).shape == (320, 320, 3)
