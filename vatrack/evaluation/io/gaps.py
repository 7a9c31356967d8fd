"""What predictions do not have: any detection at all, or a mask of a type that others have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.evaluation.io.classes import SAME_NAMES
from vatrack.evaluation.io.prediction_file import AGAIN
from vatrack.evaluation.io.predictions import Predictions


@dataclass(frozen=True)
class Missing:
    """How many predictions have no mask of a type, and the line or item number of the `first`."""

    count: int
    first: int


def missing_masks(predictions: Predictions) -> dict[MaskType, Missing]:
    """The predictions without a mask by the type that they lack, where some lack one."""
    found = {}
    for mask_type in MASK_TYPES:
        counts = predictions.counts[mask_type]
        if None in counts:
            lacking = [text is None for text in counts]
            numbers = predictions.number[lacking]
            found[mask_type] = Missing(len(numbers), int(numbers.min()))
    return found


def missing_warnings(
    found: Sequence[Mapping[MaskType, Missing]],
    mask_types: Sequence[MaskType],
    total: int,
    label: str,
    effect: str,
) -> list[str]:
    """What is to be said of the parts of a file.

    Args:
        found: `missing_masks` of every part.
        mask_types: those that the file has; nothing is said of others.
        total: number of predictions in all parts.
        label: what a prediction is called, "predictions.jsonl: line".
        effect: what becomes of those without a mask.
    """
    texts = []
    for mask_type in mask_types:
        several = [masks[mask_type] for masks in found if mask_type in masks]
        if several:
            count = sum(missing.count for missing in several)
            texts.append(
                f"{label} {min(missing.first for missing in several)}: has no {mask_type} mask "
                f"({count} of {counted(total, 'prediction')} without); {effect}; {AGAIN} if that "
                "is not meant"
            )
    return texts


def empty_warning(path: Path | str, effect: str) -> str:
    """What is to be said of a file without predictions; `effect`: what comes of it."""
    return f"{path}: contains no predictions, so {effect}; check the file if that is not meant"


def warn_of_gaps(
    path: Path, found: Predictions, mask_types: Sequence[MaskType], empty: str, effect: str
) -> None:
    """Warns where a whole file has no predictions, some are left out, or some have no mask.

    Args:
        found: the predictions of the file at `path`.
        mask_types: those that are wanted.
        empty, effect: what comes of a file without predictions, and of predictions without a mask.
    """
    texts = []
    if found.left_out:
        several = counted(found.left_out, "prediction")
        texts.append(
            f"{path}: {several} left out, of classes that the ground truth does not have; if it "
            f"has other names for them, {SAME_NAMES}"
        )
    elif not len(found.image):
        texts.append(empty_warning(path, empty))
    texts += missing_warnings(
        [missing_masks(found)], mask_types, len(found.image), found.label, effect
    )
    for text in texts:
        warnings.warn(text, stacklevel=2)
