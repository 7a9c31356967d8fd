"""AmodalSynthDrive: a JSON and an id map a frame. Amodal masks are there only where occluded."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.clutter import is_clutter
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.value_files import read_json
from vatrack.data.fields import shown
from vatrack.importers.dataset import (
    FIX,
    Dataset,
    Frames,
    Object,
    Settings,
    categories,
    read_id_map,
    required,
)
from vatrack.importers.writing import is_absent

CLASSES = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motor",
    33: "bike",
}
# Known wrong labels of the release: (sequence, camera, frame, wrong id) to the right one.
CORRECTED = {
    ("20230702032750_SoftRainSunset_Town10HD", "front", 22, 21): 27,
    ("20230706030929_WetCloudyNoon_Town10HD", "front", 71, 11): 26,
}
_NAME = re.compile(r"(?P<camera>.+)_full_(?P<frame>\d+)_aminseg\.json")
_ID = re.compile(r"0|[1-9][0-9]{0,8}")
_Labels = tuple[Path, str, str, int, Json]  # file, sequence, camera, frame, image


def read(settings: Settings) -> Dataset:
    """Reads all `*_aminseg.json` below the sources, with or without a folder for each camera.

    A video is a sequence of one camera. Visible is the id map where the amodal mask or the hidden
    part is missing, else amodal without the hidden part.
    """
    videos: dict[tuple[str, str], dict[int, Path]] = defaultdict(dict)
    for source in settings.sources:
        for path in sorted(source.rglob("*_aminseg.json")):
            if not is_clutter(path.name) and (match := _NAME.fullmatch(path.name)):
                key, frame = (path.parent.name, match["camera"]), int(match["frame"])
                if frame in videos[key]:
                    raise InputError(f"{path}: {videos[key][frame]} is the same frame; remove one")
                videos[key][frame] = path
    if not videos:
        raise InputError(
            f"{settings.sources[0]}: contains no <camera>_full_<number>_aminseg.json; give the "
            "folder amodal_instance_seg"
        )
    frames, labels = Frames(), []
    for (sequence, camera), paths in sorted(videos.items()):
        video = frames.video(f"{sequence}_{camera}")
        for position, (number, path) in enumerate(sorted(paths.items())):
            name = _image_name(settings.images, sequence, camera, path)
            image = frames.image_like(video, position, name, path.with_suffix(".png"))
            labels.append((path, sequence, camera, number, image))
    notes: list[str] = []
    return Dataset(
        categories(CLASSES), frames, _objects(labels, notes), whole_if_absent=True, notes=notes
    )


def _image_name(images: Path, sequence: str, camera: str, path: Path) -> str:
    stem = path.name.removesuffix("_aminseg.json") + "_rgb"
    names = [
        f"{folder}{stem}{suffix}"
        for folder in (f"{camera}/{sequence}/", f"{sequence}/")
        for suffix in (".jpg", ".png")
    ]
    return next((name for name in names if (images / name).is_file()), names[0])


def _objects(labels: list[_Labels], notes: list[str]) -> Iterator[Object]:
    other: Counter[int] = Counter()
    corrected = 0
    for path, sequence, camera, number, image in labels:
        document = read_json(path)
        if not isinstance(document, dict):
            raise InputError(f"{path}: not a JSON object of instances by id; {FIX}")
        ids = read_id_map(path.with_suffix(".png"))
        for key, item in document.items():
            where = f"{path}: instance {key:.80}"
            if not _ID.fullmatch(key) or not isinstance(item, dict):
                raise InputError(f"{where}: not an integer id with a JSON object; {FIX}")
            category = required(item, "category_id", where)
            right = CORRECTED.get((sequence, camera, number, category), category)
            corrected += right != category
            if right not in CLASSES:
                other[right] += 1
                continue
            occluded = item.get("occluded")
            if occluded not in (True, False):
                raise InputError(f"{where}: occluded is {shown(occluded)}; must be true or false")
            masks: dict[str, Any] = {"amodal": item.get("amodal_mask")}
            masks["hidden"] = item.get("occlusion_mask")
            if not occluded or any(map(is_absent, masks.values())):
                masks["visible"] = encode_bitmap(ids == int(key))
                # Without these masks, what is hidden of an occluded object is unknown.
                if not occluded:
                    masks = dict.fromkeys(MASK_TYPES, masks["visible"])
            track = required(item, "track_id", where)
            yield Object(where, image, right, track=track, fields={"track_id": track}, **masks)
    if corrected:
        notes.append(f"corrected {counted(corrected, 'known label error')} of the release")
    if other:
        shown_ids = ", ".join(map(str, sorted(other)))
        notes.append(
            f"skipped {counted(other.total(), 'object')} of other than the 10 classes: {shown_ids}"
        )
