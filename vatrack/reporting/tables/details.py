"""Reads a run's details.json: its figures by class and by video, from `vatrack evaluate
--details`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json

MEND = "make it with `vatrack evaluate --details`"
TOLERANCE = 1e-6  # percentage points

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Details:
    """Figures by evaluation ("image/amodal", ..., "track/visible"), then name of the class or
    video, then figure."""

    per_class: Mapping[str, Mapping[str, Figures]]
    per_video: Mapping[str, Mapping[str, Figures]]


def read_details(path: Path, metrics: Figures, source: Path) -> Details:
    """Reads a run's details.

    Args:
        path: {"per_class": {evaluation: {class: figures}}, "per_video": {video: {evaluation:
            figures}}}.
        metrics: the flat metrics of the same run, and `source`, their file.

    Raises:
        InputError: the file has another form, or is of another evaluation: AP50 is not the mean
            over its classes.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), dict) for key in ("per_class", "per_video")
    ):
        raise InputError(f"{path}: must be an object with 'per_class' and 'per_video'; {MEND}")
    by_video: dict[str, dict[str, Figures]] = {}
    for video, evaluations in _object(document["per_video"], "per_video", path).items():
        for evaluation, figures in _object(evaluations, f"per_video/{video}", path).items():
            by_video.setdefault(evaluation, {})[video] = _figures(
                figures, f"per_video/{video}/{evaluation}", path
            )
    by_class = {
        evaluation: {
            name: _figures(figures, f"per_class/{evaluation}/{name}", path)
            for name, figures in _object(classes, f"per_class/{evaluation}", path).items()
        }
        for evaluation, classes in document["per_class"].items()
    }
    for evaluation, classes in by_class.items():
        values = [
            value for figures in classes.values() if (value := figures.get("AP50")) is not None
        ]
        overall = metrics.get(f"{evaluation}/AP50")
        if values and overall is not None and abs(sum(values) / len(values) - overall) > TOLERANCE:
            raise InputError(
                f"{path}: belongs to another evaluation than {source} ({evaluation}/AP50 differs); "
                f"{MEND}"
            )
    return Details(by_class, by_video)


def _object(value: Any, where: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{path}: '{where}' must be an object; {MEND}")
    return value


def _figures(value: Any, where: str, path: Path) -> Figures:
    return check_figures(_object(value, where, path), f"{where}/", path, MEND)


def check_figures(
    values: dict[str, Any], prefix: str, path: Path, mend: str
) -> dict[str, float | None]:
    """The same values, each a number or None.

    Raises:
        InputError: one is something else; the message calls it by its name with `prefix` in front.
    """
    for name, figure in values.items():
        number = (
            isinstance(figure, int | float)
            and not isinstance(figure, bool)
            and math.isfinite(figure)
        )
        if figure is not None and not number:
            raise InputError(
                f"{path}: '{prefix}{name}' is {figure!r}, not a number or null; {mend}"
            )
    return values
