"""Optimizers by name."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from playground.choices import OPTIMIZERS
from playground.config import TrainingConfig


class Muon(torch.optim.Muon):
    """torch's Muon for the kernels of convolutions too, each taken as a matrix (out_channels, the rest).

    torch's accepts matrices alone. Here it works on views of the same memory, so a step moves the real weights.
    """

    def __init__(self, weights: Iterable[nn.Parameter], momentum: float, weight_decay: float) -> None:
        self._weights = list(weights)
        views = [nn.Parameter(_as_matrix(w.detach())) for w in self._weights]
        for view, weight in zip(views, self._weights, strict=True):
            assert view.data_ptr() == weight.data_ptr(), "a view, not a copy"
        super().__init__(views, momentum=momentum, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # ty: ignore[incompatible-method-override]
        """Take a step along the weights' gradients, which must be there."""
        for view, weight in zip(self.param_groups[0]["params"], self._weights, strict=True):
            assert weight.grad is not None
            view.grad = _as_matrix(weight.grad)
        super().step()


def _as_matrix(weight: Tensor) -> Tensor:
    """Flatten kernels (out, in, h, w) to (out, h·w·in): the order in which channels_last keeps them in memory."""
    return weight if weight.ndim == 2 else weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def optimizers(net: nn.Module, config: TrainingConfig, fused: bool) -> list[torch.optim.Optimizer]:
    """Make the optimizer, in a list: there are two where the hidden layers have one of their own.

    Weight decay acts on kernels and matrices, not on biases and norms. The learning rate is set before each step.
    """
    entry = OPTIMIZERS[config.optimizer]
    options = entry.options(config)
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    unlike = [{"params": vectors, "weight_decay": 0.0}]  # biases and norms do not decay
    fusing = {"fused": fused} if entry.fused else {}
    if entry.for_hidden and len(matrices) > 2:
        # Muon is made for hidden layers: the first and the last layer do better under AdamW (Jordan et al., 2024).
        ends = {"params": [matrices[0], matrices[-1]], "weight_decay": config.weight_decay}
        hidden = entry.hidden_class(matrices[1:-1], weight_decay=config.weight_decay, **options)
        return [hidden, entry.optimizer_class([ends, *unlike], **fusing)]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, *unlike]
    return [entry.optimizer_class(groups, **({} if entry.for_hidden else options), **fusing)]


def pull_to_zero(weights: Sequence[Tensor], l1: float) -> None:
    """Add the gradient of l1·Σ|w|, which is l1·sign(w): the same pull on every weight, whatever its size."""
    signs = torch._foreach_sign([weight.detach() for weight in weights])
    torch._foreach_add_([weight.grad for weight in weights if weight.grad is not None], signs, alpha=l1)


def take_step(optimizers: Iterable[torch.optim.Optimizer], learning_rate: float) -> None:
    """Take one step along the gradients."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
