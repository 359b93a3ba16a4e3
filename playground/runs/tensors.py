"""The large files of a run, all safetensors: weights and predictions of its epochs, and the state to resume from."""

import contextlib
import json
import os
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from playground.config import RunConfig
from playground.data.catalog import DatasetInfo
from playground.runs.about import About
from playground.runs.files import RunError, write_atomic
from playground.runs.status import Status

KEPT_EPOCHS = 64
"""A run keeps at most about this many checkpoints; past that every other one goes, evenly over the run."""


class TensorFiles:
    """What `RunFolder` knows of its large files."""

    id: str
    path: Path
    config: RunConfig

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def about(self) -> About: ...

    @property
    @abstractmethod
    def dataset(self) -> DatasetInfo: ...

    @abstractmethod
    def status(self) -> Status: ...

    def _tensors(self, kind: str, epoch: int) -> Path:
        return self.path / kind / f"epoch-{epoch:04d}.safetensors"

    def _epochs(self, kind: str) -> list[int]:
        try:
            names = os.listdir(self.path / kind)
        except OSError:
            return []
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(r"epoch-(\d{4})\.safetensors", name)))

    def epochs(self) -> list[int]:
        """Epochs whose weights are kept, in order."""
        return self._epochs("checkpoints")

    def predicted_epochs(self) -> list[int]:
        """Epochs whose test-set probabilities are kept, in order."""
        return self._epochs("predictions")

    def checkpoint(self, epoch: int) -> Path:
        """The file of weights after an epoch, whether it is there or not."""
        return self._tensors("checkpoints", epoch)

    def prediction_file(self, epoch: int) -> Path:
        """The file of what was predicted for the test images after an epoch, whether it is there or not."""
        return self._tensors("predictions", epoch)

    def weights(self, epoch: int) -> dict[str, np.ndarray]:
        """Read the weights after an epoch, as float32.

        Raises:
            RunError: there are none, or the file is damaged.
        """
        return {name: array.astype(np.float32) for name, array in self._load(self.checkpoint(epoch)).items()}

    def predictions(self, epoch: int) -> np.ndarray:
        """Read the test set's probabilities after an epoch: (N, num_classes) float32, rows in the test set's order.

        Raises:
            RunError: there are none, or the file is damaged.
        """
        return self._probs("probs", epoch)

    def masks(self, epoch: int) -> np.ndarray:
        """Read what was predicted for the first test images after an epoch: (n, H, W) uint8, a class for each pixel.

        Raises:
            RunError: there are none, or the file is damaged.
        """
        tensors = self._load(self._tensors("predictions", epoch))
        if "masks" not in tensors or tensors["masks"].ndim != 3 or tensors["masks"].dtype != np.uint8:
            raise RunError(f"run {self.id}: epoch {epoch} has no masks; the run gives one label an image")
        if tensors["masks"].max(initial=0) >= self._classes(256):
            raise RunError(f"run {self.id}: the masks of epoch {epoch} hold a class that is not there")
        if not self._are_test_masks(tensors["masks"]):
            raise RunError(f"run {self.id}: the masks of epoch {epoch} do not fit the test images of its data set")
        return tensors["masks"]

    def _are_test_masks(self, masks: np.ndarray) -> bool:
        """Say whether there are masks, of the size and no more than there are test images, as far as that is known."""
        with contextlib.suppress(ValueError):
            return 0 < len(masks) <= self.dataset.test_count and masks.shape[1:] == self.dataset.shape[1:]
        return len(masks) > 0

    def validation_predictions(self, epoch: int) -> np.ndarray:
        """Read the held-back fold's probabilities after an epoch: (N, num_classes) float32, in the order of its rows.

        Raises:
            RunError: the run has no folds, there are none, or the file is damaged.
        """
        if not self.config.data.folds:
            raise RunError(f"run {self.id} has no folds; the predictions of a validation share are not kept")
        return self._probs("val_probs", epoch)

    def _probs(self, name: str, epoch: int) -> np.ndarray:
        tensors = self._load(self._tensors("predictions", epoch))
        if "masks" in tensors:
            raise RunError(f"{self.name} labels pixels, and keeps masks in place of probabilities")
        probs = tensors.get(name, np.empty(0)).astype(np.float32)
        fits = probs.ndim == 2 and probs.shape[1] == self._classes(probs.shape[1] or 1)
        if not fits or not ((probs >= 0) & (probs <= 1)).all():
            raise RunError(f"run {self.id}: the predictions of epoch {epoch} are damaged")
        return probs

    def _classes(self, otherwise: int) -> int:
        """Return how many classes the run's data set has; `otherwise`, where nobody here knows it."""
        with contextlib.suppress(ValueError):
            return self.dataset.num_classes
        return otherwise

    @property
    def predictions_dataset(self) -> str:
        """The data set whose test images the predictions are of: the run's own, or for the demo the bundled part."""
        return self.about.predictions_dataset or self.config.data.dataset

    def _load(self, path: Path) -> dict[str, np.ndarray]:
        where = f"{path.parent.name}/{path.name}"
        try:
            return load_tensors(path.read_bytes())
        except FileNotFoundError:
            raise RunError(f"run {self.id} has no {where}; it keeps epochs {_ranges(self.epochs())}") from None
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise RunError(
                f"run {self.id}: {where} is damaged ({type(error).__name__}); choose another epoch"
            ) from None

    def save_epoch(
        self, epoch: int, weights: Mapping[str, np.ndarray], probs: np.ndarray, val_probs: np.ndarray | None = None
    ) -> None:
        """Keep an epoch's weights and the test set's (and the fold's) probabilities, and thin out what is kept."""
        predictions = {"masks" if probs.dtype == np.uint8 else "probs": probs} | (
            {} if val_probs is None else {"val_probs": val_probs}
        )
        for kind, tensors in (("checkpoints", dict(weights)), ("predictions", predictions)):
            (self.path / kind).mkdir(exist_ok=True)
            write_atomic(self._tensors(kind, epoch), save_tensors(tensors))
        self._thin()

    def _thin(self) -> None:
        """Halve the kept epochs when there are too many; the first, the best and the latest stay."""
        kept = self.epochs()
        if len(kept) <= KEPT_EPOCHS:
            return
        for epoch in choose_dropped(kept, self.status().best_epoch):
            self._tensors("checkpoints", epoch).unlink(missing_ok=True)
            self._tensors("predictions", epoch).unlink(missing_ok=True)

    def save_resume(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Keep the exact state to resume from."""
        # Not ascontiguousarray, which gives a number without dimensions one.
        content = save_tensors({k: np.asarray(v, order="C") for k, v in tensors.items()}, {"facts": json.dumps(facts)})
        write_atomic(self.path / "resume.safetensors", content)

    def load_resume(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Read the exact state to resume from, as (tensors, facts); None when the run never got that far.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / "resume.safetensors"
        if not path.exists():
            return None
        try:
            content = path.read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return load_tensors(content), json.loads(header["__metadata__"]["facts"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"run {self.id}: resume.safetensors is damaged ({type(error).__name__})") from None

    def drop_resume(self) -> None:
        """Forget the state to resume from: the run is finished."""
        (self.path / "resume.safetensors").unlink(missing_ok=True)


def choose_dropped(kept: list[int], best: int | None) -> list[int]:
    """Return the epochs of which a run lets go: evenly over it, save the first, the best and the latest."""
    gap = 2
    while len([e for e in kept if e % gap == 0]) > KEPT_EPOCHS // 2:
        gap *= 2
    return [epoch for epoch in kept if epoch % gap and epoch not in (kept[0], kept[-1], best)]


def _ranges(numbers: list[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "none yet"
