"""From official videos to clips: what goes where, under which numbers (spec 1.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.sailvos.layout import CLIP_MARK
from vatrack.sailvos.official import Official, image_file, video_name
from vatrack.sailvos.structure import source_video

Ints = npt.NDArray[np.int64]

# Fields of an annotation that are kept as they are, where the official file has them (spec 1.3).
KEPT = (
    "id",
    "image_id",
    "category_id",
    "obj_id",
    "model_id",
    "bbox",
    "bbox_visible",
    "segmentation",
    "visible_mask",
    "invisible_mask",
    "area",
    "area_visible",
    "iscrowd",
    "occlu_depth",
    "occlude_rate",
)


@dataclass(frozen=True)
class ClipPlan:
    """The order and the new numbers of everything, N annotations in all.

    Attributes:
        videos: items of the clips; their ids count from 1.
        images: items of the frames, clip by clip, by frame.
        rows: (N,) row of each annotation in the official table, in the new order.
        clips, instances: (N,) the new `video_id` and `instance_id` of each, in the new order.
    """

    videos: list[Json]
    images: list[Json]
    rows: Ints
    clips: Ints
    instances: Ints


def plan_clips(
    official: Official, structure: Mapping[str, Sequence[str]], structure_file: Path
) -> ClipPlan:
    """Orders official frames and annotations by clips (spec 1.3).

    Clips come in the order of the official list of videos, then of their frames; those of videos
    that are not in the list are left out. Clips are numbered from 1; frames restart at 0 in each.
    `instance_id` is numbered anew, from 1, in order of first appearance, and an object has another
    number in every clip (quirk D16). A clip that is a whole video keeps its `frame_id`s and
    `num_objs`, and tells objects apart by `obj_id`; others by `instance_id` where there is one
    (quirk D11).

    Args:
        structure: clip name to file names; suffixes are not compared.
        structure_file: where it was read, for messages.

    Raises:
        InputError: an annotation would be lost (quirk D9), a frame is in two clips, or a clip names
            a frame that the annotations do not have.
    """
    source = official.path
    clips = _frames_of_clips(official, structure, structure_file)
    images = official.images
    videos: list[Json] = []
    frames: list[Json] = []
    clip_of = np.zeros(len(images), np.int64)
    whole = np.zeros(len(images), bool)
    for video in official.videos:
        for clip, rows in clips[video_name(video, source)]:
            number, is_whole = len(videos) + 1, CLIP_MARK not in clip
            taken = [row for row in rows if clip_of[row]]
            if taken:
                raise InputError(
                    f"{structure_file}: clip {clip}: its frame {images[taken[0]]['file_name']} is "
                    "also in another clip; keep one of them"
                )
            clip_of[rows] = number
            whole[rows] = is_whole
            videos.append(
                _clip_item(number, clip, [images[row] for row in rows], video if is_whole else {})
            )
            for position, row in enumerate(rows):
                frames.append(
                    _image_item(
                        images[row], number, clip, images[row]["frame_id"] if is_whole else position
                    )
                )

    table = official.annotations
    lost = np.flatnonzero(clip_of[table.images] == 0)
    if len(lost):
        first = f"annotation {table.ids[lost[0]]} of image {images[table.images[lost[0]]]['id']}"
        count = len(np.unique(table.images[lost]))
        raise InputError(
            f"{source}: {counted(count, 'annotated image')} in no clip ({first}); use a clip "
            "dictionary with all annotated frames"
        )
    image_ids = np.array([image["id"] for image in images], np.int64)
    order = np.lexsort((image_ids[table.images], clip_of[table.images]))
    identity = np.where(whole[table.images], table.objects, table.instances)[order]
    numbers = clip_of[table.images][order]
    return ClipPlan(videos, frames, order, numbers, _number_instances(numbers, identity))


def regroup(annotation: Json, clip: int, instance: int) -> Json:
    """An official annotation under its new numbers."""
    kept = {key: annotation[key] for key in KEPT if key in annotation}
    return {**kept, "video_id": clip, "instance_id": instance}


def _frames_of_clips(
    official: Official, structure: Mapping[str, Sequence[str]], structure_file: Path
) -> dict[str, list[tuple[str, list[int]]]]:
    """For every video its clips by first frame, each with the rows of its images by `frame_id`."""
    source = official.path
    known: dict[str, dict[str, int]] = {video_name(video, source): {} for video in official.videos}
    for row, image in enumerate(official.images):
        name, file = image_file(image, source)
        known[name][Path(file).stem] = row
    clips: dict[str, list[tuple[str, list[int]]]] = {name: [] for name in known}
    for clip, files in structure.items():
        frames = known.get(source_video(clip))
        if frames is None:
            continue
        if not files:
            raise InputError(f"{structure_file}: clip {clip}: has no frames; remove it")
        rows = []
        for file in files:
            stem = Path(file).stem
            if stem not in frames:
                raise InputError(
                    f"{structure_file}: clip {clip}: its frame {file} is not in {source}; use "
                    "clips and annotations of the same data"
                )
            rows.append(frames[stem])
        if len(set(rows)) != len(rows):
            # The same name with two suffixes is one frame.
            twice = Counter(Path(file).stem for file in files).most_common(1)[0][0]
            raise InputError(
                f"{structure_file}: clip {clip}: its frame {twice} is listed more than once; keep "
                "one of them"
            )
        clips[source_video(clip)].append(
            (clip, sorted(rows, key=lambda row: official.images[row]["frame_id"]))
        )
    for found in clips.values():
        found.sort(key=lambda item: official.images[item[1][0]]["frame_id"])
    return clips


def _number_instances(clips: Ints, identity: Ints) -> Ints:
    """Numbers the pairs of clip and identity 1, 2, ... in order of first appearance."""
    if not len(clips):
        return np.zeros(0, np.int64)
    _, compact = np.unique(identity, return_inverse=True)
    keys = clips * (int(compact.max()) + 1) + compact
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    return rank[inverse]


def _clip_item(number: int, clip: str, images: list[Json], whole: Json) -> Json:
    size = {"width": images[-1]["width"], "height": images[-1]["height"]}
    item = {"id": number, "name": clip, **size, "num_frames": len(images)}
    return {**item, "num_objs": whole["num_objs"]} if "num_objs" in whole else item


def _image_item(image: Json, video_id: int, clip: str, frame_id: int) -> Json:
    file = Path(image["file_name"]).name
    size = {"width": image["width"], "height": image["height"]}
    return {
        "id": image["id"],
        "video_id": video_id,
        "file_name": f"{clip}/images/{file}",
        "frame_id": frame_id,
        **size,
    }
