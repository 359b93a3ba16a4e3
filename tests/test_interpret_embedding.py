"""The projection is that of scikit-learn; aligned pictures do not jump."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from playground.config import from_flat
from playground.interpret import InterpretError
from playground.interpret.embedding import (
    MAX_FEATURES,
    align_planes,
    compute_features,
    find_neighbours,
    project_to_plane,
)
from playground.interpret.network import Budget
from playground.interpret.trace import trace_image
from playground.models import build

torch.set_num_threads(1)
RANDOM = np.random.default_rng(0)
MEAN, STD = (0.5,) * 3, (0.25,) * 3
IMAGES = RANDOM.integers(0, 256, (12, 3, 32, 32), np.uint8)


def network(**knobs):
    torch.manual_seed(0)
    return build(from_flat(knobs).model, (3, 32, 32), 10).eval().requires_grad_(False)


def cloud(n: int, d: int, scale: float = 1.0) -> np.ndarray:
    """Points that spread less and less along each direction, as features do."""
    spread = RANDOM.standard_normal((n, d)) * np.geomspace(1, 0.05, d)
    return ((spread @ np.linalg.qr(RANDOM.standard_normal((d, d)))[0] + 3) * scale).astype(np.float32)


@pytest.mark.parametrize("knobs", [{"fc_width": 7}, {"fc_width": 0}, {"fc_width": 0, "norm": "batch"}])
@pytest.mark.parametrize("budget", [None, Budget(megabytes=0)])
def test_features_are_what_the_output_layer_is_fed(knobs, budget):
    net = network(channels="4-5", activation="tanh", dropout=0.5, **knobs)
    found = compute_features(net, IMAGES, MEAN, STD, budget)
    wanted = np.stack([trace_image(net, image, MEAN, STD).before("output").values for image in IMAGES])
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-6)
    assert not found.averaged and found.values.dtype == np.float32


def test_features_of_large_maps_are_averaged():
    net = network(channels="16", pooling="none", fc_width=0)
    found = compute_features(net, IMAGES, MEAN, STD)
    assert found.averaged and found.values.shape == (12, 16 * 11 * 11)
    assert found.values.shape[1] <= MAX_FEATURES
    maps = trace_image(net, IMAGES[3], MEAN, STD)["block1.dropout"].values
    assert found.values[3].mean() == pytest.approx(maps.mean(), rel=0.1)


@pytest.mark.parametrize(("n", "d"), [(200, 60), (50, 300), (300, 3), (40, 2)])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e25])
def test_the_plane_is_that_of_scikit_learn(n, d, scale):
    values = cloud(n, d)
    found = project_to_plane(values * np.float32(scale))
    oracle = PCA(2, svd_solver="full")
    wanted = oracle.fit_transform(values.astype(np.float64))
    wanted *= np.sign(np.take_along_axis(wanted, np.abs(wanted).argmax(0)[None], 0))
    np.testing.assert_allclose(found.points / np.float32(scale), wanted, atol=2e-3 * np.abs(wanted).max())
    np.testing.assert_allclose(found.shares, oracle.explained_variance_ratio_, rtol=1e-3)
    assert (project_to_plane(values * np.float32(scale)).points == found.points).all()


def test_planes_of_little():
    for values in (np.ones((5, 4)), np.zeros((3, 1)), np.ones((1, 8))):
        found = project_to_plane(values)
        assert found.points.shape == (len(values), 2) and not found.points.any() and found.shares == (0, 0)
    line = project_to_plane(np.array([[0.0], [2.0], [4.0]]))
    np.testing.assert_allclose(np.abs(line.points), [[2, 0], [0, 0], [2, 0]], atol=1e-6)
    assert line.shares == pytest.approx((1, 0))


def test_aligning_undoes_a_turn_and_a_mirror_and_keeps_distances():
    points = project_to_plane(cloud(100, 20)).points
    angle = 2.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for move in (turn, turn @ np.diag([1, -1]), np.eye(2)):
        np.testing.assert_allclose(align_planes((points @ move).astype(np.float32), points), points, atol=1e-5)
    other = project_to_plane(cloud(100, 20)).points
    moved = align_planes(other, points)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(other, axis=1), rtol=1e-5)
    angles = np.linspace(0, 2 * np.pi, 721)
    best = min(
        np.linalg.norm(other @ np.diag([1, flip]) @ [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] - points)
        for a in angles
        for flip in (1, -1)
    )
    assert np.linalg.norm(moved - points) <= best + 1e-4
    with pytest.raises(InterpretError, match="the same images"):
        align_planes(points, points[:5])


def test_a_picture_that_turns_from_epoch_to_epoch_stands_still():
    values = cloud(150, 30)
    first = project_to_plane(values).points
    for epoch in range(1, 6):
        values = values + 0.02 * RANDOM.standard_normal(values.shape)
        points = project_to_plane(values).points * ([1, -1] if epoch % 2 else [-1, 1])
        held = align_planes(points[:, ::-1] if epoch == 3 else points, first)
        assert np.linalg.norm(held - first) < 0.4 * np.linalg.norm(first)


def groups(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight groups in forty directions: more than two straight directions can tell apart."""
    targets = np.arange(n) % 8
    centres = 6 * RANDOM.standard_normal((8, 40))
    return (centres[targets] + RANDOM.standard_normal((n, 40))).astype(np.float32), targets


def agreement(points: np.ndarray, targets: np.ndarray) -> float:
    """The share of points whose nearest neighbour is of their class."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((targets[distances.argmin(1)] == targets).mean())


def test_neighbours_stay_neighbours_and_begin_where_they_are_told():
    values, targets = groups(240)
    flat = project_to_plane(values).points
    found = find_neighbours(values, flat)
    assert found.shape == (240, 2) and found.dtype == np.float32
    assert agreement(found, targets) > 0.97
    assert agreement(found, targets) > agreement(flat, targets)
    assert (find_neighbours(values, flat) == found).all()
    # The next epoch's picture, begun from this one, keeps its place; begun elsewhere it would not.
    moved = values + 0.1 * RANDOM.standard_normal(values.shape).astype(np.float32)
    kept = align_planes(find_neighbours(moved, found), found)
    assert np.linalg.norm(kept - found) < 0.5 * np.linalg.norm(found)


def test_neighbours_of_little():
    start = np.ones((3, 2), np.float32)
    assert (find_neighbours(np.ones((3, 4), np.float32), start) == start).all()
    alike = np.zeros((20, 4), np.float32)
    assert (find_neighbours(alike, np.ones((20, 2))) == 1).all()
    few, _ = groups(6)
    assert np.isfinite(find_neighbours(few, project_to_plane(few).points)).all()


def test_numbers_that_are_not_finite_are_refused():
    net = network(channels="2", fc_width=3)
    net.state_dict()["fc1.weight"].fill_(float("inf"))
    with pytest.raises(InterpretError, match="not finite"):
        compute_features(net, IMAGES, MEAN, STD)
