"""How the C library gives out memory for large tensors.

By default glibc maps every large tensor anew and gives it back at once, so the kernel zeroes the
same pages again and again: a tenth of the processor time of a training on a CPU. Kept, they are
used again. Results do not change by a bit; about a tenth more memory stays with the process.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Numbers of mallopt(3) in <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
GIBIBYTE = 1 << 30
SETTINGS = {
    M_MMAP_THRESHOLD: GIBIBYTE,  # only larger ones are mapped
    M_TRIM_THRESHOLD: 2 * GIBIBYTE - 1,  # free memory that stays: as much as there may be
    M_TOP_PAD: GIBIBYTE // 16,  # the heap grows by that much more than is asked for
}


def keep_memory() -> bool:
    """Lets this process keep the memory of freed tensors; says whether it could.

    Nothing is done without glibc, nor where the environment sets an option of malloc (`MALLOC_...`,
    `GLIBC_TUNABLES`) or puts another allocator in its place (`LD_PRELOAD`).
    """
    if platform.libc_ver()[0] != "glibc" or _chosen_by_the_user():
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(option, value) for option, value in SETTINGS.items())


def _chosen_by_the_user() -> bool:
    return (
        any(name.startswith("MALLOC_") for name in os.environ)
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
        or "malloc" in os.environ.get("LD_PRELOAD", "")
    )
