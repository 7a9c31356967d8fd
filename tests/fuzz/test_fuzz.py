"""A small part of what `make fuzz` does, in every run of the tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.fuzz.inputs import make_inputs
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

CASES = 15 * sum(target.weight for target in TARGETS)


def test_damaged_input_is_refused_or_read_right(tmp_path: Path) -> None:
    make_inputs(tmp_path)
    verdicts = list(fuzz(CASES, 1, tmp_path))
    faults = [verdict for verdict in verdicts if verdict.fault]
    assert not faults
    refused = Counter(verdict.target for verdict in verdicts if verdict.outcome == "refused")
    wanted = {target.name for target in TARGETS if not target.recovers}
    assert refused.keys() >= wanted, "each was damaged to some purpose"
    assert len(verdicts) == CASES
