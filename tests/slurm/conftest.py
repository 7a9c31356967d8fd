from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, only_one, reason_to_skip
from tests.slurm.pipeline import EPOCHS, Pipeline


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


@pytest.fixture(scope="package")
def two_at_once(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Pipeline, Pipeline]:
    """Two workflows on one cluster at the same time, from the converted data to the tables."""
    first, second = (
        Pipeline(tmp_path_factory.mktemp(name) / "work", EPOCHS) for name in ("first", "second")
    )
    first.make_data()
    second.copy_data(first)
    calls = first.start(), second.start()
    first.finish(calls[0])
    second.finish(calls[1])
    return first, second


@pytest.fixture(scope="package")
def undisturbed(two_at_once: tuple[Pipeline, Pipeline]) -> Pipeline:
    """A run that nothing happened to."""
    return two_at_once[0]
