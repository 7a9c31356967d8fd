"""Score files with values that no measurement gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from vatrack.sailvos.cuts import read_scores


@pytest.mark.parametrize("score", ["NaN", "1e999", "-1e-9", "256", "true", "null", '"1"', "[1]"])
def test_scores_that_are_no_measurement(tmp_path: Path, score: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"video": "a", "frames": 3, "scores": [1.5, {score}]}}')
    with pytest.raises(InputError, match=r"a\.json: "):
        read_scores(path, "a", 3)
    path.write_text('{"video": "a", "frames": 3, "scores": [0, 255]}')
    assert read_scores(path, "a", 3) == [0, 255]
