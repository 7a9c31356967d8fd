"""What all tests of jobs need."""

from __future__ import annotations

import pytest

from tests.jobs.launched import POLL_SECONDS
from tests.server import REPOSITORY
from vatrack.jobs import wait


@pytest.fixture(autouse=True)
def _jobs_can_import_the_tests_and_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(wait, "POLL_SECONDS", POLL_SECONDS)
