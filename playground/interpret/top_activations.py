"""The images, and the patch in each, that excite a map most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from playground.geometry import Layer
from playground.interpret.errors import InterpretError
from playground.interpret.network import Budget, chain_modules, compute_outputs
from playground.interpret.receptive_field import ReceptiveField, compute_receptive_field


@dataclass(frozen=True)
class TopActivation:
    """For each map (or unit) of a layer the images with its highest values, highest first; each image counts once.

    Attributes:
        layer: its name; chain: the network's layers.
        images: (units, n) int64, rows of the images given.
        values: (units, n) float32, the map's maximum in each image.
        places: (units, n, 2) int64, the maximum's row and column; None after the flattening.
        seen: how many images were looked at; fewer than were given if the time ran out.
    """

    layer: str
    chain: tuple[Layer, ...]
    images: np.ndarray
    values: np.ndarray
    places: np.ndarray | None
    seen: int

    def field(self, unit: int, rank: int) -> ReceptiveField:
        """Return what the maximum of the unit's rank-th image sees of that image.

        Raises:
            InterpretError: there is no such unit or rank.
        """
        units, ranks = self.images.shape
        if not (0 <= unit < units and 0 <= rank < ranks):
            raise InterpretError(f"{self.layer} has maps 0 to {units - 1} and images 0 to {ranks - 1} for each")
        index = (unit,) if self.places is None else (unit, *self.places[unit, rank])
        return compute_receptive_field(self.chain, self.layer, index)


def find_top_activations(
    net: nn.Module,
    images: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    layer: str,
    top: int = 9,
    budget: Budget | None = None,
) -> TopActivation:
    """Find for every map of a layer the images that excite it most, in one pass over the images.

    Args:
        images: uint8 (N, C, H, W), such as the test set's.
        layer: any layer; its maps are compared by their highest value.
        top: images for each map. Of equal ones the earlier comes first, and a value that is no number comes last.

    Raises:
        InterpretError: there are no images, or no such layer.
    """
    best: tuple[Tensor, Tensor, Tensor] | None = None
    seen, width = 0, 0
    for start, _, maps in compute_outputs(net, images, mean, std, [layer], budget):
        width = maps.shape[-1] if maps.ndim == 4 else 0
        flat = (maps.flatten(2) if width else maps[..., None]).nan_to_num(nan=-torch.inf)
        values, spots = flat.max(2)
        rows = torch.arange(start, start + len(maps))[:, None].expand_as(values)
        batch = (values, rows, spots)
        merged = batch if best is None else tuple(torch.cat(pair) for pair in zip(best, batch, strict=True))
        order = merged[0].argsort(dim=0, descending=True, stable=True)[:top]
        best = (merged[0].gather(0, order), merged[1].gather(0, order), merged[2].gather(0, order))
        seen += len(maps)
    assert best is not None, "there was at least one batch"
    values, rows, spots = (tensor.T.contiguous().numpy() for tensor in best)
    places = np.stack([spots // width, spots % width], 2) if width else None
    return TopActivation(layer, chain_modules(net), rows, values, places, seen)
