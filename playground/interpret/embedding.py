"""The test set as the network sees it just before it decides, in two dimensions.

Principal components are there at once and are linear: what lies apart is apart. t-SNE (scikit-learn's) takes a second
or two and shows who is whose neighbour, which two straight directions cannot; begun from another epoch's picture it
keeps its place. UMAP would show much the same and bring numba and LLVM along.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import nn

from playground.interpret.errors import InterpretError
from playground.interpret.network import Budget, chain_modules, compute_outputs

MAX_FEATURES = 2048
"""Larger maps, where no fully connected layer follows them, are averaged over squares until they are this few."""
_SPARE, _ROUNDS = 8, 24
PERPLEXITY = 30.0
"""About how many neighbours t-SNE looks at."""


@dataclass(frozen=True)
class Features:
    """What the last layer decides from.

    Attributes:
        values: float32 (N, D); N is less than the images given if the time ran out.
        averaged: neighbouring places of the maps were averaged to keep D within `MAX_FEATURES`.
    """

    values: np.ndarray
    averaged: bool


@dataclass(frozen=True)
class Plane:
    """A projection onto the two directions in which the features differ most.

    Attributes:
        points: float32 (N, 2), centred.
        shares: of the features' variance, the part that each direction holds, in [0, 1].
    """

    points: np.ndarray
    shares: tuple[float, float]


def compute_features(
    net: nn.Module, images: np.ndarray, mean: Sequence[float], std: Sequence[float], budget: Budget | None = None
) -> Features:
    """Collect what the output layer is fed for each image.

    Args:
        images: uint8 (N, C, H, W), such as the test set's.

    Raises:
        InterpretError: there are no images, or the network's numbers are not finite.
    """
    chain = chain_modules(net)
    last = chain[-2]
    averaged = last.kind == "flatten" and last.out_shape[0] > MAX_FEATURES
    size = (0, 0)
    if averaged:
        last = chain[-3]
        side = int((MAX_FEATURES // last.out_shape[0]) ** 0.5)
        size = (min(side, last.out_shape[1]), min(side, last.out_shape[2]))
    found = []
    for _, _, maps in compute_outputs(net, images, mean, std, [last.name], budget):
        small = F.adaptive_avg_pool2d(maps, size) if averaged else maps
        found.append(small.flatten(1).contiguous().numpy())
    values = np.concatenate(found)
    if not np.isfinite(values).all():
        raise InterpretError("After this epoch the network's numbers are not finite; choose another epoch")
    return Features(values, averaged)


def project_to_plane(values: np.ndarray) -> Plane:
    """Project onto the first two principal components. The same values give the same points.

    Subspace iteration (Halko, Martinsson & Tropp, "Finding structure with randomness", 2011, algorithm 4.4) from fixed
    random directions: some 30 times faster here than a full decomposition. Of each direction's two signs the one is
    taken that makes the largest coordinate (by size) positive.

    Args:
        values: (N, D) float, finite.
    """
    centred = np.asarray(values, np.float32)
    centred = centred - centred.mean(0, dtype=np.float64).astype(np.float32)
    largest = float(np.abs(centred).max(initial=0))
    if not largest:  # one point for all: nothing was learned, or all units are dead
        return Plane(np.zeros((len(centred), 2), np.float32), (0.0, 0.0))
    centred /= largest  # squares of tiny or huge numbers would leave what float32 can hold
    rank = min(2 + _SPARE, *centred.shape)
    basis = np.random.default_rng(0).standard_normal((centred.shape[1], rank), np.float32)
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    left, sizes, _ = np.linalg.svd((centred @ basis).astype(np.float64), full_matrices=False)
    points = np.zeros((len(centred), 2))
    points[:, : min(2, rank)] = (left * sizes)[:, :2] * largest
    signs = np.sign(np.take_along_axis(points, np.abs(points).argmax(0)[None], 0))
    total = float(np.einsum("ij,ij->", centred, centred, dtype=np.float64))
    shares = [float(size**2 / total) for size in sizes[:2]] + [0.0]
    return Plane((points * np.where(signs == 0, 1, signs)).astype(np.float32), (shares[0], shares[1]))


def find_neighbours(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Lay points out so that neighbours stay neighbours (t-SNE: van der Maaten & Hinton 2008). Deterministic.

    Args:
        values: (N, D) float, finite.
        start: (N, 2), where the points begin: their principal components, or the picture of another epoch, in whose
            manner the points then lie (Kobak & Berens, "The art of using t-SNE", 2019).

    Returns:
        float32 (N, 2), centred.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    spread = float(np.abs(start).max(initial=0))
    if len(values) < 5 or not spread or not np.ptp(values, 0).any():
        return start.astype(np.float32)
    few = PCA(min(50, *values.shape), random_state=0).fit_transform(values)
    begin = (start / spread * 1e-3).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    found = TSNE(2, perplexity=perplexity, init=begin, max_iter=400, random_state=0, n_jobs=2).fit_transform(few)
    return (found - found.mean(0)).astype(np.float32)


def align_planes(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Turn and mirror points so that they lie as near to a reference as they can (orthogonal Procrustes).

    Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966. Distances between points stay.

    Args:
        points, reference: (N, 2), the same images in the same order, each centred.

    Raises:
        InterpretError: they are not of the same images.
    """
    if points.shape != reference.shape:
        raise InterpretError(f"{len(points)} points cannot be laid onto {len(reference)}; take the same images")
    left, _, right = np.linalg.svd(points.T.astype(np.float64) @ reference.astype(np.float64))
    return (points @ (left @ right)).astype(np.float32)
