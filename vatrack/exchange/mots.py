"""MOTS text files, one a video (`vatrack.common.mots`).

Masks of a frame may not overlap, so where they do the object with the higher score keeps the
pixels, and amodal masks lose what makes them amodal. A track has one class, and class 10 says that
a region does not count. KITTI MOTS counts frames from 0, the MOTS challenge from 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.common.mots import IDS, IGNORED, read_lines
from vatrack.exchange.listing import Listing
from vatrack.exchange.masks import as_prediction
from vatrack.exchange.tracks import Detection, Track, by_frame, mixed_classes
from vatrack.exchange.video_files import image_at, video_files, write_files

FOLDER = True


def write(
    tracks: Sequence[Track],
    listing: Listing,
    mask_type: MaskType,
    out: Path,
    *,
    first_frame: int = 0,
) -> list[str]:
    """Writes a text file a video into the folder `out`.

    Raises:
        InputError: a class has 1,000 tracks or more in a video.
    """
    numbers = _numbers(tracks)
    lines: defaultdict[int, list[str]] = defaultdict(list)
    cut = lost = 0
    for video, frame, items in by_frame(list(tracks)):
        height, width = items[0][1].size
        for (track, _), counts, change in _apart(items):
            cut += change
            if counts is None:
                lost += 1
                continue
            category, name = track.category_id, numbers[track.video_id, track.track_id]
            lines[video].append(
                f"{frame + first_frame} {category * IDS + name} {category} {height} {width} "
                f"{counts}"
            )
    write_files(out, listing, lines)
    notes = []
    if cut:
        skipped = counted(lost, "completely hidden one") + (" was" if lost == 1 else " were")
        notes.append(
            f"{counted(cut, 'mask')} cut where others overlap (MOTS allows no overlap)"
            + (f"; {skipped} skipped" if lost else "")
        )
    if mask_type == "amodal":
        notes.append("MOTS has visible masks; amodal masks lose the parts that others cover")
    ignored = sum(len(track.detections) for track in tracks if track.category_id == IGNORED)
    if ignored:
        notes.append(
            f"class {IGNORED} ({listing.categories[IGNORED]}) has the number of MOTS's ignore "
            f"regions: tools that read MOTS do not count its {counted(ignored, 'mask')}"
        )
    return [*notes, *mixed_classes(tracks), "scores are not written: MOTS has none"]


def _numbers(tracks: Sequence[Track]) -> dict[tuple[int, int], int]:
    """Number of each track in its video and class, from 1."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    numbers = {}
    for track in tracks:
        key = (track.video_id, track.category_id)
        counts[key] += 1
        if counts[key] >= IDS:
            raise InputError(
                f"video {track.video_id} has {IDS} tracks of class {track.category_id}; MOTS has "
                f"room for {IDS - 1}; export only predictions with a higher score, or use another "
                "format"
            )
        numbers[track.video_id, track.track_id] = counts[key]
    return numbers


def _apart(
    items: list[tuple[Track, Detection]],
) -> list[tuple[tuple[Track, Detection], str | None, bool]]:
    """The masks of a frame without overlap: item, run lengths (None: nothing is left), changed."""
    taken = np.zeros(items[0][1].size, bool)
    found = {}
    for index in sorted(range(len(items)), key=lambda at: -items[at][1].score):
        detection = items[index][1]
        bitmap = coco_mask.decode(detection.rle).astype(bool)
        hidden = bool((bitmap & taken).any())
        bitmap &= ~taken
        taken |= bitmap
        counts: str | None = detection.counts
        if hidden:
            counts = encode_bitmap(bitmap)["counts"] if bitmap.any() else None
        found[index] = (items[index], counts, hidden)
    return [found[index] for index in range(len(items))]


def read(
    source: Path, listing: Listing, mask_type: MaskType, *, first_frame: int = 0
) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads a folder of text files, named after the videos. MOTS has no scores: all are 1."""
    predictions, ignored = [], 0
    for path, video in video_files(source, listing):
        for line in read_lines(path):
            if line.track == IGNORED * IDS or line.category == IGNORED:
                ignored += 1
                continue
            fields = {
                "image_id": image_at(listing, video, line.frame - first_frame, line.where),
                "category_id": line.category,
                "score": 1.0,
                "track_id": line.track,
            }
            own = as_prediction(line.where, listing, mask_type, fields, mask=line.mask)
            predictions.append(own)
    notes = ["MOTS has no scores; all detections get score 1"]
    if ignored:
        notes.append(f"skipped {counted(ignored, 'ignore region')}")
    return predictions, notes
