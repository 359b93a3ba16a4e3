"""Composed scenes: what they are made of, and that their true map is true."""

import numpy as np
import pytest

from playground.data.scenes import MAX_REGIONS, SceneError, compose_scene

CLASSES = 6


@pytest.fixture(scope="module")
def flat():
    """Forty images of each class, all of one brightness: 20 for class 0, 40 for class 1 …"""
    targets = np.repeat(np.arange(CLASSES), 40)
    images = np.broadcast_to((20 + 20 * targets)[:, None, None, None], (len(targets), 3, 32, 32)).astype(np.uint8)
    return images, targets


def test_each_pixel_is_of_an_image_of_its_class(flat):
    made = compose_scene(*flat, seed=3, regions=5)
    assert made.image.shape == (256, 256, 3)
    assert made.image.dtype == made.labels.dtype == np.uint8
    assert (made.image == (20 + 20 * made.labels)[..., None]).all()


def test_the_same_seed_gives_the_same_scene_and_another_seed_another(flat):
    first, again, other = (compose_scene(*flat, seed=seed, regions=5) for seed in (1, 1, 2))
    assert (first.image == again.image).all()
    assert (first.labels == again.labels).all()
    assert (first.labels != other.labels).mean() > 0.2


@pytest.mark.parametrize("regions", [1, 2, 6])
def test_there_are_as_many_classes_as_regions(flat, regions):
    for seed in range(5):
        assert len(np.unique(compose_scene(*flat, seed=seed, regions=regions).labels)) == regions


def test_there_may_be_more_regions_than_classes(flat):
    made = compose_scene(*flat, seed=0, regions=MAX_REGIONS)
    assert len(np.unique(made.labels)) == CLASSES


def test_boundaries_follow_no_grid(flat):
    for seed in range(5):
        labels = compose_scene(*flat, seed=seed, regions=5).labels
        for axis in (0, 1):
            # Where the label changes along the axis: on a grid all changes would share a few lines.
            lines = np.nonzero(np.diff(labels.astype(int), axis=axis))[axis]
            shares = np.bincount(lines, minlength=256) / len(lines)
            assert shares.max() < 0.15
            assert len(np.unique(lines)) > 60


def test_boundaries_are_curved(flat):
    """With straight boundaries, what lies between two pixels of a region would be of it, too."""
    random = np.random.default_rng(0)
    for seed in range(5):
        labels = compose_scene(*flat, seed=seed, regions=3).labels
        first, second = random.integers(0, 256, (2, 20_000, 2))
        alike = labels[*first.T] == labels[*second.T]
        between = ((first + second) // 2)[alike]
        assert (labels[*between.T] != labels[*first[alike].T]).mean() > 0.001


def test_regions_hold_whole_images(flat):
    """In each of a few regions a square of the images' size fits."""
    from scipy import ndimage

    for seed in range(5):
        labels = compose_scene(*flat, seed=seed, regions=5).labels
        room = [ndimage.binary_erosion(labels == k, np.ones((32, 32))).any() for k in np.unique(labels)]
        assert all(room)


def test_the_images_are_whole_and_can_be_recognised():
    """A picture of stripes comes out at one to two times its size, not squeezed or cropped to a corner."""
    stripes = np.zeros((4, 1, 32, 32), np.uint8)
    stripes[..., :16] = 255
    for seed in range(5):
        made = compose_scene(stripes, np.zeros(4, int), seed=seed, regions=1)
        bright = made.image[128, :, 0] > 127
        widths = np.diff(np.flatnonzero(np.diff(bright.astype(int))))
        assert 16 - 3 <= widths.min() <= 32 + 1  # half an image, less a seam; where two are mirrored it is twice that
        assert widths.max() <= 2 * 32 + 1


def test_grey_images_make_a_grey_picture(flat):
    images, targets = flat
    made = compose_scene(images[:, :1], targets, seed=0, regions=3)
    assert (made.image == made.image[..., :1]).all()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"regions": 0}, "cannot have 0 regions; it takes 1 to 16"),
        ({"regions": 17}, "cannot have 17 regions"),
        ({"size": 31}, "cannot hold an image of 32"),
    ],
)
def test_what_cannot_be_composed_is_one_line(flat, change, line):
    with pytest.raises(SceneError, match=line):
        compose_scene(*flat, **({"seed": 0, "regions": 3} | change))


def test_no_images_or_too_many_classes_are_one_line(flat):
    images, targets = flat
    with pytest.raises(SceneError, match="no images"):
        compose_scene(images[:0], targets[:0], seed=0, regions=3)
    with pytest.raises(SceneError, match="classes 0 to 254"):
        compose_scene(images, targets + 250, seed=0, regions=3)
