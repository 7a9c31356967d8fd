from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parity import networks


@pytest.fixture(scope="package", autouse=True)
def _golden_weights_are_dropped() -> Iterator[None]:
    """Those of all networks together are almost a gigabyte."""
    yield
    networks.entry.cache_clear()
