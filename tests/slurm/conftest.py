from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, only_one, reason_to_skip


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM that runs for all tests of this folder."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    with only_one():
        running = Cluster(tmp_path_factory.mktemp("slurm"))
        try:
            running.start()
            yield running
        finally:
            running.stop()
