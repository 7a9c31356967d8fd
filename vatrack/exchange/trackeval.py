"""A folder that TrackEval evaluates as YouTube-VIS: ground truth and one tracker, "vatrack".

<out>/gt/youtube_vis/youtube_vis_val/gt.json
<out>/trackers/youtube_vis/youtube_vis_val/vatrack/data/results.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MaskType
from vatrack.common.output_folders import atomic_directory, refuse_other_files
from vatrack.common.rle import decode
from vatrack.evaluation.io.ground_truth import read_objects
from vatrack.exchange.listing import Listing
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
    truth = {
        "videos": [
            {
                "id": video.id,
                "name": video.name,
                "width": video.width,
                "height": video.height,
                "length": len(video.rows),
                "file_names": list(video.file_names),
            }
            for video in listing.videos
        ],
        "categories": [{"id": key, "name": name} for key, name in listing.categories.items()],
        "annotations": _true_tracks(listing, mask_type),
    }
    with atomic_directory(out) as folder:
        for path, value in ((GROUND_TRUTH, truth), (RESULTS, results(tracks, listing))):
            (folder / path).parent.mkdir(parents=True)
            write_json(folder / path, value)
        refuse_other_files(out, lambda name: (folder / name).exists())
    return [*left_out(tracks), "evaluate it with TrackEval as benchmark YouTube-VIS, split 'val'"]


def _true_tracks(listing: Listing, mask_type: MaskType) -> list[dict[str, Any]]:
    """One annotation a track; masks as lists of runs, the only codes that TrackEval reads here."""
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
                "height": video.height,
                "width": video.width,
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
