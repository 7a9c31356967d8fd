"""Objects and detections of every class and video as consecutive numbers, frame by frame: what
tracking measures read.

A sequence is one class in one video. A detection belongs to the sequence of its own class in each
frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vatrack.common.mask_types import MaskType
from vatrack.common.rle import Floats, Ints
from vatrack.evaluation.ap.image import with_mask
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.io.ground_truth import Images, TrueObjects
from vatrack.evaluation.io.predictions import Predictions


@dataclass(frozen=True)
class Side:
    """N objects, or N detections, of all sequences, by sequence, then time, then row.

    `sequence` [N]; `frame` [N]: a number that grows with sequence and time; `identity` [N]: numbers
    from 0, each of one sequence.
    """

    sequence: Ints
    frame: Ints
    identity: Ints

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def identities(self) -> int:
        """How many identities there are in all sequences together."""
        return int(self.identity.max(initial=-1)) + 1


@dataclass(frozen=True)
class Sequences:
    """S sequences by class, then video: `category` [S], `video` [S] (both ids), their objects and
    detections.

    `overlaps`: pairs of indices in `detections` and `objects`, by frame.
    """

    category: Ints
    video: Ints
    objects: Side
    detections: Side
    overlaps: Overlaps


@dataclass(frozen=True)
class Frames:
    """F frames of sequences in which something overlaps, by sequence, then time.

    `sequence` [F]; `objects`, `detections`, `pairs` [F, 2]: first index and end in the sequences'
    objects, detections, and in `overlaps`.
    """

    sequence: Ints
    objects: Ints
    detections: Ints
    pairs: Ints
    overlaps: Overlaps

    def similarity(self, number: int) -> Floats:
        """IoU [n, m] of the n objects and m detections of a frame; 0 where they are no pair."""
        # Lists: arithmetic with single numbers of numpy would take longer than all the rest.
        first_object, objects = self.objects[number].tolist()
        first_detection, detections = self.detections[number].tolist()
        first, stop = self.pairs[number].tolist()
        values = np.zeros((objects - first_object, detections - first_detection))
        indices = (
            self.overlaps.truth[first:stop] - first_object,
            self.overlaps.detection[first:stop] - first_detection,
        )
        values[indices] = self.overlaps.iou[first:stop]
        return values


def sequences_of(
    predictions: Predictions,
    objects: TrueObjects,
    overlaps: Overlaps,
    images: Images,
    mask_type: MaskType,
) -> Sequences:
    """The sequences that have an object or a detection with such a mask.

    `overlaps`: pairs of their rows.
    """
    rows, _ = with_mask(predictions, mask_type)
    videos, video = np.unique(images.video, return_inverse=True)
    object_key = objects.masks.category * len(videos) + video[objects.masks.image]
    detection_key = predictions.category[rows] * len(videos) + video[predictions.image[rows]]
    keys = np.unique(np.concatenate((object_key, detection_key)))
    length = int(images.position.max(initial=0)) + 1

    true, index = _side(
        np.searchsorted(keys, object_key),
        images.position[objects.masks.image],
        objects.instance,
        length,
    )
    sequence = np.searchsorted(keys, detection_key)
    found, found_index = _side(
        sequence, images.position[predictions.image[rows]], predictions.track[rows], length
    )
    index_of_row = np.zeros(len(predictions.image), np.int64)
    index_of_row[rows] = found_index
    truth, detection = index[overlaps.truth], index_of_row[overlaps.detection]
    order = np.lexsort((detection, truth))
    pairs = Overlaps(detection[order], truth[order], overlaps.iou[order])
    number = max(len(videos), 1)
    return Sequences(images.categories[keys // number], videos[keys % number], true, found, pairs)


def frames_of(sequences: Sequences, minimum: float) -> Frames:
    """The frames with a pair of at least this IoU, and these pairs."""
    overlaps = sequences.overlaps.at_least(minimum)
    frame = sequences.objects.frame[overlaps.truth]
    numbers, first = np.unique(frame, return_index=True)

    def bounds(column: Ints) -> Ints:
        return np.stack(
            [np.searchsorted(column, numbers, side=side) for side in ("left", "right")], 1
        )

    return Frames(
        sequence=sequences.objects.sequence[overlaps.truth[first]],
        objects=bounds(sequences.objects.frame),
        detections=bounds(sequences.detections.frame),
        pairs=bounds(frame),
        overlaps=overlaps,
    )


def _side(sequence: Ints, position: Ints, name: Ints, length: int) -> tuple[Side, Ints]:
    """Sorts one side; also returns the index of every row."""
    frame = sequence * length + position
    order = np.argsort(frame, kind="stable")
    index = np.empty(len(order), np.int64)
    index[order] = np.arange(len(order))
    names, number = np.unique(name, return_inverse=True)
    _, identity = np.unique(sequence * max(len(names), 1) + number, return_inverse=True)
    return Side(sequence[order], frame[order], identity[order].astype(np.int64)), index
