"""How PyTorch's threads on a CPU wait for each other."""

from __future__ import annotations

import os

SPINS = 3000  # looks at the other thread, some 0.1 ms


def share_cores() -> None:
    """Lets waiting threads sleep soon, where the environment does not say how they should wait.

    GNU's OpenMP, which PyTorch uses, by default waits for milliseconds in a loop that keeps the
    core busy. Where another process needs it, the thread that is waited for does not get on either:
    beside busy processes, a training step takes several times as long as with this limit, which
    alone on the machine costs little (measured by `benchmarks.busy`: docs/performance.md).

    To be called before torch is imported; processes that are started later have it, too. Results
    are the same.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
