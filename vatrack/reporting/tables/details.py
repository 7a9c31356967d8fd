"""Reads details.json of a run: its metrics by class and by video (`vatrack evaluate --details`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json
from vatrack.config.classes import SAILVOS, names_problem
from vatrack.data.known_forms import DETAILS, wants
from vatrack.reporting.tables.checks import TOLERANCE, Metrics, check_metrics

FIX = "create it with `vatrack evaluate --details`"


@dataclass(frozen=True)
class Details:
    """Metrics by evaluation ("image/amodal", ..., "track/visible"), class or video, and metric;
    the names of all classes in their order.
    """

    per_class: Mapping[str, Mapping[str, Metrics]]
    per_video: Mapping[str, Mapping[str, Metrics]]
    classes: tuple[str, ...] = SAILVOS.names


@wants(path=DETAILS)
def read_details(path: Path, metrics: Metrics, source: Path) -> Details:
    """Reads the details of a run.

    Args:
        path: {"per_class": {evaluation: {class: {metric: value}}}, "per_video": {video:
            {evaluation: {metric: value}}}}, and perhaps "classes".
        metrics: the flat metrics of the same run, and `source`, their file.

    Raises:
        InputError: the file has another form, a value is out of reason, or the details are of
            another evaluation: AP50 is not the mean over its classes.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), dict) for key in ("per_class", "per_video")
    ):
        raise InputError(f"{path}: must be a JSON object with 'per_class' and 'per_video'; {FIX}")
    per_class, by_video = (_nested(document[key], key, path) for key in ("per_class", "per_video"))
    per_video: dict[str, dict[str, Metrics]] = {}
    for video, evaluations in by_video.items():
        for evaluation, values in evaluations.items():
            per_video.setdefault(evaluation, {})[video] = values
    for evaluation, classes in per_class.items():
        found = [values.get("AP50") for values in classes.values()]
        known = [value for value in found if value is not None and not math.isnan(value)]
        overall = metrics.get(f"{evaluation}/AP50")
        # false where the metrics say -1, which is NaN here
        if known and overall is not None and abs(sum(known) / len(known) - overall) > TOLERANCE:
            raise InputError(
                f"{path}: belongs to a different evaluation than {source} ({evaluation}/AP50 "
                f"differs); {FIX}"
            )
    classes = document.get("classes", list(SAILVOS.names))  # older ones do not name them
    if not isinstance(classes, list) or names_problem(classes):
        raise InputError(f"{path}: 'classes' must be a list of names; {FIX}")
    return Details(per_class, per_video, tuple(classes))


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
