"""The per-video ground truth (spec 1.6) as columns: true tracks of one mask type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.errors import InputError
from vatrack.common.rle import Floats, Ints
from vatrack.data.fields import is_area, is_rate, problem, rate, read_masks
from vatrack.evaluation.ap.overlaps import MaskRows
from vatrack.evaluation.io.checks import FIX, all_known, field_of, flags, integers, list_of
from vatrack.evaluation.io.ground_truth import Images, TrueObjects


@dataclass(frozen=True)
class TrueTracks:
    """V true tracks with one mask type, and their M masks.

    `id`, `video`, `category` [V] (index); `area`: mean of the areas that are not zero; `rate`: mean
    of the larger half of the occlusion rates (quirk E7); `total` [V]: pixels of all masks; `crowd`
    [V]. `masks` has M rows, `track` [M] is their track, `mask_area` [M] their pixels.
    """

    id: Ints
    video: Ints
    category: Ints
    area: Floats
    rate: Floats
    total: Ints
    crowd: NDArray[np.bool_]
    masks: MaskRows
    track: Ints
    mask_area: Ints


def read_tracks(document: Any, images: Images, source: str) -> TrueTracks:
    """The true tracks of a per-video JSON (spec 1.6).

    Raises:
        InputError: a field is missing, a video or category is unknown, a list has another length
            than its video, or a mask is unsound or of another size.
    """
    annotations = list_of(document, "annotations", source)
    columns = {
        key: integers(annotations, key, source, "annotations")
        for key in ("id", "video_id", "category_id")
    }
    all_known(np.isin(columns["video_id"], list(images.frames)), annotations, "video_id", source)
    category = images.category_index(columns["category_id"])
    all_known(category >= 0, annotations, "category_id", source)
    by_position = dict(
        zip(
            zip(images.video.tolist(), images.position.tolist(), strict=True),
            range(len(images.id)),
            strict=True,
        )
    )
    area, rates_of = np.zeros(len(annotations)), np.zeros(len(annotations))
    image, track, masks, names = [], [], [], []
    for number, annotation in enumerate(annotations):
        what = f"{source}: track {annotation['id']}"
        segmentations, areas, rates = _track_lists(
            annotation, images.frames[annotation["video_id"]], what, source
        )
        area[number], rates_of[number] = _means(
            np.array([value for value in areas if value], np.float64),
            np.array([value for value in rates if value is not None], np.float64),
        )
        for position, mask in enumerate(segmentations):
            if mask is not None:
                image.append(by_position[annotation["video_id"], position])
                track.append(number)
                masks.append(mask)
                names.append(f"{what}, item {position} of 'segmentations'")
    image_rows, track_rows = np.array(image, np.int64), np.array(track, np.int64)
    counts, pixels = read_masks(masks, images.size[image_rows], names)
    return TrueTracks(
        id=columns["id"],
        video=columns["video_id"],
        category=category,
        area=area,
        rate=rates_of,
        total=np.bincount(track_rows, pixels, minlength=len(annotations)).astype(np.int64),
        crowd=flags(annotations, "iscrowd", source, "annotations"),
        masks=MaskRows(image_rows, category[track_rows], counts),
        track=track_rows,
        mask_area=pixels,
    )


def tracks_of(objects: TrueObjects, images: Images, max_occlusion: float) -> TrueTracks:
    """The tracks of the objects of frames: those of `read_tracks` of what `video_ground_truth`
    makes of the same file.

    Args:
        max_occlusion: objects count while their occlusion rate is below it, or unknown.
    """
    kept = np.flatnonzero(~(objects.rate >= max_occlusion))
    image = objects.masks.image[kept]
    order = np.lexsort((images.position[image], objects.instance[kept], images.video[image]))
    rows, image = kept[order], image[order]
    video = images.video[image]
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(video) != 0) | (np.diff(objects.instance[rows]) != 0)
    start, track = np.flatnonzero(new), np.cumsum(new) - 1
    # A track has the class of the object that comes first in the file.
    first = np.minimum.reduceat(rows, start) if len(start) else rows
    category = objects.masks.category[first]
    area, rates = np.zeros(len(start)), np.zeros(len(start))
    for number, members in enumerate(np.split(rows, start[1:]) if len(start) else ()):
        filled = objects.area[members][objects.area[members] != 0]
        given = objects.rate[members][~np.isnan(objects.rate[members])]
        area[number], rates[number] = _means(filled, given)
    return TrueTracks(
        id=np.arange(1, len(start) + 1),
        video=video[start],
        category=category,
        area=area,
        rate=rates,
        total=np.bincount(track, objects.mask_area[rows], minlength=len(start)).astype(np.int64),
        crowd=np.zeros(len(start), bool),
        masks=MaskRows(
            image, category[track], [objects.masks.counts[row] for row in rows.tolist()]
        ),
        track=track,
        mask_area=objects.mask_area[rows],
    )


def _means(filled: Floats, given: Floats) -> tuple[float, float]:
    """The area and the rate of a track with these areas that are not zero and rates that are known
    (`TrueTracks`)."""
    larger = np.sort(given)[::-1][: -(-len(given) // 2)]
    unknown = np.nan if len(filled) else 0.0
    return (
        float(filled.mean()) if len(filled) else 0.0,
        float(larger.mean()) if len(larger) else unknown,
    )


def _track_lists(
    annotation: Any, frames: int, what: str, source: str
) -> tuple[list[Any], list[Any], list[Any]]:
    """The masks, areas and rates of a track, one item for every frame."""
    lists = tuple(
        field_of(annotation, key, source, "annotations")
        for key in ("segmentations", "areas", "occlude_rate")
    )
    if not all(isinstance(values, list) and len(values) == frames for values in lists):
        raise InputError(
            f"{what}: 'segmentations', 'areas' and 'occlude_rate' must be lists with one item for "
            f"each of the {frames} images of video {annotation['video_id']}; {FIX}"
        )
    segmentations, areas, rates = lists
    for name, meaning, values in (("area", is_area, areas), ("occlude_rate", is_rate, rates)):
        for position, value in enumerate(values):
            if value is not None and not meaning(value):
                raise InputError(f"{what}, item {position}: {problem(name, value)}, or null; {FIX}")
    return segmentations, areas, [None if value is None else rate(value) for value in rates]
