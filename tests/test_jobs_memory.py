"""A worker's memory: what is freed is used again, and not fetched anew from the system."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from playground.jobs.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(2**23)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
keep_freed_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
def test_pages_are_touched_for_the_first_time_only_once():
    made = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, timeout=60)
    given_back, kept = map(int, made.stdout.split())
    assert kept < 50 < given_back  # 32 MB are 8,192 pages, or 16 large ones
