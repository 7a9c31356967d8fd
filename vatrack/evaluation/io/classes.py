"""The classes and clips of predictions against those of the ground truth."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.run_files import PREDICTIONS_FILE, SETTINGS_FILE
from vatrack.common.value_files import read_yaml
from vatrack.config.classes import shown_name
from vatrack.config.file_classes import RENAME, SHOWN, FileClasses, no_class
from vatrack.evaluation.io.prediction_file import SAME_SUBSET

SAME_NAMES = f"correct the names of its `categories` in {SETTINGS_FILE}"

logger = logging.getLogger(__name__)


def names_of(document: Mapping[str, Any], key: str) -> dict[int, Any]:
    """Names by id of the items of a list, "categories" or "videos", whose ids are already checked;
    one without a name has its id for one."""
    return {item["id"]: item.get("name", item["id"]) for item in document[key]}


def category_ids(
    names: Mapping[int, Any],
    truth: str,
    predictions: Path,
    notes: Mapping[str, Any],
    class_map: Mapping[str, str] | None = None,
    partly: bool = False,
) -> dict[int, int | None] | None:
    """Category ids of predictions to those of the ground truth, where they differ; None: nowhere.

    Predictions have ids alone. What these mean stands in inference.yaml beside them, where
    `vatrack predict` made them; other predictions have the ids of the ground truth.

    Args:
        names: names by category id in the ground truth; `truth`: that file, for messages.
        notes: see `notes_beside`.
        class_map: classes of the predictions, by name or, where there are no names, by id, to
            classes of the ground truth; an empty name leaves a class out.
        partly: without a mapping, what the ground truth lacks is left out, if it has some class.

    Raises:
        InputError: each of the lists has a class that the other lacks, and no mapping is given
            (`partly`: no class is in both); or a mapping names a class that is not there.
    """
    beside = predictions.with_name(SETTINGS_FILE)
    listed = _categories(beside, notes.get("categories"))
    if not listed and not class_map:
        return None
    own = FileClasses.of([{"id": number, "name": name} for number, name in names.items()], truth)
    if not listed:
        return {
            _number(old, str(predictions)): _id(old, new, own)
            for old, new in (class_map or {}).items()
        }
    given = FileClasses.of(listed, str(beside))
    fix = RENAME
    if partly:
        fix = SAME_NAMES
        if own.ids.keys() & given.ids.keys():
            class_map = {}
    found = own.category_ids(given.classes, str(beside), class_map, fix)
    changed = {
        number: other
        for number, other in zip(given.ids.values(), found, strict=True)
        if number != other
    }
    left_out = [name for name, other in zip(given.ids, found, strict=True) if other is None]
    if moved := len(changed) - len(left_out):
        differ = "has a different id" if moved == 1 else "have different ids"
        logger.info(
            f"{beside}: {counted(moved, 'class')} {differ} than in {truth}; matched by name"
        )
    if left_out:
        some = few(map(shown_name, left_out), SHOWN)
        logger.info(f"{beside}: {counted(len(left_out), 'class')} left out, not in {truth}: {some}")
    return changed or None


def check_clips(
    names: Mapping[int, Any], truth: str, predictions: Path, notes: Mapping[str, Any]
) -> bool:
    """Whether predictions were made for the clips of the ground truth: ids are often the same in
    the files of both subsets, and of another division into clips. Warns where it lacks the first
    or the last clip, or has another number of them.

    Args:
        names: names by clip id in the ground truth; `truth`: that file, for messages.
        notes: see `notes_beside`.

    Returns:
        Whether it is known that they were: the notes name them.

    Raises:
        InputError: it has neither.
    """
    clips = notes.get("clips")
    if not isinstance(clips, Mapping):
        return False
    number, *ends = (clips.get(key) for key in ("number", "first", "last"))
    if not isinstance(number, int) or not all(isinstance(end, str) for end in ends):
        return False
    known = set(map(str, names.values()))
    lost = [name for name in ends if name not in known]
    made = (
        f"{predictions}: predicted for {counted(number, 'clip')} ({ends[0]} to {ends[1]}, see "
        f"{SETTINGS_FILE}), but {truth} has"
    )
    if len(lost) == len(ends):
        raise InputError(
            f"{made} neither the first nor the last of them; {SAME_SUBSET}, or remove `clips` from "
            f"{SETTINGS_FILE} if the clips have new names"
        )
    if lost:
        warnings.warn(f"{made} no clip {lost[0]}; {SAME_SUBSET}", stacklevel=2)
    elif number != len(names):
        warnings.warn(
            f"{made} {counted(len(names), 'clip')}; predict again if the clips were divided anew",
            stacklevel=2,
        )
    return not lost and number == len(names)


def notes_beside(predictions: Path) -> Mapping[str, Any]:
    """What inference.yaml beside predictions says; nothing where there is none, or where it is of
    another file.

    It names its file in `predictions`, which may have been packed or unpacked since. Older versions
    did not name it, and wrote neither `categories` nor `clips`.

    Raises:
        InputError: it is no valid YAML.
    """
    path = predictions.with_name(SETTINGS_FILE)
    values = read_yaml(path) if path.is_file() else None
    if not isinstance(values, Mapping):
        return {}
    named = str(values.get("predictions", PREDICTIONS_FILE))
    packed = named.removesuffix(".gz") == predictions.name.removesuffix(".gz")
    if predictions.name == named or (packed and not predictions.with_name(named).exists()):
        return values
    logger.info("%s: describes %s, so it is not used for %s", path, named, predictions.name)
    return {}


def _categories(path: Path, found: Any) -> list[dict[str, Any]]:
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise InputError(f"{path}: categories is not a list of ids and names; predict again")
    return [dict(item) for item in found]


def _number(text: str, predictions: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"--class-map {text}=...: no {SETTINGS_FILE} next to {predictions} tells which id "
            f"{shown_name(text)} has; give the category id: --class-map 1=NAME"
        ) from None


def _id(old: str, new: str, own: FileClasses) -> int | None:
    if not new:
        return None
    if new not in own.ids:
        raise no_class(old, new, own.source, new, own.classes)
    return own.ids[new]
