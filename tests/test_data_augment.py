"""Each augmentation against a slow version of itself, written independently for one image at a time."""

import hashlib

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from numpy.typing import NDArray

from playground.config import DataConfig
from playground.data.augment import augment, augment_pairs, cut_out, flip, normalise, recolour, rotate, shift

EVERYTHING = {"flip": True, "shift": 3, "rotation": 20.0, "colour": 0.4, "cutout": 6}


def images(n: int = 12, channels: int = 3, size: int = 20, seed: int = 0) -> torch.Tensor:
    """Noise on top of gradients: no two rows, columns or channels are the same."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 160, size)[:, None] + np.linspace(0, 60, size)[None, :]
    return torch.from_numpy((ramp + random.integers(0, 36, (n, channels, size, size))).astype(np.uint8))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_on_returns_the_very_same_images() -> None:
    batch, random = images(), generator()
    before = random.get_state()
    assert augment(batch, DataConfig(flip=False), random) is batch
    assert torch.equal(random.get_state(), before)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("knobs", [{k: v} for k, v in EVERYTHING.items()] + [EVERYTHING], ids=lambda k: "+".join(k))
def test_every_knob_keeps_shape_and_type_and_depends_on_the_generator_only(knobs: dict, channels: int) -> None:
    batch, config = images(channels=channels), DataConfig(**knobs)
    original = batch.clone()
    first, again, other = (augment(batch, config, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(batch, original), "the input was changed"
    assert first.shape == batch.shape and first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, batch)
    in_another_layout = augment(batch.contiguous(memory_format=torch.channels_last), config, generator(1))
    assert (first.int() - in_another_layout.int()).abs().max() <= 1


def test_what_a_seed_draws_is_part_of_the_format() -> None:
    """Runs are resumed and repeated, so a batch is varied as it ever was: these are from before there was a table."""
    batch = torch.arange(8 * 3 * 9 * 11).mul(7).remainder(251).to(torch.uint8).view(8, 3, 9, 11)
    random = generator(5)
    varied, masks = augment_pairs(batch, batch[:, 0] % 5, DataConfig(flip=True, shift=3, cutout=4), random)
    digest = hashlib.sha256(varied.contiguous().numpy().tobytes() + masks.contiguous().numpy().tobytes()).hexdigest()
    assert digest[:16] == "bf50171722b1a482"
    assert torch.randint(0, 10**9, (1,), generator=random).item() == 892105089
    random = generator(5)
    augment(batch, DataConfig(flip=True, shift=3, rotation=20, colour=0.3, cutout=4), random)
    assert torch.randint(0, 10**9, (1,), generator=random).item() == 69023723


def test_flip_mirrors_the_chosen_images_only() -> None:
    batch = images(5)
    chosen = torch.tensor([1, 0, 0, 1, 1])
    expected = np.stack([i[:, :, ::-1] if c else i for i, c in zip(batch.numpy(), chosen, strict=True)])
    assert np.array_equal(flip(batch, chosen).numpy(), expected)


def test_about_half_of_the_images_are_flipped() -> None:
    batch = images(2000, 1, 8)
    flipped = augment(batch, DataConfig(flip=True), generator())
    assert 900 < int((flipped != batch).any(3).any(2).any(1).sum()) < 1100


@pytest.mark.parametrize("channels", [1, 3])
def test_shift_moves_the_window_over_the_reflected_image(channels: int) -> None:
    most, size = 4, 20
    batch = images(81, channels, size)
    steps = torch.arange(-most, most + 1)
    offsets = torch.cartesian_prod(steps, steps).T  # every pair of offsets
    moved = shift(batch, offsets, most).numpy()
    for image, result, (down, right) in zip(batch.numpy(), moved, offsets.T.tolist(), strict=True):
        padded = np.pad(image, ((0, 0), (most, most), (most, most)), mode="reflect")
        expected = padded[:, most + down : most + down + size, most + right : most + right + size]
        assert np.array_equal(result, expected), (down, right)


def test_random_shifts_reach_each_offset_and_none_beyond() -> None:
    size, most = 16, 2
    batch = torch.zeros(3000, 1, size, size, dtype=torch.uint8)
    batch[:, :, 8, 8] = 255
    rows, columns = augment(batch, DataConfig(flip=False, shift=most), generator())[:, 0].nonzero()[:, 1:].T.tolist()
    seen = set(zip(rows, columns, strict=True))
    assert seen == {(8 + a, 8 + b) for a in range(-most, most + 1) for b in range(-most, most + 1)}


def test_a_shift_as_large_as_the_image_is_held_to_what_reflection_can_fill() -> None:
    batch = images(size=8)
    assert augment(batch, DataConfig(flip=False, shift=16), generator()).shape == batch.shape


@pytest.mark.parametrize("channels", [1, 3])
def test_rotation_is_torchvisions_on_the_reflected_image(channels: int) -> None:
    size, margin = 20, 10
    batch = images(6, channels, size)
    degrees = torch.tensor([0.0, 10.0, -25.0, 45.0, 90.0, 180.0])
    turned = rotate(batch, degrees).numpy()
    for image, angle, result in zip(batch.numpy(), degrees.tolist(), turned, strict=True):
        around = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric").astype(np.float32)
        whole = TF.rotate(torch.from_numpy(around), angle, TF.InterpolationMode.BILINEAR)
        expected = TF.center_crop(whole, [size, size]).round().numpy()
        assert np.abs(result - expected).max() <= 1, angle
    assert np.array_equal(turned[0], batch[0].numpy())
    assert np.array_equal(turned[4], np.rot90(batch[4].numpy(), 1, (1, 2)))


def test_rotation_of_an_oblong_image_keeps_its_aspect() -> None:
    batch = images(1, 3, 20)[:, :, :12]
    around = np.pad(batch[0].numpy(), ((0, 0), (10, 10), (10, 10)), mode="symmetric").astype(np.float32)
    whole = TF.rotate(torch.from_numpy(around), 15.0, TF.InterpolationMode.BILINEAR)
    expected = TF.center_crop(whole, [12, 20]).round().numpy()
    assert np.abs(rotate(batch, torch.tensor([15.0]))[0].numpy() - expected).max() <= 1


def test_random_angles_span_the_knobs_range() -> None:
    dot = torch.zeros(400, 1, 41, 41, dtype=torch.uint8)
    dot[:, :, 19:22, 38:] = 255  # a hand that points right
    turned = augment(dot, DataConfig(flip=False, rotation=30.0), generator())[:, 0].double().numpy()
    rows, columns = np.mgrid[-20:21, -20:21]
    angles = np.degrees(np.arctan2((turned * -rows).sum((1, 2)), (turned * columns).sum((1, 2))))
    assert -31 < angles.min() < -27 and 27 < angles.max() < 31 and abs(angles.mean()) < 3


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_torchvisions(channels: int) -> None:
    batch = images(5, channels)
    factors = torch.tensor([[1.0, 0.5, 1.6, 1.0, 0.8], [1.0, 1.5, 0.4, 0.0, 1.2], [1.0, 0.0, 1.7, 1.0, 2.0]])
    for image, (brightness, contrast, saturation), result in zip(
        batch, factors.T.tolist(), recolour(batch, factors), strict=True
    ):
        expected = TF.adjust_contrast(TF.adjust_brightness(image / 255, brightness), contrast)
        expected = TF.adjust_saturation(expected, saturation) if channels == 3 else expected
        assert (result - expected * 255).abs().max() <= 0.51
    assert torch.equal(recolour(batch, factors)[0], batch[0])


def test_each_image_gets_its_own_colours_within_the_knobs_range() -> None:
    flat = torch.full((500, 1, 8, 8), 100, dtype=torch.uint8)
    levels = augment(flat, DataConfig(flip=False, colour=0.3), generator())[:, 0, 0, 0].double()
    assert 70 <= levels.min() < 73 and 127 < levels.max() <= 130


@pytest.mark.parametrize("size", [1, 4, 7, 20, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_cutout_erases_the_square_and_nothing_else(size: int, channels: int) -> None:
    side = 20
    batch = images(side, channels, side)
    rows, columns = torch.arange(side), torch.arange(side).flip(0)
    result = cut_out(batch, rows, columns, size).numpy()
    mean = batch.float().mean((0, 2, 3))
    for image, row, column, found in zip(batch.numpy(), rows.tolist(), columns.tolist(), result, strict=True):
        top, left = row - size // 2, column - size // 2
        erased = np.zeros((side, side), dtype=bool)
        erased[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = True
        assert np.array_equal(found[:, ~erased], image[:, ~erased])
        for channel in range(channels):
            assert np.unique(found[channel, erased]).size == 1
            assert abs(int(found[channel, row, column]) - float(mean[channel])) <= 0.51


def test_cutout_reaches_every_pixel() -> None:
    # A checkerboard of 0 and 200: the mean colour, 100, is seen only where something was erased.
    board = (torch.arange(10)[:, None] + torch.arange(10)) % 2 * 200
    batch = board.to(torch.uint8).expand(2000, 1, 10, 10)
    result = augment(batch, DataConfig(flip=False, cutout=1), generator())[:, 0]
    assert bool((result != batch[:, 0]).any(0).all())
    assert int((result != batch[:, 0]).sum()) == 2000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_normalise_is_the_formula_in_channels_last(channels: int, dtype: torch.dtype) -> None:
    batch = images(channels=channels)
    mean, std = (0.5, 0.4, 0.3)[:channels], (0.2, 0.1, 0.3)[:channels]
    result = normalise(batch, mean, std, dtype)
    pixels: NDArray = batch.numpy().astype(np.float64) / 255
    expected = (pixels - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    assert result.dtype == dtype and result.is_contiguous(memory_format=torch.channels_last)
    assert np.abs(result.double().numpy() - expected).max() < (0.05 if dtype == torch.bfloat16 else 1e-5)
    other_layout = normalise(batch.contiguous(memory_format=torch.channels_last), mean, std, dtype)
    assert torch.equal(other_layout, result)


def test_what_inference_caches_can_be_trained_with() -> None:
    batch, statistics = images(channels=1), ((0.123,), (0.456,))
    with torch.inference_mode():
        normalise(batch, *statistics)
        augment(batch, DataConfig(flip=False, cutout=5), generator())
    weight = torch.ones(1, requires_grad=True)
    (normalise(augment(batch, DataConfig(flip=False, cutout=5), generator()), *statistics) * weight).sum().backward()
    assert weight.grad is not None
