"""Names of the metrics of an evaluation: level, mask type and column, as in "video/amodal/AP"."""

from __future__ import annotations

from collections.abc import Collection

from vatrack.common.mask_types import MASK_TYPES

AP_COLUMNS = ("AP", "AP50", "AP75", "AP50_P", "AP50_OM", "AP50_H", "AP50_L", "AP50_M", "AP50_S")
AR_LIMITS = (1, 10, 100)  # detections of a scope and class that count
AR_COLUMNS = tuple(f"AR{limit}" for limit in AR_LIMITS)
HIDDEN_COLUMNS = ("IoU", "IoU_P", "IoU_OM", "IoU_H", "Recall")
TRACK_COLUMNS = (
    "HOTA",
    "DetA",
    "AssA",
    "LocA",
    "MOTA",
    "MOTP",
    "IDF1",
    "IDs",
    "MT",
    "ML",
    "FP",
    "FN",
)
LOWEST_IS_BEST = ("IDs", "ML", "FP", "FN")
TRACK_TYPES: tuple[str, ...] = (  # overlaps are those of masks or of boxes
    *MASK_TYPES,
    *(f"{mask_type}_box" for mask_type in MASK_TYPES),
)


def lowest_is_best(name: str) -> bool:
    """Whether a metric, by its name or its column alone, counts what a tracker gets wrong."""
    return name.rpartition("/")[2] in LOWEST_IS_BEST


def metric_names(mask_types: Collection[str], *, extended: bool = True) -> list[str]:
    """The names of all metrics of predictions with these masks.

    Args:
        extended: with the metrics beyond the published ones (`evaluation.extended`).
    """
    types = [name for name in TRACK_TYPES if name.removesuffix("_box") in mask_types]
    masks = [name for name in types if name in mask_types]
    columns = AP_COLUMNS + AR_COLUMNS * extended
    hidden = HIDDEN_COLUMNS if extended and len(masks) == len(MASK_TYPES) else ()
    return [
        *(
            f"image/{name}/{column}"
            for name in (types if extended else masks)
            for column in columns
        ),
        *(f"image/hidden/{column}" for column in hidden),
        *(f"video/{name}/{column}" for name in masks for column in columns),
        *(f"track/{name}/{column}" for name in types for column in TRACK_COLUMNS),
    ]
