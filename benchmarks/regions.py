"""How much faster one fully convolutional pass labels an image than window by window.

    python -m benchmarks.regions [--rounds 7] [--stride 4] [--side 256]

Three networks with random weights (how fast a network is does not depend on them): the article's without padding, whose
results are compared; the article's as it is, with padding; and the bundled demo's. The last two are not equal in one
pass, so there a person chooses. Both ways run in turn, on one thread as in the server, in float32. CPU time is what is
counted: with others on the machine the wall clock would flatter the shorter of the two, which is interrupted less.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from playground.config import ModelConfig
from playground.inference.sliding_window import check_convertibility, compute_dense_logits, compute_window_logits
from playground.models.cnn import CNN

SIZE = 32
NETWORKS = {
    "the article's, padding 0": ModelConfig(padding="0"),
    "the article's": ModelConfig(),
    "the demo's": ModelConfig(channels=(24, 48, 96), convs_per_block=2, norm="batch", fc_width=0),
}


def seconds(
    compute: Callable[[CNN, Tensor, int, int], Tensor], net: CNN, images: Tensor, stride: int
) -> tuple[float, Tensor]:
    began = time.process_time()
    logits = compute(net, images, SIZE, stride)
    return time.process_time() - began, logits


def measure(model: ModelConfig, rounds: int, stride: int, side: int) -> tuple[list[float], list[float], float, CNN]:
    """Return the seconds of each way, round by round, the largest difference of the logits, and the network."""
    torch.manual_seed(0)
    net = CNN(model, (3, SIZE, SIZE), 10).eval().to(memory_format=torch.channels_last)
    images = torch.randn(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    one, many, difference = [], [], 0.0
    for turn in range(rounds + 1):
        fast, dense = seconds(compute_dense_logits, net, images, stride)
        slow, windows = seconds(compute_window_logits, net, images, stride)
        difference = max(difference, float((dense - windows).abs().max()))
        if turn:  # the first is for warming up
            one.append(fast)
            many.append(slow)
    return one, many, difference, net


def main() -> None:
    """Measure the networks and print each one's ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = ((options.side - SIZE) // options.stride + 1) ** 2
    print(f"{count:,} windows of {SIZE} × {SIZE} at stride {options.stride} on {options.side} × {options.side}")
    for name, model in NETWORKS.items():
        with torch.inference_mode():
            one, many, difference, net = measure(model, options.rounds, options.stride, options.side)
        ratios = np.array(many) / np.array(one)
        equal = (
            f"equal to {difference:.0e}"
            if check_convertibility(net).exact
            else f"not equal (up to {difference:.2f} in the logits)"
        )
        print(
            f"{name:25} one pass {1000 * median(one):6.1f} ms, windows {1000 * median(many):7.1f} ms: "
            f"{median(ratios):5.1f} times as fast, from {ratios.min():.1f} to {ratios.max():.1f}; {equal}"
        )


if __name__ == "__main__":
    main()
