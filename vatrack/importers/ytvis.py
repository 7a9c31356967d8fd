"""YouTube-VIS 2019, 2021 and 2022, and OVIS: visible tracks, one annotation each."""

from __future__ import annotations

from collections.abc import Iterator

from vatrack.common.errors import InputError
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.importers.dataset import (
    FIX,
    ONLY_VISIBLE,
    WRONG_LISTS,
    Dataset,
    Frames,
    Object,
    Settings,
    class_list,
    listed,
    required,
)
from vatrack.importers.writing import is_absent


def read(settings: Settings) -> Dataset:
    """Reads one file. Frames are in the order of `file_names`; the annotation id is the track.

    OVIS's level of occlusion stays in `occlusion`.
    """
    path = settings.only_source()
    frames, categories = Frames(), []
    images: dict[int, list[Json]] = {}
    labelled = False
    for item in read_lists(path, ("videos", "categories"), fix=WRONG_LISTS):
        if item.section == "categories":
            categories.append(item.value)
        labelled |= item.section == "annotations"
        if item.section != "videos":
            continue
        number = required(item.value, "id", f"{path}: an item of `videos`")
        where = f"{path}: video {number}"
        if number in images:
            raise InputError(f"{where} is listed twice; {FIX}")
        names = item.value.get("file_names")
        if not isinstance(names, list) or not names:
            raise InputError(
                f"{where}: has no list `file_names`; a video needs at least one frame; {FIX}"
            )
        if item.value.get("length") is not None:
            listed(names, item.value["length"], "file_names", where)
        size = (required(item.value, "height", where), required(item.value, "width", where))
        name = item.value.get("name")
        if name is None:
            name = str(names[0]).rpartition("/")[0] or number
        video = frames.video(str(name), source_id=number)
        images[number] = [
            frames.image(video, position, name, size, where) for position, name in enumerate(names)
        ]
    if not labelled:
        raise InputError(
            f"{path}: has videos but no annotations (like the published valid and test files); "
            "import the train file"
        )
    objects = _objects(settings, images)
    return Dataset(class_list(categories, path), frames, objects, lacks=ONLY_VISIBLE)


def _objects(settings: Settings, images: dict[int, list[Json]]) -> Iterator[Object]:
    path, seen = settings.only_source(), set[tuple[int, int]]()
    for element in read_lists(path):
        if element.section != "annotations":
            continue
        item = element.value
        track = required(item, "id", f"{path}: an item of `annotations`")
        where = f"{path}: annotation {track}"
        video = required(item, "video_id", where)
        if video not in images:
            raise InputError(f"{where}: video_id {video} is not in the list of videos; {FIX}")
        if (video, track) in seen:  # two objects would become one
            raise InputError(f"{where} is listed twice in video {video}; {FIX}")
        seen.add((video, track))
        frames = images[video]
        masks = listed(item.get("segmentations"), len(frames), "segmentations", where)
        levels = item.get("occlusion")
        if levels is not None:
            levels = listed(levels, len(frames), "occlusion", where)
        for position, (image, mask) in enumerate(zip(frames, masks, strict=True)):
            if is_absent(mask):
                continue
            fields = {"source_id": track}
            if levels and levels[position] is not None:
                fields["occlusion"] = levels[position]
            yield Object(
                f"{where}, frame {position}",
                image,
                required(item, "category_id", where),
                track=track,
                visible=mask,
                crowd=item.get("iscrowd", 0),
                fields=fields,
            )
