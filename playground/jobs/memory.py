"""How a worker's C library hands out memory."""

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt(3)."""


def keep_freed_memory() -> None:
    """Keep what has been freed for what is asked for next, instead of giving it back to the system each time.

    A training step frees and asks for the same large tensors again and again. By default glibc gives each of them back
    at once, and the system clears every page anew when it is touched: a quarter of a step on 240 × 180 images. The
    process stays as large as it was at its largest. Where there is another C library than glibc, nothing happens.
    """
    with contextlib.suppress(TypeError, OSError, AttributeError):  # no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
