"""The per-video ground truth (spec 1.6) as columns: true tracks of one mask type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
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


def refuse_other_masks(
    true: TrueTracks,
    objects: TrueObjects,
    document: Mapping[str, Any],
    images: Images,
    mask_type: MaskType,
    source: str,
    truth: str,
) -> None:
    """Refuses the tracks of one mask type where the other one is wanted.

    They are told by their masks alone: all are masks that the joint ground truth has of the other
    type, and some of them it does not have of this one. Tracks with masks of their own, whatever
    these are, and those of a video in which nothing is hidden pass.

    Args:
        true: of a given file; `objects`: those of the joint ground truth, with their masks of
            `mask_type`; `document`: that ground truth.
        source, truth: the names of both files, for messages.

    Raises:
        InputError: as described.
    """
    given = set(zip(true.masks.image.tolist(), true.masks.counts, strict=True))
    image = objects.masks.image
    if given <= set(zip(image.tolist(), objects.masks.counts, strict=True)):
        return
    other = next(name for name in MASK_TYPES if name != mask_type)
    masks = [annotation.get(f"{other}_mask") for annotation in document["annotations"]]
    try:
        counts, _ = read_masks(masks, images.size[image], [""] * len(masks))
    except InputError:  # not all objects have one that is sound, and none is needed here
        return
    if given <= set(zip(image.tolist(), counts, strict=True)):
        raise InputError(
            f"{source}: its masks in video {true.video[0]} are the {other} ones of {truth}, not "
            f"the {mask_type} ones; give it as --video-ground-truth-{other}"
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
            f"each of the {counted(frames, 'image')} of video {annotation['video_id']}; {FIX}"
        )
    segmentations, areas, rates = lists
    for name, meaning, values in (("area", is_area, areas), ("occlude_rate", is_rate, rates)):
        for position, value in enumerate(values):
            if value is not None and not meaning(value):
                raise InputError(f"{what}, item {position}: {problem(name, value)}, or null; {FIX}")
    return segmentations, areas, [None if value is None else rate(value) for value in rates]
