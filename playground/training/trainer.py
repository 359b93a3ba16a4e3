"""A network, its data and its optimizer, and the steps that the loop takes them through."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from playground.choices import LOSSES, OPTIMIZERS, SCHEDULES
from playground.config import LIVE_KNOBS, RunConfig, flatten, from_flat
from playground.data.augment import augment_pairs, normalise
from playground.data.splits import split
from playground.data.store import Arrays
from playground.errors import PlaygroundError
from playground.events import Diverged, Epoch, Scores, Snapshot
from playground.models import build
from playground.tasks import TASKS, Judged
from playground.training.device import choose_device, uses_bfloat16
from playground.training.losses import image_counts, loss_function, median_frequency, share
from playground.training.meters import Stopwatch
from playground.training.optim import optimizers, pull_to_zero, take_step
from playground.training.reports import Reports

REPORTS = 500
"""About how many Progress rows a run writes, when its epochs are not more."""
EVALUATION_BATCH = 128
"""Images evaluated at once, fewer where they are large."""
EVALUATION_PIXELS = 524_288
"""Pixels of the images evaluated at once, at most."""
FULL_BATCH_CHUNK = 512
"""Gradient descent goes over all images in pieces of this size and adds their gradients up, each by its part of what
the loss averages over. That is the gradient over all images at once, but for three things that look at a piece as a
whole: Dice is the mean of that of the pieces, batch normalisation centres and scales each piece by itself, and pixels
that an augmentation moves out of the image still count for their piece's part."""


class ResumeError(PlaygroundError, ValueError):
    """A saved state that does not belong to this config; the message is one line."""


def split_rows(config: RunConfig, data: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training images that are learned from, and of those held back."""
    return split(TASKS[data.info.task].strata(data.train_targets), config.data)


def class_weights(config: RunConfig, data: Arrays) -> Tensor | None:
    """Return what each class counts in the loss, (num_classes,) float32; None where all count the same."""
    if not config.training.class_weights:
        return None
    learned_from = data.train_targets[split_rows(config, data)[0]]
    return torch.from_numpy(median_frequency(learned_from, data.info.num_classes))


class Trainer:
    """A network, its data and its optimizer, with the steps that `fit` takes them through."""

    def __init__(self, config: RunConfig, data: Arrays) -> None:
        self.config, self.data = config, data
        training = config.training
        self.device = choose_device(training.device)
        self.bfloat16 = uses_bfloat16(training, self.device)
        self.task = TASKS[data.info.task]
        torch.manual_seed(training.seed)
        net = build(config.model, data.info.shape, data.info.num_classes, data.info.task)
        self.net = net.to(self.device).to(memory_format=torch.channels_last)
        self.optimizers = optimizers(self.net, training, fused=self.device.type in ("cpu", "cuda", "mps"))
        self.parameters = list(self.net.parameters())

        train_rows, val_rows = split_rows(config, data)
        weights = class_weights(config, data)
        self.loss = loss_function(training, None if weights is None else weights.to(self.device))
        images = torch.from_numpy(data.train_images)
        targets = torch.from_numpy(data.train_targets)
        if self.device.type != "cpu":
            images, targets = images.to(self.device), targets.to(self.device)
        self.images, self.targets = images, targets
        self.train_rows, self.val_rows = torch.from_numpy(train_rows), torch.from_numpy(val_rows)
        self.test_images = torch.from_numpy(data.test_images).to(self.device)
        self.test_targets = torch.from_numpy(data.test_targets).to(self.device)

        self.full_batch = OPTIMIZERS[training.optimizer].full_batch
        self.batch_size = min(FULL_BATCH_CHUNK if self.full_batch else training.batch_size, len(train_rows))
        self.batches_per_epoch = -(-len(train_rows) // self.batch_size)
        self.steps_per_epoch = 1 if self.full_batch else self.batches_per_epoch
        self.counts = self._counts(weights) if self.full_batch else None
        self.total_steps = self.steps_per_epoch * training.epochs
        self.reports = Reports(min(max(1, self.total_steps // REPORTS), self.steps_per_epoch))
        self.epoch = self.step = self.batch = 0
        self.random = torch.Generator()
        self.clock = Stopwatch()

    def _counts(self, class_weights: Tensor | None) -> Tensor | None:
        """Return what each training image counts in the loss, (N,) float32; None where all count the same."""
        training = self.config.training
        may_count_less = self.task.target == "mask" or training.class_weights
        if not (LOSSES[training.loss].averages and may_count_less):
            return None
        return image_counts(self.targets, training, class_weights)

    # One epoch

    def order(self) -> Tensor:
        """Return this epoch's order of images; at its first batch, start its random numbers."""
        seeds = np.random.SeedSequence((self.config.training.seed, self.epoch)).generate_state(3).tolist()
        if self.batch == 0:
            torch.manual_seed(seeds[0])
            self.random.manual_seed(seeds[1])
            self.buffers = {f"model.{name}": buffer.clone() for name, buffer in self.net.named_buffers()}
        shuffled = torch.randperm(len(self.train_rows), generator=torch.Generator().manual_seed(seeds[2]))
        return self.train_rows[shuffled]

    def take_batch(self, order: Tensor) -> bool:
        """Add the gradient of the next batch of an epoch's order; return whether the gradient of a step is whole."""
        rows = order[self.batch * self.batch_size :][: self.batch_size]
        share = self.share(rows, order)
        loss, hits = self.gradient(rows, share)
        if self.full_batch:
            loss = loss * (share * len(order) / len(rows))  # the mean over the images is then the loss over all
        self.batch += 1
        self.reports.add(self.step + 1, loss, hits, len(rows))
        return not self.full_batch or self.batch == self.batches_per_epoch

    def prepare(self, images: Tensor) -> Tensor:
        """Normalise uint8 images (N, C, H, W) with the data set's own mean and deviation."""
        return normalise(images, self.data.info.mean, self.data.info.std)

    def share(self, rows: Tensor, order: Tensor) -> float:
        """Return the part of a step's gradient that is a batch's: all, or of full-batch descent what its images count.

        Args:
            rows: the batch; order: all rows of the epoch.
        """
        return share(rows, order, self.counts) if self.full_batch else 1.0

    def gradient(self, rows: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Add `share` of one batch's gradient; return its mean loss and its number of hits, on the device."""
        rows = rows.to(self.device)
        images, targets = self.images.index_select(0, rows), self.targets.index_select(0, rows)
        masks = targets if self.task.target == "mask" else None
        images, masks = augment_pairs(images, masks, self.config.data, self.random)
        targets = targets if masks is None else masks.long()
        images = self.prepare(images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits = self.net(images).float()
        loss = self.loss(logits, targets)
        (loss * share if share != 1 else loss).backward()
        return loss.detach(), self.task.count_correct(logits.detach(), targets)

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        training = self.config.training
        return training.learning_rate * SCHEDULES[training.schedule].factor(self.step / self.total_steps)

    def update(self) -> None:
        """Take one optimizer step along the gradient, then clear it."""
        if self.config.training.l1:
            pull_to_zero([p for p in self.parameters if p.ndim > 1], self.config.training.l1)
        take_step(self.optimizers, self.learning_rate())
        for parameter in self.parameters:
            parameter.grad = None
        self.step += 1

    # Figures

    def norm(self, tensors: list[Tensor]) -> float:
        """Return the Euclidean norm over all numbers of all tensors."""
        return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)).double()))

    @torch.inference_mode()
    def evaluate(self, images: Tensor, targets: Tensor) -> Judged:
        """Return scores, the confusion matrix and the predictions to keep of a split."""
        self.net.eval()
        found = self.task.evaluate(self._outputs(images, targets), self.loss)
        self.net.train()
        return found

    def _outputs(self, images: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield logits and targets, a batch at a time."""
        size = max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // (images.shape[2] * images.shape[3])))
        for some, wanted in zip(images.split(size), targets.split(size), strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                logits = self.net(self.prepare(some)).float()
            yield logits, wanted

    def end_epoch(self, train: Scores | None) -> Epoch | Diverged:
        """Judge the network as it is now on the validation and test images."""
        # The running averages of batch normalisation can leave all bounds while the weights are still finite.
        if not all(bool(torch.isfinite(tensor).all()) for tensor in self.net.state_dict().values()):
            return Diverged(float(self.epoch), self.step, "a weight is no longer a finite number")
        val = val_probs = None
        if len(self.val_rows):
            rows = self.val_rows.to(self.device)
            val, _, val_probs = self.evaluate(self.images[rows], self.targets[rows])
        test, confusion, probs = self.evaluate(self.test_images, self.test_targets)
        if not np.isfinite(test.loss):
            return Diverged(float(self.epoch), self.step, "the loss on the test images is no longer a finite number")
        seconds, counts, state = self.clock(), confusion.tolist(), self.snapshot()
        return Epoch(self.epoch, self.step, seconds, test, counts, probs, state, val_probs, train=train, val=val)

    def start_epoch(self, epoch: int) -> None:
        """Stand before the first batch of an epoch."""
        self.epoch, self.batch = epoch, 0

    # The exact state

    def snapshot(self) -> Snapshot:
        """Copy the exact state."""
        tensors = {f"model.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for o, optimizer in enumerate(self.optimizers):
            for p, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{o}.{p}.{key}": value for key, value in state.items()}
        tensors |= {"rng.torch": torch.get_rng_state(), "rng.augment": self.random.get_state()}
        if self.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.device)
        within = self.batch
        if self.full_batch and 0 < self.batch < self.batches_per_epoch:
            # Full-batch descent takes an epoch for one step; before it there is nothing to go back to but the epoch's
            # start, from which the running averages of batch normalisation alone have moved on.
            within = 0
            tensors |= self.buffers
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "batch": within,
            "seconds": self.clock(),
            **self.reports.to_facts(bool(within)),
            "changed": {k: v for k, v in flatten(self.config).items() if k in LIVE_KNOBS},
        }
        arrays = {name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in tensors.items()}
        return Snapshot(self.epoch, self.step, arrays, facts)

    def restore(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Go back to a snapshot.

        Raises:
            ResumeError: it is not of a network with this config.
        """
        found = {name: torch.from_numpy(array) for name, array in tensors.items()}
        try:
            self.net.load_state_dict({k.removeprefix("model."): v for k, v in found.items() if k.startswith("model.")})
            for o, optimizer in enumerate(self.optimizers):
                self._restore_optimizer(optimizer, f"optimizer.{o}.", found)
            torch.set_rng_state(found["rng.torch"])
            self.random.set_state(found["rng.augment"])
            if self.device.type == "cuda" and "rng.cuda" in found:
                torch.cuda.set_rng_state(found["rng.cuda"], self.device)
            self.epoch, self.step, self.batch = (int(facts[key]) for key in ("epoch", "step", "batch"))
            self.clock = Stopwatch(float(facts["seconds"]))
            for knob, value in facts["changed"].items():
                self.change(knob, value)
            self.reports.restore(facts)
        except (LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ResumeError(f"the saved state does not fit this run's knobs ({reason[:120]})") from None

    def _restore_optimizer(self, optimizer: torch.optim.Optimizer, prefix: str, found: Mapping[str, Tensor]) -> None:
        # Not load_state_dict: it would lose the memory layout, on which fused steps depend.
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for name, value in found.items():
            if name.startswith(prefix):
                index, key = name.removeprefix(prefix).split(".")
                parameter = parameters[int(index)]
                if value.shape == parameter.shape:
                    value = torch.empty_like(parameter).copy_(value)
                else:
                    value = value.clone().to(parameter.device)
                optimizer.state[parameter][key] = value.detach()

    def change(self, knob: str, value: Any) -> tuple[float, float]:
        """Give a live knob a new value; return the old one and the new one.

        Raises:
            ConfigError: the knob does not take that value.
        """
        old = flatten(self.config)[knob]
        self.config = from_flat({knob: value}, base=self.config)
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):
                module.p = self.config.model.dropout
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if any(p.ndim > 1 for p in group["params"]):
                    group["weight_decay"] = self.config.training.weight_decay
        return old, flatten(self.config)[knob]
