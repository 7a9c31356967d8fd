"""The small raw tree that the tests of the annotation change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sailvos.annotate.raw_tree import make_small


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make_small(tmp_path)
