"""YouTube-VIS (and OVIS) results: one item a track, with a mask or null for every frame.

The one common form of video results that may hold amodal masks, since overlaps are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MaskType
from vatrack.common.value_files import read_json
from vatrack.data.fields import is_whole
from vatrack.exchange.listing import Listing
from vatrack.exchange.masks import as_prediction, free_ids
from vatrack.exchange.tracks import Track, mixed_classes

FOLDER = False


def write(tracks: Sequence[Track], listing: Listing, mask_type: MaskType, out: Path) -> list[str]:
    """Writes the list. A track has one score, the mean, and one class, that of most frames."""
    write_json(out, results(tracks, listing))
    return left_out(tracks)


def left_out(tracks: Sequence[Track]) -> list[str]:
    """What of the tracks is not in the list."""
    note = "boxes and scores of single frames are not written: a track has its mean score"
    return [note, *mixed_classes(tracks)]


def results(tracks: Sequence[Track], listing: Listing) -> list[dict[str, Any]]:
    """The items of the list."""
    items = []
    for track in tracks:
        masks: list[Any] = [None] * len(listing.video_of[track.video_id].rows)
        for detection in track.detections:
            masks[detection.frame] = detection.rle
        items.append(
            {
                "video_id": track.video_id,
                "category_id": track.category_id,
                "score": track.score,
                "segmentations": masks,
            }
        )
    return items


def read(
    source: Path, listing: Listing, mask_type: MaskType
) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads such a list; the score of a track is that of each of its detections."""
    items = read_json(source)
    if not isinstance(items, list):
        raise InputError(f"{source}: not a list of tracks; give YouTube-VIS results")
    predictions = []
    # Numbers of items must not be taken for the ids that other items name.
    named = any(isinstance(item, dict) and item.get("track_id") is not None for item in items)
    own_ids = free_ids(items) if named else range(1, len(items) + 1)
    for number, (item, own_id) in enumerate(zip(items, own_ids, strict=True), 1):
        where = f"{source}: item {number}"
        if not isinstance(item, dict):
            raise InputError(f"{where}: not a JSON object; write each track as one")
        if "segmentations" not in item and "image_id" in item:
            raise InputError(f"{where}: looks like a COCO detection; use --from coco")
        for key in ("video_id", "category_id", "score", "segmentations"):
            if key not in item:
                raise InputError(f"{where}: has no {key!r}; add it")
        masks, video = item["segmentations"], None
        if is_whole(item["video_id"]):
            video = listing.video_of.get(item["video_id"])
        if video is None:
            raise InputError(
                f"{where}: video_id {item['video_id']} is not in {listing.path}; use its ids"
            )
        if not isinstance(masks, list) or len(masks) != len(video.rows):
            count = len(masks) if isinstance(masks, list) else 0
            found = counted(count, "segmentation") if count else "no segmentations"
            raise InputError(
                f"{where}: has {found}, but its video {video.name!r} has "
                f"{counted(len(video.rows), 'frame')}; give a mask or null for each frame"
            )
        fields = {key: item.get(key) for key in ("category_id", "score", "track_id")}
        if fields["track_id"] is None:
            fields["track_id"] = own_id
        for frame, mask in enumerate(masks):
            if mask:
                own = {"image_id": int(listing.images.id[video.rows[frame]]), **fields}
                place = f"{where}: frame {frame}"
                predictions.append(as_prediction(place, listing, mask_type, own, mask=mask))
    return predictions, []
