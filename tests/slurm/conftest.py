from __future__ import annotations

import subprocess
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
def staged(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """What comes before the training, to be copied."""
    pipeline = Pipeline(tmp_path_factory.mktemp("staged") / "work", EPOCHS)
    pipeline.make_data()
    return pipeline


@pytest.fixture(scope="package")
def two_started(
    staged: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Pipeline, subprocess.Popen[str]]]:
    """Two workflows on one cluster at the same time, from the converted data to the tables."""
    two = [Pipeline(tmp_path_factory.mktemp(name) / "work", EPOCHS) for name in ("first", "second")]
    for pipeline in two:
        pipeline.copy_data(staged)
    return [(pipeline, pipeline.start()) for pipeline in two]


@pytest.fixture(scope="package")
def two_at_once(two_started: list[tuple[Pipeline, subprocess.Popen[str]]]) -> list[Pipeline]:
    """These two when they have ended."""
    for pipeline, call in two_started:
        pipeline.finish(call)
    return [pipeline for pipeline, _ in two_started]


@pytest.fixture(scope="package")
def undisturbed(two_at_once: list[Pipeline]) -> Pipeline:
    """A run that nothing happened to."""
    return two_at_once[0]
