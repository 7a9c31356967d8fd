"""Whether what later stages made of a run is of its selected checkpoint, and of its predictions:
each stage notes what it has read (best.json, inference.yaml, evaluation.yaml, views.json).

Times of files do not tell it: copies, links and unpacked archives have new ones. What an older
version did not note is not known to be outdated.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from vatrack.common.errors import InputError
from vatrack.common.run_files import PREDICTIONS_FILE, noted_of
from vatrack.common.value_files import read_json, read_yaml
from vatrack.runs.folder import RunFolder

Outdating = Literal["predictions", "metrics"]


def outdated(path: Path | str, name: Outdating) -> str:
    """In what the predictions or metrics of a run are not of what is there now; empty: in nothing
    that is known.

    Example: "metrics.json is of epoch 2, but best.json chooses epoch 3"
    """
    run = RunFolder(path)
    predicted = predictions_of(run.predictions)
    if name == "metrics":
        found = _read(run.evaluation).get("predictions")
        if not isinstance(found, dict):
            return ""
        if "sha256" in predicted and found.get("sha256") != predicted["sha256"]:
            return f"{run.metrics.name} is of other predictions than {run.predictions.name}"
    else:
        found = predicted
    made, best = found.get("checkpoint"), _read(run.selection)
    if not isinstance(made, dict):
        return ""
    file = getattr(run, name).name
    if _differ(made, best, "epoch"):
        chosen = f"but {run.selection.name} chooses epoch {best['epoch']}"
        return f"{file} is of epoch {made['epoch']}, {chosen}"
    if _differ(made, best, "sha256"):
        return f"{file} is of another checkpoint than {run.best_checkpoint.name}"
    return ""


def predictions_of(path: Path) -> dict[str, Any]:
    """What inference.yaml beside predictions notes of them (`noted_of`); the file that it names may
    have been packed or unpacked since."""
    notes = _read(RunFolder(path.parent).inference)
    named = str(notes.get("predictions", PREDICTIONS_FILE))
    if named.removesuffix(".gz") != path.name.removesuffix(".gz"):
        return {}
    both = named != path.name and path.with_name(named).exists() and path.exists()
    return {} if both else noted_of(notes)


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    return key in one and key in other and one[key] != other[key]


def _read(path: Path) -> dict[str, Any]:
    """The mapping in a file; empty where it is missing or damaged, which its readers tell."""
    found = None
    if path.is_file():
        with suppress(InputError):
            found = read_json(path) if path.suffix == ".json" else read_yaml(path)
    return found if isinstance(found, dict) else {}
