"""MOTChallenge text files, one a video, of boxes alone; frames, ids and pixels count from 1.

A line is `frame, id, left, top, width, height, confidence, class, -1, -1`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.common.text_files import read_text
from vatrack.exchange.listing import Listing
from vatrack.exchange.masks import as_prediction
from vatrack.exchange.tracks import Track, by_frame
from vatrack.exchange.video_files import image_at, video_files, write_files

FOLDER = True


def write(tracks: Sequence[Track], listing: Listing, mask_type: MaskType, out: Path) -> list[str]:
    """Writes a text file a video into the folder `out`; ids are the places of the tracks."""
    lines: defaultdict[int, list[str]] = defaultdict(list)
    counts: Counter[int] = Counter()
    numbers: dict[tuple[int, int], int] = {}
    for track in tracks:
        counts[track.video_id] += 1
        numbers[track.video_id, track.track_id] = counts[track.video_id]
    for video, frame, items in by_frame(list(tracks)):
        for track, detection in items:
            x, y, width, height = detection.box
            values = (x + 1, y + 1, width, height)
            lines[video].append(
                ",".join(
                    [
                        str(frame + 1),
                        str(numbers[track.video_id, track.track_id]),
                        *(f"{value:.3f}" for value in values),
                        f"{detection.score:.6g}",
                        str(detection.category_id),
                        "-1,-1",
                    ]
                )
            )
    write_files(out, listing, lines)
    return [f"only boxes are written (of the {mask_type} masks)"]


def read(
    source: Path, listing: Listing, mask_type: MaskType
) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads a folder of text files, named after the videos. A box is taken for the mask; a class
    that is missing or -1 is the dataset's, if it has one alone. A line with id -1, as files of
    detections have them, is a track of its own."""
    predictions, notes = [], {"boxes are used as masks: overlaps are computed from boxes"}
    only = next(iter(listing.categories)) if len(listing.categories) == 1 else None
    for path, video in video_files(source, listing):
        for number, line in enumerate(read_text(path, "a MOTChallenge file").splitlines(), 1):
            where = f"{path}: line {number}"
            if not line.strip():
                continue
            try:
                texts = line.replace(",", " ").split()
                frame, track = _whole(texts[0]), _whole(texts[1])
                x, y, width, height, score = map(float, texts[2:7])
                given = _whole(texts[7]) if len(texts) > 7 else -1
                category = only if given < 0 else given
            except (ValueError, IndexError, OverflowError):
                raise InputError(
                    f"{where}: not a line of MOTChallenge; write `frame, id, left, top, width, "
                    "height, confidence, class`"
                ) from None
            if category is None:
                raise InputError(
                    f"{where}: has no class, but {listing.path} has "
                    f"{counted(len(listing.categories), 'class')}; write it in the eighth column"
                )
            if track < 0:
                track = -number
                notes.add("detections with id -1 become tracks of one frame")
            image = image_at(listing, video, frame - 1, where)
            fields: dict[str, Any] = {"image_id": image, "category_id": category}
            fields |= {"score": score, "track_id": track}
            box = [x - 1, y - 1, width, height]
            predictions.append(as_prediction(where, listing, mask_type, fields, box=box))
    return predictions, sorted(notes)


def _whole(text: str) -> int:
    """A number of objects, frames or classes, which some tools write as 3.0.

    Raises:
        ValueError: it is no whole number.
    """
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        return int(value)
