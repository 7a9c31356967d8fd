"""Score thresholds that users give."""

from __future__ import annotations

from vatrack.common.arguments import check_number
from vatrack.common.errors import InputError


def check_score(score: float) -> None:
    """Raises InputError where a score threshold is no number between 0 and 1."""
    check_number("the score threshold", score)
    if not 0 <= score <= 1:
        raise InputError(f"the score threshold is {score}; it must be from 0 to 1")
