"""Predictions as tracks, the unit of most other forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.common.rle import box_of
from vatrack.evaluation.io.gaps import warn_of_gaps
from vatrack.evaluation.io.predictions import Predictions, read_predictions
from vatrack.exchange.listing import Listing


@dataclass(frozen=True)
class Detection:
    """An object in one frame.

    Attributes:
        frame: index of the frame in its video, from 0.
        box: x, y, width, height in pixels.
        size: height and width of the frame; `counts`: the mask's compressed run lengths.
    """

    frame: int
    image_id: int
    category_id: int
    score: float
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    counts: str

    @property
    def rle(self) -> dict[str, Any]:
        """The mask as COCO has it."""
        return {"size": list(self.size), "counts": self.counts}


@dataclass(frozen=True)
class Track:
    """An object through its video; its detections stand in the order of time."""

    video_id: int
    track_id: int
    detections: tuple[Detection, ...]

    @property
    def score(self) -> float:
        """Mean over the detections."""
        return float(np.mean([detection.score for detection in self.detections]))

    @property
    def category_id(self) -> int:
        """The class that most detections have; of several the first one."""
        return Counter(detection.category_id for detection in self.detections).most_common(1)[0][0]


def read_tracks(path: Path, listing: Listing, mask_type: MaskType) -> list[Track]:
    """The tracks of a file of predictions (contract 2) with one type of mask, by video and id.

    Detections without such a mask, and those of classes that the listing lacks, are left out, with
    a warning.

    Raises:
        InputError: the file is wrong, or no detection has such a mask.
    """
    found = read_predictions(path, listing.images, listing.document, str(listing.path))
    images = listing.images
    rows = [row for row, counts in enumerate(found.counts[mask_type]) if counts is not None]
    if len(found.image) and not rows:
        raise InputError(f"{path}: no prediction has {mask_type} masks; choose another mask type")
    warn_of_gaps(path, found, [mask_type], "nothing is exported", "they are left out")
    order = sorted(
        rows,
        key=lambda row: (
            images.video[found.image[row]],
            found.track[row],
            images.position[found.image[row]],
        ),
    )
    tracks: dict[tuple[int, int], list[Detection]] = {}
    for row in order:
        image = int(found.image[row])
        size = tuple(images.size[image].tolist())
        counts = found.counts[mask_type][row] or b""
        x, y, width, height = found.box[mask_type][row].tolist()
        if mask_type == "visible" and _has_one_box(found, row):
            x, y, width, height = box_of(counts, size)
        detection = Detection(
            int(images.position[image]),
            int(images.id[image]),
            int(images.categories[found.category[row]]),
            float(found.score[row]),
            (x, y, width, height),
            size,
            counts.decode("ascii"),
        )
        tracks.setdefault((int(images.video[image]), int(found.track[row])), []).append(detection)
    return [Track(video, number, tuple(items)) for (video, number), items in tracks.items()]


def mixed_classes(tracks: Sequence[Track]) -> list[str]:
    """What is said where a form has one class a track."""
    mixed = sum(len({d.category_id for d in track.detections}) > 1 for track in tracks)
    if not mixed:
        return []
    return [f"{counted(mixed, 'track')} of several classes; the most frequent class is used"]


def _has_one_box(found: Predictions, row: int) -> bool:
    """Whether a detection with both masks has no box of its own for the visible one."""
    same = np.array_equal(found.box["visible"][row], found.box["amodal"][row])
    return same and found.counts["amodal"][row] is not None


def by_frame(tracks: list[Track]) -> Iterator[tuple[int, int, list[tuple[Track, Detection]]]]:
    """Video id, frame and the detections there, in order."""
    frames: dict[tuple[int, int], list[tuple[Track, Detection]]] = {}
    for track in tracks:
        for detection in track.detections:
            frames.setdefault((track.video_id, detection.frame), []).append((track, detection))
    for (video, frame), items in sorted(frames.items(), key=lambda item: item[0]):
        yield video, frame, items
