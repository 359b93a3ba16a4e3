"""Colours mean values: limits by map, layer and network, and sheets that say where a pixel belongs."""

import io

import numpy as np
import pytest
from PIL import Image

from playground.interpret import InterpretError
from playground.interpret.colormap import (
    CLEAR,
    DIVERGING,
    LEVELS,
    NO_NUMBER,
    SEQUENTIAL,
    choose_limits,
    make_palette,
    make_sheet,
    quantise,
)

SIGNED = np.array([[[-1.0, 0.5]], [[0.0, 4.0]]], np.float32)
UNSIGNED = np.array([[[0.0, 2.0]], [[1.0, 0.0]]], np.float32)
UNITS = np.array([0.1, 0.9], np.float32)


def test_limits_by_map_by_layer_and_for_all():
    each = choose_limits([SIGNED, UNSIGNED, UNITS], "map")
    np.testing.assert_array_equal(each[0].high.ravel(), [1, 4])
    np.testing.assert_array_equal(each[0].low, -each[0].high)
    np.testing.assert_array_equal(each[1].high.ravel(), [2, 1])
    assert each[0].signed and not each[1].signed and not each[1].low.any()
    np.testing.assert_allclose(each[2].high, [0.9])
    layer = choose_limits([SIGNED, UNSIGNED], "layer")
    assert [float(found.high[0]) for found in layer] == [4, 2]
    one, other = choose_limits([SIGNED, UNSIGNED], "global")
    assert one == other and one.signed and float(one.high[0]) == 4
    assert not choose_limits([UNSIGNED, UNITS], "global")[0].signed
    assert choose_limits([], "global") == []


def test_no_such_scope():
    with pytest.raises(InterpretError, match="there are map, layer and global"):
        choose_limits([SIGNED], "row")


def test_equal_values_have_equal_colours_where_maps_are_compared():
    found = choose_limits([SIGNED, UNSIGNED], "global")
    assert quantise(SIGNED, found[0])[1, 0, 0] == quantise(UNSIGNED, found[1])[0, 0, 0] == LEVELS // 2
    half = choose_limits([SIGNED], "layer")[0]
    assert quantise(SIGNED, half)[1, 0, 1] == LEVELS - 1
    assert quantise(np.array([[[-4.0, 99.0]]]), half).ravel().tolist() == [0, LEVELS - 1]


def test_values_without_a_number_and_maps_of_nothing():
    odd = np.array([[[np.nan, np.inf], [-np.inf, 2.0]], [[0, 0], [0, 0]]], np.float32)
    found = choose_limits([odd], "map")[0]
    assert quantise(odd, found)[0].tolist() == [[NO_NUMBER, LEVELS - 1], [0, LEVELS - 1]]
    assert (quantise(odd, found)[1] == 0).all()
    dead = np.zeros((3, 2, 2), np.float32)
    assert np.isfinite(choose_limits([dead], "map")[0].high).all()
    assert (make_sheet(np.full((2, 2, 2), np.nan, np.float32)).pixels != 0).all()


def test_the_palettes_start_and_end_as_named():
    for signed, colours in ((False, SEQUENTIAL), (True, DIVERGING)):
        table = make_palette(signed)
        assert ["#" + bytes(table[i]).hex() for i in (0, LEVELS - 1)] == [colours[0], colours[-1]]
    assert "#" + bytes(make_palette(True)[LEVELS // 2]).hex() == DIVERGING[5]
    brightness = make_palette(False)[:LEVELS] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -1).all()


def test_a_sheet_holds_every_value_once_and_finds_it_again():
    values = np.random.default_rng(0).standard_normal((7, 3, 4)).astype(np.float32)
    found = choose_limits([values], "layer")[0]
    drawn = make_sheet(values, found, columns=3, zoom=2, gap=1)
    assert drawn.pixels.shape == (3 * 6 + 2, 3 * 8 + 2)
    wanted = quantise(values, found)
    for y in range(drawn.pixels.shape[0]):
        for x in range(drawn.pixels.shape[1]):
            place = drawn.locate(x, y)
            assert drawn.pixels[y, x] == (CLEAR if place is None else wanted[place])
    left, top, right, bottom = drawn.box(4)
    np.testing.assert_array_equal(drawn.pixels[top:bottom:2, left:right:2], wanted[4])
    assert drawn.locate(-1, 0) is None and drawn.locate(1000, 0) is None


def test_units_are_thumbnails_of_one_value():
    drawn = make_sheet(np.arange(10, dtype=np.float32), columns=10, zoom=4, gap=0)
    assert drawn.pixels.shape == (4, 40)
    assert drawn.locate(39, 3) == (9, 0, 0)
    assert len(np.unique(drawn.pixels)) == 10


def test_a_png_shows_the_same_colours_and_clear_gaps():
    drawn = make_sheet(SIGNED, zoom=3)
    with Image.open(io.BytesIO(drawn.png())) as image:
        pixels = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(pixels[..., :3], drawn.rgb())
    np.testing.assert_array_equal(pixels[..., 3] == 0, drawn.pixels == CLEAR)


@pytest.mark.parametrize("count", [1, 2, 5, 96])
@pytest.mark.parametrize("gap", [0, 2])
def test_a_sheet_is_about_square(count, gap):
    height, width = make_sheet(np.ones((count, 8, 8), np.float32), gap=gap).pixels.shape
    assert 0.5 <= height / width <= 2.1 or count == 2
