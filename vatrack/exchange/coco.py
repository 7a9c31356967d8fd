"""COCO results: a flat list of detections, as pycocotools' `loadRes` reads it; `track_id` and
`video_id` are extra keys, which COCO readers ignore.

No box is written: with one, `loadRes` takes its area instead of the mask's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MaskType
from vatrack.common.value_files import read_json
from vatrack.exchange.listing import Listing
from vatrack.exchange.masks import as_prediction, free_ids
from vatrack.exchange.tracks import Track

FOLDER = False
NEEDED = ("image_id", "category_id", "score")


def write(tracks: Sequence[Track], listing: Listing, mask_type: MaskType, out: Path) -> list[str]:
    """Writes the list; all detections fit, without their boxes."""
    write_json(
        out,
        [
            {
                "image_id": detection.image_id,
                "category_id": detection.category_id,
                "score": detection.score,
                "segmentation": detection.rle,
                "track_id": track.track_id,
                "video_id": track.video_id,
            }
            for track in tracks
            for detection in track.detections
        ],
    )
    return ["boxes are not written: pycocotools would use their areas instead of the masks'"]


def read(
    source: Path, listing: Listing, mask_type: MaskType
) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads such a list. Without a mask the box is taken for one; without `track_id` every
    detection is a track of its own."""
    predictions, notes = [], set()
    items = read_json(source)
    if not isinstance(items, list):
        raise InputError(f"{source}: not a list of detections; give COCO results")
    for number, (item, own) in enumerate(zip(items, free_ids(items), strict=True), 1):
        where = f"{source}: item {number}"
        if not isinstance(item, dict):
            raise InputError(f"{where}: not a JSON object; write each detection as one")
        if "image_id" not in item and "segmentations" in item:
            raise InputError(f"{where}: looks like a YouTube-VIS track; use --from ytvis")
        for key in NEEDED:
            if key not in item:
                raise InputError(f"{where}: has no {key!r}; add it")
        fields = {key: item[key] for key in NEEDED} | {"track_id": item.get("track_id")}
        if fields["track_id"] is None:
            notes.add("detections without 'track_id' become tracks of one frame")
            fields["track_id"] = own
        # Results of boxes alone often have an empty list.
        mask, box = item.get("segmentation") or None, item.get("bbox")
        predictions.append(as_prediction(where, listing, mask_type, fields, mask=mask, box=box))
    return predictions, sorted(notes)
