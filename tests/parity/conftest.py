from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

import pytest

from tests.parity import networks
from vatrack.common.allocator import keep_memory


@pytest.fixture(scope="package", autouse=True)
def _golden_weights_are_dropped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those of all networks together are almost a gigabyte; the processes of `pytest -n` share
    them in a folder. Memory is kept meanwhile: the kernel would clear the same pages for every
    large tensor, a sixth of the time of a step."""
    kept = keep_memory()
    if "PYTEST_XDIST_WORKER" in os.environ:
        networks.drawn.append(tmp_path_factory.getbasetemp().parent / "golden_weights")
        networks.drawn[0].mkdir(exist_ok=True)
    yield
    networks.drawn.clear()
    networks.entry.cache_clear()
    if kept:
        ctypes.CDLL(None).malloc_trim(0)  # some gigabytes, which other tests need
