"""MOTS text files, one a video: `frame id class height width mask`, parted by spaces.

An id is class * 1000 + number. Masks of a frame may not overlap, so where they do the object with
the higher score keeps the pixels, and amodal masks lose what makes them amodal. KITTI MOTS counts
frames from 0, the MOTS challenge from 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_directory, create_text
from vatrack.common.mask_types import MaskType
from vatrack.common.text_files import read_text
from vatrack.exchange.listing import Listing, file_stem
from vatrack.exchange.masks import as_prediction
from vatrack.exchange.tracks import Detection, Track, by_frame

FOLDER = True
MOST = 1000  # numbers of a class


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
    lines: dict[int, list[str]] = {video.id: [] for video in listing.videos}
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
                f"{frame + first_frame} {category * MOST + name} {category} {height} {width} "
                f"{counts}"
            )
    with atomic_directory(out) as folder:
        for video_id, texts in lines.items():
            stem = file_stem(listing.video_of[video_id])
            with create_text(folder / f"{stem}.txt") as stream:
                stream.writelines(f"{text}\n" for text in texts)
    notes = []
    if cut:
        notes.append(
            f"{cut} masks overlapped others and were cut ({lost} of them are hidden whole and are "
            f"left out); MOTS allows no overlap"
        )
    if mask_type == "amodal":
        notes.append("MOTS holds visible masks; amodal ones lose what others cover")
    return notes


def _numbers(tracks: Sequence[Track]) -> dict[tuple[int, int], int]:
    """Number of each track in its video and class, from 1."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    numbers = {}
    for track in tracks:
        key = (track.video_id, track.category_id)
        counts[key] += 1
        if counts[key] >= MOST:
            raise InputError(
                f"video {track.video_id} has {MOST} tracks of class {track.category_id}; MOTS has "
                f"numbers for {MOST - 1}; export those of a higher score, or another form"
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
            encoded = coco_mask.encode(np.asfortranarray(bitmap, np.uint8))
            counts = encoded["counts"].decode() if bitmap.any() else None
        found[index] = (items[index], counts, hidden)
    return [found[index] for index in range(len(items))]


def read(
    source: Path, listing: Listing, mask_type: MaskType, *, first_frame: int = 0
) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads a folder of text files, named after the videos. MOTS has no scores: all are 1."""
    predictions, ignored = [], 0
    for path in text_files(source):
        video = listing.by_name(path.stem, path)
        for number, line in enumerate(read_text(path, "a MOTS file").splitlines(), 1):
            where = f"{path}: line {number}"
            parts = line.split()
            if not parts:
                continue
            try:
                frame, track, category, height, width = map(int, parts[:5])
                (counts,) = parts[5:]
            except ValueError:
                raise InputError(
                    f"{where}: is not `frame id class height width mask`, parted by spaces"
                ) from None
            if track == 10 * MOST or category == 10:  # a region to be ignored
                ignored += 1
                continue
            predictions.append(
                as_prediction(
                    where,
                    listing,
                    image_id=image_at(listing, video, frame - first_frame, where),
                    category_id=category,
                    score=1.0,
                    track_id=track,
                    mask={"size": [height, width], "counts": counts},
                    box=None,
                    mask_type=mask_type,
                )
            )
    notes = ["MOTS has no scores; every detection has 1"]
    if ignored:
        notes.append(f"{ignored} regions to be ignored are left out")
    return predictions, notes


def text_files(source: Path) -> list[Path]:
    """The text files of a folder of results.

    Raises:
        InputError: it is no folder, or has none.
    """
    if not source.is_dir():
        raise InputError(f"{source}: is no folder; this form has a text file a video in a folder")
    found = sorted(path for path in source.glob("*.txt") if not path.name.startswith("."))
    if not found:
        raise InputError(f"{source}: holds no .txt file; one a video is needed")
    return found


def image_at(listing: Listing, video: Any, frame: int, where: str) -> int:
    """The image id of a frame, counted from 0.

    Raises:
        InputError: the video has no such frame.
    """
    if not 0 <= frame < len(video.rows):
        raise InputError(
            f"{where}: frame {frame} (counted from 0) is not one of the {len(video.rows)} of "
            f"{video.name!r}; see whether this form counts from 0 or 1"
        )
    return int(listing.images.id[video.rows[frame]])
