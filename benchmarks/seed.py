"""The article's CIFAR-10 program, its three defects mended: what ours is measured against.

Three blocks of convolution (16, 32, 64 kernels, 3x3, padding 1), ReLU and 2x2 max-pooling, then 128 fully connected
units; SGD with learning rate 0.001 and momentum 0.9, cross-entropy, batches of 4 from a `DataLoader` with two workers,
10 epochs. Mended: the first fully connected layer takes the 64·4·4 numbers that there are (not 64*5*5),
`torch.nn.functional` is imported, and the test loss is divided by the number of images once.

    python -m benchmarks.seed --data FOLDER               # as the article trains
    python -m benchmarks.seed --data FOLDER --steps 500   # no training to the end: only images per second

FOLDER is one that `torchvision.datasets.CIFAR10` reads, or one with sheets (see `scripts/make_cifar10_mini.py`); from
either the images reach the loader as torchvision's data set gives them: one Pillow image at a time.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10, VisionDataset

from scripts.make_cifar10_mini import read_sheets

BATCH_SIZE = 4
WORKERS = 2
EPOCHS = 10


class Net(nn.Module):
    """The article's network; images (N, 3, 32, 32) in, logits (N, 10) out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(64 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = self.pool(F.relu(self.conv3(x)))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


@dataclass(frozen=True)
class Result:
    """After one epoch: the test set's figures, and the seconds since the start, all epochs together.

    Attributes:
        accuracy: fraction of the test images that were right.
        training_seconds: spent in training, the evaluations left out.
        seconds: with the evaluations.
    """

    epoch: int
    loss: float
    accuracy: float
    training_seconds: float
    seconds: float


class SheetCIFAR10(CIFAR10):
    """torchvision's data set, its images read from sheets."""

    def __init__(self, folder: Path, train: bool, transform: Callable) -> None:
        VisionDataset.__init__(self, folder, transform=transform)
        self.data, targets = read_sheets(folder)["train" if train else "test"]
        self.targets = targets.tolist()


def datasets(folder: Path) -> tuple[CIFAR10, CIFAR10]:
    """Return the training and the test set with the article's transforms."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
    reader = SheetCIFAR10 if (folder / "labels.json").is_file() else CIFAR10
    return reader(folder, train=True, transform=transform), reader(folder, train=False, transform=transform)


def evaluate(net: nn.Module, test: DataLoader) -> tuple[float, float]:
    """Return the mean loss and the accuracy over the test set."""
    net.eval()
    loss, correct, count = 0.0, 0, 0
    with torch.no_grad():
        for images, targets in test:
            logits = net(images)
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += int((logits.argmax(1) == targets).sum())
            count += len(targets)
    return loss / count, correct / count


def train(train_set: CIFAR10, test_set: CIFAR10, epochs: int = EPOCHS, seed: int = 0) -> Iterator[Result]:
    """Train as the article does and yield the figures after each epoch."""
    torch.manual_seed(seed)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    train_loader = DataLoader(train_set, batch_size=BATCH_SIZE, shuffle=True, num_workers=WORKERS)
    test_loader = DataLoader(test_set, batch_size=BATCH_SIZE, shuffle=False, num_workers=WORKERS)
    training_seconds = seconds = 0.0  # what the caller does between two epochs does not count
    for epoch in range(1, epochs + 1):
        epoch_start = time.perf_counter()
        net.train()
        for images, targets in train_loader:
            step(net, optimizer, images, targets)
        training_seconds += time.perf_counter() - epoch_start
        loss, accuracy = evaluate(net, test_loader)
        seconds += time.perf_counter() - epoch_start
        yield Result(epoch, loss, accuracy, training_seconds, seconds)


def step(net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Tensor) -> None:
    """Learn from one batch."""
    optimizer.zero_grad()
    F.cross_entropy(net(images), targets).backward()
    optimizer.step()


def images_per_second(train_set: CIFAR10, steps: int) -> float:
    """Return the speed over `steps` batches, the start of the workers and the first 20 batches left out."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    loader = DataLoader(train_set, batch_size=BATCH_SIZE, shuffle=True, num_workers=WORKERS)
    batches = iter(loader)
    for _ in range(20):
        step(net, optimizer, *next(batches))
    start = time.perf_counter()
    for _ in range(steps):
        step(net, optimizer, *next(batches))
    return steps * BATCH_SIZE / (time.perf_counter() - start)


def main() -> None:
    """Train as the article does, or measure the speed only."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="where CIFAR-10 is")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="only measure the speed over this many batches")
    arguments = parser.parse_args()
    train_set, test_set = datasets(arguments.data)
    if arguments.steps:
        print(f"{images_per_second(train_set, arguments.steps):,.0f} images/s")
        return
    for result in train(train_set, test_set, arguments.epochs, arguments.seed):
        print(
            f"epoch {result.epoch:2}  test loss {result.loss:.3f}  test accuracy {result.accuracy:.1%}  "
            f"{result.training_seconds:.0f} s training, {result.seconds:.0f} s with evaluation",
            flush=True,
        )


if __name__ == "__main__":
    main()
