"""Random objects, detections and overlaps as arrays, and the plain per-sequence form that tracking
libraries take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vatrack.evaluation.ap.overlaps import MaskRows, Overlaps
from vatrack.evaluation.io.ground_truth import Images, TrueObjects
from vatrack.evaluation.io.predictions import Predictions
from vatrack.evaluation.mot.measures import TrackCounts, track_counts


@dataclass(frozen=True)
class Tracks:
    """What `track_counts` takes."""

    predictions: Predictions
    objects: TrueObjects
    overlaps: Overlaps
    images: Images

    def counts(self) -> list[TrackCounts]:
        return track_counts(self.predictions, self.objects, self.overlaps, self.images, "amodal")


@dataclass(frozen=True)
class PlainFrame:
    """A frame of one class: `instances` [n], `tracks` [m], `iou` [n, m]."""

    instances: np.ndarray
    tracks: np.ndarray
    iou: np.ndarray


def tracks_from(
    images: Images,
    objects: tuple[np.ndarray, ...],
    detections: tuple[np.ndarray, ...],
    overlaps: Overlaps,
) -> Tracks:
    """From (image, category, identity) of objects and detections."""
    image, category, instance = objects
    category = images.category_index(category)
    number = len(image)
    true = TrueObjects(
        masks=MaskRows(image, category, [b""] * number),
        id=np.arange(number),
        instance=instance,
        area=np.ones(number),
        rate=np.zeros(number),
        crowd=np.zeros(number, bool),
        box=np.zeros((number, 4)),
        mask_area=np.zeros(number, np.int64),
    )
    image, category, track = detections
    category = images.category_index(category)
    number = len(image)
    found = Predictions(
        number=np.arange(number),
        image=image,
        category=category,
        score=np.ones(number),
        track=track,
        box={"amodal": np.zeros((number, 4))},
        counts={"amodal": [b""] * number, "visible": [None] * number},
        area={"amodal": np.ones(number, np.int64)},
    )
    return Tracks(found, true, overlaps, images)


def images_of(lengths: list[int], categories: tuple[int, ...]) -> Images:
    """Videos 3, 6, 9, ... whose images do not lie in order of time."""
    ids = 3 * np.arange(1, len(lengths) + 1)
    video = np.repeat(ids, lengths)
    position = np.concatenate([np.arange(length)[::-1] for length in lengths]).astype(np.int64)
    return Images(
        np.arange(len(video)),
        video,
        position,
        np.full((len(video), 2), 9),
        np.array(categories, np.int64),
        dict(zip(ids.tolist(), lengths, strict=True)),
    )


def random_tracks(seed: int, *, tied: bool) -> Tracks:
    """Up to three videos of up to three classes; identities change class, overlap several others or
    nothing, or are away.

    `tied`: IoU on a coarse grid, so that optimal assignments are not unique.
    """
    random = np.random.default_rng(seed)
    images = images_of(random.integers(0, 9, random.integers(1, 4)).tolist(), (1, 2, 3))

    def side(identities: int) -> tuple[np.ndarray, ...]:
        present = random.random((len(images.id), identities)) < random.choice([0.2, 0.6, 0.9])
        image, identity = np.nonzero(present)
        category = np.where(
            random.random(len(image)) < 0.9, identity % 3 + 1, random.integers(1, 4, len(image))
        )
        order = random.permutation(len(image))
        return image[order], category[order], 10 * identity[order] + 7

    objects, detections = side(int(random.integers(0, 8))), side(int(random.integers(0, 10)))
    same = (objects[0][:, None] == detections[0]) & (objects[1][:, None] == detections[1])
    iou = (
        random.choice([0.04, 0.05, 0.3, 0.5, 0.55, 0.8, 1.0], same.shape)
        if tied
        else random.random(same.shape)
    )
    # Partners of old are likely, so that there is something to associate.
    iou = np.where(same & (random.random(same.shape) < random.choice([0.2, 0.7])), iou, 0.0)
    iou[same & (objects[2][:, None] == detections[2]) & (random.random(same.shape) < 0.6)] = 0.75
    truth, detection = np.nonzero(iou)
    order = random.permutation(len(truth))
    pairs = Overlaps(detection[order], truth[order], iou[truth[order], detection[order]])
    return tracks_from(images, objects, detections, pairs)


def plain_sequences(tracks: Tracks) -> dict[tuple[int, int], list[PlainFrame]]:
    """Every frame of every (class, video) that has an object or a detection, in order of time, with
    everything in it."""
    images, objects, predictions = tracks.images, tracks.objects, tracks.predictions
    iou = np.zeros((len(objects.instance), len(predictions.track)))
    iou[tracks.overlaps.truth, tracks.overlaps.detection] = tracks.overlaps.iou
    units = {
        (int(category), int(images.video[image]))
        for rows in (objects.masks, predictions)
        for category, image in zip(rows.category, rows.image, strict=True)
    }
    result = {}
    for category, video in sorted(units):
        own = np.flatnonzero(images.video == video)
        frames = []
        for image in own[np.argsort(images.position[own])]:
            true = np.flatnonzero(
                (objects.masks.image == image) & (objects.masks.category == category)
            )
            found = np.flatnonzero(
                (predictions.image == image) & (predictions.category == category)
            )
            frames.append(
                PlainFrame(
                    objects.instance[true], predictions.track[found], iou[np.ix_(true, found)]
                )
            )
        result[int(images.categories[category]), video] = frames
    return result
