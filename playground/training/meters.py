"""What counts time and figures while a network trains."""

import time
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


class Stopwatch:
    """Counts the seconds of work; `paused` leaves out what the reader of the events does."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._since = time.perf_counter()

    def __call__(self) -> float:
        return self._seconds + time.perf_counter() - self._since

    @contextmanager
    def paused(self) -> Generator[None]:
        self._seconds = self()
        try:
            yield
        finally:
            self._since = time.perf_counter()


class Meter:
    """Adds up losses and hits on the device; reading it waits for the device, so it is read at reports only.

    Args:
        before: what an earlier one had read, to go on from.
    """

    def __init__(self, before: np.ndarray | None = None) -> None:
        self.before = np.zeros(3) if before is None else before
        self.losses: list[Tensor] = []
        self.hits: list[Tensor] = []
        self.images: list[int] = []
        self.steps: list[int] = []

    def add(self, step: int, loss: Tensor, hits: Tensor, images: int) -> None:
        self.losses.append(loss)
        self.hits.append(hits)
        self.images.append(images)
        self.steps.append(step)

    def read(self) -> tuple[np.ndarray, int | None]:
        """Return [sum of losses over images, hits, images] and the first step whose loss is not finite."""
        if not self.images:
            return self.before, None
        losses = torch.stack(self.losses).double().cpu().numpy()
        sums = np.array([losses @ np.array(self.images), float(torch.stack(self.hits).sum()), sum(self.images)])
        bad = np.flatnonzero(~np.isfinite(losses))
        return self.before + sums, self.steps[bad[0]] if bad.size else None
