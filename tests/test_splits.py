"""Which images are learned from and which are held back."""

import numpy as np
import pytest

from playground.config import DataConfig
from playground.splits import split


def draw_targets(seed: int = 0, counts: tuple[int, ...] = (50, 20, 100, 31)) -> np.ndarray:
    """Classes of the given sizes, in random order."""
    targets = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(targets)


def sizes(targets: np.ndarray, rows: np.ndarray) -> list[int]:
    return np.bincount(targets[rows], minlength=targets.max() + 1).tolist()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_each_class_is_split_by_the_same_share(share):
    targets = draw_targets()
    train, val = split(targets, DataConfig(validation_share=share))
    held_back = [round(count * share) for count in (50, 20, 100, 31)]
    assert sizes(targets, val) == held_back
    assert sizes(targets, train) == [count - out for count, out in zip((50, 20, 100, 31), held_back, strict=True)]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_every_image_is_on_one_side(share):
    targets = draw_targets()
    train, val = split(targets, DataConfig(validation_share=share))
    assert sorted([*train, *val]) == list(range(len(targets)))
    assert np.array_equal(train, np.sort(train)) and np.array_equal(val, np.sort(val))
    assert train.dtype == val.dtype == np.int64, "they index tensors, also when there are none"


def test_nothing_is_held_back_without_a_share():
    train, val = split(draw_targets(), DataConfig(validation_share=0))
    assert len(train) == 201
    assert val.shape == (0,)


@pytest.mark.parametrize("count", [1, 7, 20, 21, 1000])
def test_images_per_class(count):
    targets = draw_targets()
    train, val = split(targets, DataConfig(images_per_class=count, validation_share=0.2))
    chosen = np.concatenate([train, val])
    assert sizes(targets, chosen) == [min(count, size) for size in (50, 20, 100, 31)]
    assert len(set(chosen.tolist())) == len(chosen)


def test_fewer_images_are_a_part_of_more():
    targets = draw_targets()
    few, many = (
        set(np.concatenate(split(targets, DataConfig(images_per_class=count, validation_share=0.2))).tolist())
        for count in (5, 15)
    )
    assert few < many


def test_the_same_knobs_choose_the_same_rows_and_other_images_other_rows():
    targets = draw_targets()
    first, second = (split(targets, DataConfig(images_per_class=10)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], split(draw_targets(seed=1), DataConfig(images_per_class=10))[0])


def test_numpy_s_global_seed_has_no_say():
    rows = []
    for seed in (0, 1):
        np.random.seed(seed)
        rows.append(split(draw_targets(), DataConfig())[0])
    assert np.array_equal(rows[0], rows[1])


def test_the_choice_is_spread_over_the_data_set():
    targets = np.zeros(10_000, np.int64)
    train, val = split(targets, DataConfig(images_per_class=1000, validation_share=0.5))
    for rows in (train, val):
        assert abs(rows.mean() - 5000) < 500, "not the first rows: they may come in an order"
        assert rows.min() < 200 and rows.max() > 9800


@pytest.mark.parametrize(
    ("count", "share", "held_back"), [(1, 0.5, 0), (2, 0.5, 1), (3, 0.5, 2), (2, 0.1, 0), (5, 0.1, 0), (6, 0.1, 1)]
)
def test_a_tiny_class_keeps_an_image_to_learn_from(count, share, held_back):
    targets = np.array([0] * count + [1] * 10)
    train, val = split(targets, DataConfig(validation_share=share))
    assert sizes(targets, train)[0] == count - held_back >= 1
    assert sizes(targets, val)[0] == held_back


def test_a_class_without_images_is_passed_over():
    targets = np.array([0, 0, 2, 2, 2, 2])
    train, val = split(targets, DataConfig(validation_share=0.5))
    assert sizes(targets, train) == [1, 0, 2]
    assert sizes(targets, val) == [1, 0, 2]


def test_read_only_targets_are_enough():
    targets = draw_targets()
    targets.setflags(write=False)
    split(targets, DataConfig(images_per_class=3))
