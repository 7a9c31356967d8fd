"""A folder that TrackEval evaluates as YouTube-VIS: ground truth and one tracker, "vatrack".

<out>/gt/youtube_vis/youtube_vis_val/gt.json
<out>/trackers/youtube_vis/youtube_vis_val/vatrack/data/results.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MaskType
from vatrack.common.output_folders import atomic_directory, refuse_other_files
from vatrack.common.rle import decode
from vatrack.evaluation.io.ground_truth import read_objects
from vatrack.exchange.listing import Listing, Video
from vatrack.exchange.tracks import Track
from vatrack.exchange.ytvis import left_out, results

FOLDER = True
GROUND_TRUTH = Path("gt/youtube_vis/youtube_vis_val/gt.json")
RESULTS = Path("trackers/youtube_vis/youtube_vis_val/vatrack/data/results.json")


def write(tracks: Sequence[Track], listing: Listing, mask_type: MaskType, out: Path) -> list[str]:
    """Writes both files into the folder `out`."""
    if not listing.document.get("annotations"):
        raise InputError(
            f"{listing.path}: has no annotations, which TrackEval needs; give the ground truth"
        )
    sizes = {video.id: _size(video, listing) for video in listing.videos if video.rows}
    truth = {
        "videos": [
            {
                "id": video.id,
                "name": video.name,
                **sizes.get(video.id, {}),
                "length": len(video.rows),
                "file_names": list(video.file_names),
            }
            for video in listing.videos
        ],
        "categories": [{"id": key, "name": name} for key, name in listing.categories.items()],
        "annotations": _true_tracks(listing, mask_type, sizes),
    }
    with atomic_directory(out) as folder:
        for path, value in ((GROUND_TRUTH, truth), (RESULTS, results(tracks, listing))):
            (folder / path).parent.mkdir(parents=True)
            write_json(folder / path, value)
        refuse_other_files(out, lambda name: (folder / name).exists())
    return [*left_out(tracks), "evaluate it with TrackEval as benchmark YouTube-VIS, split 'val'"]


def _size(video: Video, listing: Listing) -> dict[str, int]:
    """Height and width of all frames of a video.

    Raises:
        InputError: they have several.
    """
    sizes = listing.images.size[list(video.rows)]
    if (sizes != sizes[0]).any():
        raise InputError(
            f"{listing.path}: the frames of video {video.id} have different sizes, but TrackEval "
            "needs one size per video; evaluate them with `vatrack evaluate`"
        )
    height, width = sizes[0].tolist()
    return {"height": height, "width": width}


def _true_tracks(
    listing: Listing, mask_type: MaskType, sizes: Mapping[int, Mapping[str, int]]
) -> list[dict[str, Any]]:
    """One annotation a track; masks as lists of runs, the only codes that TrackEval reads here.

    Args:
        sizes: height and width of each video by its id.
    """
    images = listing.images
    objects = read_objects(listing.document, images, mask_type, str(listing.path))
    tracks: dict[tuple[int, int], dict[str, Any]] = {}
    for row, image in enumerate(objects.masks.image.tolist()):
        video = listing.video_of[int(images.video[image])]
        key = (video.id, int(objects.instance[row]))
        length = len(video.rows)
        track = tracks.setdefault(
            key,
            {
                "id": len(tracks) + 1,
                "video_id": video.id,
                "category_id": int(images.categories[objects.masks.category[row]]),
                "iscrowd": 0,
                **sizes[video.id],
                "length": length,
                "segmentations": [None] * length,
                "bboxes": [None] * length,
                "areas": [None] * length,
            },
        )
        frame = int(images.position[image])
        track["iscrowd"] |= int(objects.crowd[row])
        track["segmentations"][frame] = {
            "size": images.size[image].tolist(),
            "counts": decode(objects.masks.counts[row]),
        }
        track["bboxes"][frame] = objects.box[row].tolist()
        track["areas"][frame] = float(objects.area[row])
    return list(tracks.values())
