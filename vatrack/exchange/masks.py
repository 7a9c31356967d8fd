"""One detection of another tool as a prediction of contract 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.mask_forms import rectangle
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import box_of, encode
from vatrack.data.fields import is_box, is_whole, problem, read_masks
from vatrack.exchange.listing import Listing


def free_ids(items: Sequence[Any]) -> range:
    """A negative track id for each item, for those that have none: no item names one of them."""
    named: list[Any] = [item.get("track_id") for item in items if isinstance(item, Mapping)]
    lowest: int = min([0, *filter(is_whole, named)])
    return range(lowest - 1, lowest - 1 - len(items), -1)


def as_prediction(
    where: str,
    listing: Listing,
    mask_type: MaskType,
    fields: Mapping[str, Any],
    *,
    mask: Any = None,
    box: Any = None,
) -> dict[str, Any]:
    """A prediction, its mask in canonical form.

    Args:
        where: what messages call it.
        fields: its image_id, category_id, score and track_id.
        mask: in any form that pycocotools reads; None: the box is taken for the mask.
        box: x, y, width, height in pixels; None: that of the mask.

    Raises:
        InputError: a field is wrong, or there is neither mask nor box.
    """
    for name, value in fields.items():
        if text := problem(name, value):
            raise InputError(f"{where}: {text}")
    row = int(listing.images.index(np.array([fields["image_id"]]))[0])
    if row < 0:
        raise InputError(
            f"{where}: image_id {fields['image_id']} is not in {listing.path}; use its ids"
        )
    listing.check_category(fields["category_id"], where)
    size = listing.images.size[row].tolist()
    if box is not None and not is_box(box):
        raise InputError(f"{where}: {problem('bbox', box)}")
    if mask is None:
        if box is None:
            raise InputError(f"{where}: has neither a mask nor a box; add one")
        counts = rectangle(box, size) or encode([size[0] * size[1]])
    else:
        counts = read_masks([mask], [size], [f"{where}: its mask"])[0][0]
    own = {"size": size, "counts": counts.decode("ascii")}
    return {
        **fields,
        "bbox": list(box) if box is not None else box_of(counts, size),
        **{key: own if key == mask_type else None for key in MASK_TYPES},
    }
