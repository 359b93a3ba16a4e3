"""The drawn shapes: exact masks, as easy or hard as asked, the same from the same seed, and no class told by colour."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from playground.data import own, shapes, store
from playground.data.catalog import CATALOG, DataError, find_info, is_ready
from playground.data.progress import Progress
from playground.data.shapes import LIMITS, Difficulty, generate

PLAIN = Difficulty(occlusion=0, noise=0)


def _inside(kind: int, x: float, y: float) -> tuple[bool, float]:
    """Say whether a point is inside an outline of radius 1 about the origin, by scalar geometry, and how clearly."""
    if kind == 1:  # a disc of area 0.85 π
        margin = 0.85 - x * x - y * y
    elif kind == 2:  # a square of side 1.6
        margin = min(0.8 - x, 0.8 + x, 0.8 - y, 0.8 + y)
    elif kind == 3:  # a triangle: left of each of its edges, in the order of its corners
        corners = [(0.0, -1.1), (1.7 / 1.9, 0.6), (-1.7 / 1.9, 0.6)]
        edges = zip(corners, [*corners[1:], corners[0]], strict=True)
        margin = min((bx - ax) * (y - ay) - (by - ay) * (x - ax) for (ax, ay), (bx, by) in edges)
    elif kind == 4:  # five spikes, 72 degrees apart, one up
        from_spike = min(abs((math.degrees(math.atan2(x, -y)) - 72 * k + 180) % 360 - 180) for k in range(5))
        margin = 0.45 + 0.6 * (1 - from_spike / 36) ** 2 - math.hypot(x, y)
    else:  # two bars
        margin = max(min(0.27 - abs(x), 1 - abs(y)), min(0.27 - abs(y), 1 - abs(x)))
    return margin >= 0, abs(margin)


class Witness:
    """Draws as a generator does, and remembers where each shape went: what was drawn between two placings."""

    def __init__(self, seed: tuple[int, int]) -> None:
        self.source, self.placed = np.random.default_rng(seed), []
        self.calls: list[tuple[str, object]] = []

    def __getattr__(self, name: str) -> Callable:
        def call(*arguments: object) -> object:
            found = getattr(self.source, name)(*arguments)
            self.calls.append((name, found))
            return found

        return call


@pytest.mark.parametrize("occlusion", [0.0, 0.7])
def test_each_pixels_class_is_that_of_the_last_shape_over_it(occlusion: float, monkeypatch: pytest.MonkeyPatch) -> None:
    size, bars = 32, []
    place, bar = shapes._place, shapes._bar

    def watched(random: Witness, *rest: object) -> tuple[float, float, float] | None:
        found = place(random, *rest)
        random.placed.append((found, len(random.calls)))
        return found

    monkeypatch.setattr(shapes, "_place", watched)
    monkeypatch.setattr(shapes, "_bar", lambda *rest: bars.append(bar(*rest)) or bars[-1])
    seen, doubtful = set(), 0
    for seed in range(12):
        bars.clear()
        witness = Witness((seed, 0))
        _, mask = shapes.draw(witness, size, Difficulty(occlusion=occlusion))
        drawn = []
        for where, call in witness.placed:
            if where:
                (_, angle), (_, kind) = witness.calls[call : call + 2]
                drawn.append((*where, float(angle), int(kind) + 1))
        for row, column in itertools.product(range(size), repeat=2):
            expected, clear = 0, 1.0
            for centre_x, centre_y, radius, angle, kind in drawn:
                x, y = column + 0.5 - centre_x, row + 0.5 - centre_y
                turned = complex(x, y) * complex(math.cos(angle), -math.sin(angle)) / radius
                inside, margin = _inside(kind, turned.real, turned.imag)
                expected, clear = kind if inside else expected, min(clear, margin)
            expected = 0 if bars and bars[0][row, column] else expected
            if clear > 1e-4:
                assert mask[row, column] == expected, (seed, row, column)
            doubtful += clear <= 1e-4
        seen |= {kind for *_, kind in drawn}
    assert seen == {1, 2, 3, 4, 5} and doubtful < 10
    assert bool(bars) == (occlusion > 0)


def test_without_occlusion_shapes_keep_clear_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    covered: list[np.ndarray] = []
    outlines = shapes.OUTLINES

    def watch(outline: Callable) -> Callable:
        return lambda x, y: covered.append(outline(x, y)) or covered[-1]

    monkeypatch.setattr(shapes, "OUTLINES", tuple(map(watch, outlines)))
    several = 0
    for difficulty, overlap in ((Difficulty(12, occlusion=0), False), (Difficulty(12, occlusion=1), True)):
        most = 0
        for seed in range(20):
            covered.clear()
            shapes.draw(np.random.default_rng(seed), 64, difficulty)
            several += len(covered) > 1
            most = max(most, int(np.sum(covered, 0).max()))
        assert (most > 1) == overlap
    assert several > 20


def test_noise_changes_pixels_and_not_masks() -> None:
    still, masks = generate(4, 48, 3, PLAIN)
    noisy, same = generate(4, 48, 3, Difficulty(occlusion=0, noise=0.1))
    # Noise is drawn last, and each image has a seed of its own.
    np.testing.assert_array_equal(masks, same)
    middle = (still > 90) & (still < 165)  # where nothing is clipped
    difference = (noisy.astype(float) - still)[middle] / 255
    assert abs(difference.std() - 0.1) < 0.005 and abs(difference.mean()) < 0.005


def test_contrast_pulls_colours_together() -> None:
    spread = [generate(20, 32, 0, Difficulty(noise=0, contrast=c))[0].astype(float).std() for c in (1.0, 0.2)]
    assert spread[1] < 0.3 * spread[0]


def test_the_same_seed_draws_the_same_in_any_number() -> None:
    images, masks = generate(6, 40, 5, Difficulty())
    fewer, their_masks = generate(3, 40, 5, Difficulty())
    np.testing.assert_array_equal(images[:3], fewer)
    np.testing.assert_array_equal(masks[:3], their_masks)
    assert not np.array_equal(generate(3, 40, 6, Difficulty())[0], fewer)
    assert len({image.tobytes() for image in images}) == 6


def test_every_class_occurs_and_none_is_rare() -> None:
    _, masks = generate(200, 48, 0, Difficulty())
    share = np.bincount(masks.ravel(), minlength=6) / masks.size
    assert len(share) == 6 == CATALOG["shapes"].num_classes
    assert share[0] > 0.4 and share[1:].min() > 0.01


def test_colour_tells_nothing_about_the_class() -> None:
    images, masks = generate(800, 32, 0, Difficulty())
    pixels = images.transpose(0, 2, 3, 1).astype(np.float32) / 255
    # The class whose mean colour is nearest, over pixels of new images, is right hardly more often than by chance.
    for classes, chance in ((range(1, 6), 1 / 5), (range(6), 1 / 6)):
        means = np.array([pixels[:500][masks[:500] == c].mean(0) for c in classes])
        right = []
        for k, c in enumerate(classes):
            some = pixels[500:][masks[500:] == c]
            right.append((((some[:, None] - means) ** 2).sum(2).argmin(1) == k).mean())
        assert np.mean(right) < chance + 0.06
    # No class is brighter or of another hue than the others, as far as so many images can tell.
    colours = [
        np.array([image[mask == c].mean(0) for image, mask in zip(pixels, masks, strict=True) if (mask == c).any()])
        for c in range(1, 6)
    ]
    middle = np.mean([found.mean(0) for found in colours], 0)
    for found in colours:
        assert (abs(found.mean(0) - middle) < 4 * found.std(0) / len(found) ** 0.5).all()


# A set of one's own


def test_a_set_of_ones_own_is_drawn_as_asked() -> None:
    told: list[Progress] = []
    hard = Difficulty(shapes=7, occlusion=0.6, noise=0.1, contrast=0.5)
    made = own.draw_shapes("My Shapes!", 20, 10, 40, hard, 9, told.append)
    assert made == find_info("my-shapes") and made.own and made.task == "segmentation" and not made.bundled
    assert (made.title, made.shape, made.train_count, made.test_count) == ("My Shapes!", (3, 40, 40), 20, 10)
    assert made.source.endswith("shapes 7, occlusion 0.6, noise 0.1, contrast 0.5, seed 9")
    found = store.open_arrays("my-shapes")
    images, masks = generate(20, 40, 9, hard)
    np.testing.assert_array_equal(found.train_images, images)
    np.testing.assert_array_equal(found.train_targets, masks)
    assert found.test_targets.shape == (10, 40, 40) and found.test_targets.dtype == np.uint8
    train = {image.tobytes() for image in images}
    assert not train.intersection(image.tobytes() for image in found.test_images)
    assert told[0].what == "Drawing shapes"
    own.delete_dataset("my-shapes")


@pytest.mark.parametrize(("knob", "wrong"), [(name, high * 2 + 1) for name, (_, high) in LIMITS.items()])
def test_what_is_out_of_its_limits_is_one_line(knob: str, wrong: float) -> None:
    sizes: dict = {"train": 20, "test": 10, "size": 32, "seed": 0}
    difficulty = Difficulty(**({knob: wrong} if knob not in sizes else {}))
    low, high = LIMITS[knob]
    with pytest.raises(DataError, match=f"^{knob} cannot be {wrong}; it takes a .*number from {low:g} to") as error:
        own.draw_shapes("mine", **{k: wrong if k == knob else v for k, v in sizes.items()}, difficulty=difficulty)
    assert f"{high:,}" in str(error.value) and "\n" not in str(error.value)
    assert not is_ready("mine")


def test_names_that_are_taken_too_much_memory_and_a_cancel() -> None:
    with pytest.raises(DataError, match="already"):
        own.draw_shapes("Shapes")
    with pytest.raises(DataError, match="draw fewer, or smaller"):
        own.draw_shapes("mine", 50_000, 10_000, 256)

    def cancel(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.draw_shapes("mine", 10, 10, 32, progress=cancel)
    assert not is_ready("mine")
    own.draw_shapes("mine", 10, 10, 32)  # the lock was let go


def test_the_knobs_as_they_stand_are_within_their_limits() -> None:
    usual = Difficulty()
    for name in ("shapes", "occlusion", "noise", "contrast"):
        low, high = LIMITS[name]
        assert low <= getattr(usual, name) <= high
