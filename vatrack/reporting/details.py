"""Reads details.json: metrics by class and by video (`vatrack evaluate --details`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json
from vatrack.config.classes import SAILVOS, names_problem
from vatrack.data.known_forms import DETAILS, wants
from vatrack.reporting.checks import TOLERANCE, Metrics, check_metrics

RECALLS = 101  # points of a precision curve, from 0 to 1
FIX = "create it with `vatrack evaluate --details`"


@dataclass(frozen=True)
class Details:
    """Metrics by evaluation ("image/amodal", ..., "track/visible"), class or video, and metric;
    the names of all classes in their order; precision over recall by evaluation and threshold.
    """

    per_class: Mapping[str, Mapping[str, Metrics]]
    per_video: Mapping[str, Mapping[str, Metrics]]
    classes: tuple[str, ...] = SAILVOS.names
    curves: Mapping[str, Mapping[str, Sequence[float | None]]] = field(default_factory=dict)


@wants(path=DETAILS)
def read_details(path: Path) -> Details:
    """Reads the details of an evaluation.

    Args:
        path: {"per_class": {evaluation: {class: {metric: value}}}, "per_video": {video:
            {evaluation: {metric: value}}}}, and perhaps "classes" and "curves": {evaluation:
            {"IoU50": values, "IoU75": values}}, of `RECALLS` values each.

    Raises:
        InputError: the file has another form, or a value is out of reason.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), dict) for key in ("per_class", "per_video")
    ):
        raise InputError(f"{path}: must be a JSON object with 'per_class' and 'per_video'; {FIX}")
    per_class, by_video = (_nested(document[key], key, path) for key in ("per_class", "per_video"))
    for evaluation in chain(per_class, chain.from_iterable(by_video.values())):
        if "/" not in evaluation:
            raise InputError(
                f"{path}: {evaluation!r:.40} is not an evaluation such as image/amodal; {FIX}"
            )
    per_video: dict[str, dict[str, Metrics]] = {}
    for video, evaluations in by_video.items():
        for evaluation, values in evaluations.items():
            per_video.setdefault(evaluation, {})[video] = values
    classes = document.get("classes", list(SAILVOS.names))  # older ones do not name them
    if not isinstance(classes, list) or names_problem(classes):
        raise InputError(f"{path}: 'classes' must be a list of names; {FIX}")
    return Details(per_class, per_video, tuple(classes), _curves(document.get("curves", {}), path))


def check_details(details: Details, path: Path, metrics: Metrics, source: Path) -> None:
    """Refuses the details of another evaluation: AP50 must be the mean over its classes.

    Args:
        path: their file; `metrics` and `source`: flat metrics and their file.

    Raises:
        InputError: it is not.
    """
    for evaluation, classes in details.per_class.items():
        found = [values.get("AP50") for values in classes.values()]
        known = [value for value in found if value is not None and not math.isnan(value)]
        overall = metrics.get(f"{evaluation}/AP50")
        # false where the metrics say -1, which is NaN here
        if known and overall is not None and abs(sum(known) / len(known) - overall) > TOLERANCE:
            raise InputError(
                f"{path}: belongs to a different evaluation than {source} ({evaluation}/AP50 "
                f"differs); {FIX}"
            )


def _curves(levels: Any, path: Path) -> dict[str, dict[str, list[float | None]]]:
    """The curves, checked."""
    found = {
        level: _object(own, f"curves/{level}", path)
        for level, own in _object(levels, "curves", path).items()
    }
    for level, curves in found.items():
        for name, values in curves.items():
            if not _is_curve(values):
                raise InputError(
                    f"{path}: 'curves/{level}/{name}' is not a list of {RECALLS} numbers from 0 "
                    f"to 1; {FIX}"
                )
    return found


def _is_curve(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == RECALLS
        and all(v is None or (type(v) in (int, float) and 0 <= v <= 1) for v in values)
    )


def _nested(values: dict[str, Any], key: str, path: Path) -> dict[str, dict[str, Metrics]]:
    """The metrics of two levels of objects, checked."""
    return {
        outer: {
            inner: check_metrics(
                _object(metrics, f"{key}/{outer}/{inner}", path),
                f"{key}/{outer}/{inner}/",
                path,
                FIX,
            )
            for inner, metrics in _object(members, f"{key}/{outer}", path).items()
        }
        for outer, members in values.items()
    }


def _object(value: Any, where: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{path}: '{where}' must be an object; {FIX}")
    return value
