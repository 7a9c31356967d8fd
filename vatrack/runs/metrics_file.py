"""Files of metrics, such as metrics.json: names and numbers."""

from __future__ import annotations

from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json

LARGEST = 1e300  # of a number in a file of metrics


def read_metrics(path: Path, fix: str) -> dict[str, float | None]:
    """The values of a file of metrics by their names; None: undefined.

    Args:
        fix: what to do about a bad file, for messages.

    Raises:
        InputError: the file is missing, or holds something else.
    """
    metrics = read_json(path)
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: not a JSON object of metrics; {fix}")
    for name, value in metrics.items():
        if value is not None and not is_number(value):
            raise InputError(f"{path}: {name} is neither a finite number nor null; {fix}")
    return metrics


def is_number(value: object) -> bool:
    """Whether it is a number as a file of metrics may hold it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
