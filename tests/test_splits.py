"""Which images are learned from and which are held back."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from playground.config import ConfigError, DataConfig
from playground.data.splits import split, take_turns


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


# Folds


@pytest.mark.parametrize("folds", [2, 5, 20])
@pytest.mark.parametrize("counts", [(50, 20, 100, 31), (20,), (23, 0, 57), (40, 25, 21, 22, 33, 200, 20)])
def test_folds_are_scikit_learn_s(folds, counts):
    targets = draw_targets(len(counts), counts)
    cut = StratifiedKFold(folds, shuffle=True, random_state=0).split(targets, targets)
    for fold, (train, held_back) in enumerate(cut):
        ours = split(targets, DataConfig(folds=folds, fold=fold, validation_share=0.4))
        assert np.array_equal(ours[0], train) and np.array_equal(ours[1], held_back)
        assert ours[0].dtype == ours[1].dtype == np.int64


def test_each_image_is_held_back_once():
    targets = draw_targets()
    held_back = [split(targets, DataConfig(folds=3, fold=fold))[1] for fold in range(3)]
    assert sorted(np.concatenate(held_back)) == list(range(len(targets)))
    for rows in held_back:
        assert sizes(targets, rows) == pytest.approx([50 / 3, 20 / 3, 100 / 3, 31 / 3], abs=1)


def test_folds_cut_what_images_per_class_leaves():
    targets = draw_targets()
    config = DataConfig(images_per_class=10, validation_share=0.3)
    left = sorted(np.concatenate(split(targets, config)))
    folds = [split(targets, config.model_copy(update={"folds": 5, "fold": fold})) for fold in range(5)]
    assert sorted(np.concatenate([rows for _, rows in folds])) == left
    for train, held_back in folds:
        assert sorted([*train, *held_back]) == left
        assert sizes(targets, held_back) == [2, 2, 2, 2]


def test_a_class_smaller_than_the_folds_is_no_warning():
    targets = np.array([0] * 2 + [1] * 10)
    with warnings.catch_warnings(action="ignore"):
        cut = list(StratifiedKFold(5, shuffle=True, random_state=0).split(targets, targets))
    for fold, (_, held_back) in enumerate(cut):
        assert np.array_equal(split(targets, DataConfig(folds=5, fold=fold))[1], held_back)
    assert sum(sizes(targets, split(targets, DataConfig(folds=5, fold=fold))[1])[0] for fold in range(5)) == 2


def test_more_folds_than_images_are_refused_in_one_line():
    with pytest.raises(
        ConfigError, match=r"^5 folds need a class of as many images, and the largest has 3; take fewer"
    ):
        split(np.array([0, 0, 0, 1, 1]), DataConfig(folds=5))


def test_images_that_stand_for_all_go_round_the_classes():
    targets = np.array([2, 2, 2, 0, 1, 0, 1, 1])
    assert take_turns(targets, 5).tolist() == [3, 4, 0, 5, 6]
    assert take_turns(targets, 99).tolist() == [3, 4, 0, 5, 6, 1, 7, 2]
    assert take_turns(np.zeros((7, 4, 4), np.uint8), 3).tolist() == [0, 1, 2]  # masks have no class
    sorted_by_class = np.repeat(np.arange(10), 400)  # as sets of one's own are
    assert np.bincount(sorted_by_class[take_turns(sorted_by_class, 1000)]).tolist() == [100] * 10
