"""JSON files with the lists of COCO: categories, videos, images; annotations are streamed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.data.fields import is_whole
from vatrack.importers.dataset import (
    FIX,
    WRONG_LISTS,
    Dataset,
    Frames,
    Object,
    Settings,
    class_list,
    required,
)

# Names that a published file spells wrongly.
SPELLING = {"trcuk": "truck"}
TRACK = ("instance_id", "track_id")
POSITION = ("frame_id", "frame_index")


@dataclass(frozen=True)
class Lists:
    """The lists of all sources, and sentences on what was corrected.

    Attributes:
        images: of each source by their ids, which are unique in that file alone.
    """

    images: dict[Path, dict[int, Json]]
    categories: list[Json]
    frames: Frames
    notes: list[str]

    def annotations(self) -> Iterator[tuple[str, Json, Json]]:
        """What messages call an annotation, the annotation, and its image, one by one.

        Raises:
            InputError: an annotation belongs to no image.
        """
        for path, images in self.images.items():
            for element in read_lists(path, ("annotations",)):
                if element.section != "annotations":
                    continue
                item = element.value
                where = f"{path}: annotation {item.get('id', f'at byte {element.offset}')}"
                number = required(item, "image_id", where)
                if number not in images:
                    raise InputError(
                        f"{where}: image_id {number} is not in the list of images; {FIX}"
                    )
                yield where, item, images[number]

    def dataset(
        self, objects: Iterator[Object], *, lacks: str, whole_if_absent: bool = False
    ) -> Dataset:
        """All of it, with its objects."""
        return Dataset(
            self.categories, self.frames, objects, whole_if_absent, lacks, notes=self.notes
        )


def read_all(settings: Settings, default_classes: Callable[[], list[Json]] | None = None) -> Lists:
    """Reads everything but the annotations.

    Args:
        default_classes: the classes of a format whose files list none.

    Raises:
        InputError: a list is missing or wrong, or two files have different classes.
    """
    frames, images, notes = Frames(), {}, []
    categories: list[Json] = []
    for path in settings.sources:
        lists: dict[str, list[Json]] = defaultdict(list)
        labelled = tracked = False
        for item in read_lists(path, ("images", "annotations"), fix=WRONG_LISTS):
            if item.section in ("categories", "images", "videos"):
                lists[item.section].append(item.value)
            elif item.section == "annotations":
                labelled = True
                tracked = tracked or any(item.value.get(key) is not None for key in TRACK)
        if lists["videos"] and labelled and not tracked:
            lists["videos"].clear()
            notes.append(f"{path}: no annotation has a track, so images are treated independently")
        if default_classes:
            found = default_classes()
        else:
            found = class_list(lists["categories"], path)
            for category in found:
                name = category["name"]
                if name in SPELLING and SPELLING[name] not in {item["name"] for item in found}:
                    category["name"] = SPELLING[name]
                    notes.append(f"{path}: class {name!r} is renamed {SPELLING[name]!r}")
        if categories and found != categories:
            raise InputError(
                f"{path}: its classes ({_shown(found)}) differ from those of {settings.sources[0]} "
                f"({_shown(categories)}); import each file separately"
            )
        categories = found
        images[path] = _add_images(frames, lists, path, notes)
    return Lists(images, categories, frames, notes)


def _shown(categories: list[Json]) -> str:
    return few((f"{item['id']} {item['name']}" for item in categories), 10)


def _add_images(
    frames: Frames, lists: dict[str, list[Json]], path: Path, notes: list[str]
) -> dict[int, Json]:
    """Adds the images of a file, in the order of their videos; each is its own where there are
    none. Videos without images are left out, with a note."""
    found: dict[int, Json] = {}
    rows: dict[int, list[tuple[int, Json]]] = defaultdict(list)
    videos: dict[int, Json] = {}
    for item in lists["videos"]:
        number = required(item, "id", f"{path}: an item of `videos`")
        if number in videos:
            raise InputError(f"{path}: video {number} is listed twice; {FIX}")
        videos[number] = item
    for item in lists["images"]:
        number = required(item, "id", f"{path}: an item of `images`")
        where = f"{path}: image {number}"
        if number in found:
            raise InputError(f"{where} is listed twice; {FIX}")
        found[number] = {}
        if not videos:
            name = str(required(item, "file_name", where))
            video = frames.video(str(PurePosixPath(name).with_suffix("")), tracks=False)
            found[number] = _add(frames, video, 0, item, where)
            continue
        belongs = required(item, "video_id", where)
        if belongs not in videos:
            raise InputError(f"{where}: video_id {belongs} is not in the list of videos; {FIX}")
        position = next((item[key] for key in POSITION if item.get(key) is not None), None)
        if not isinstance(position, int) or not is_whole(position):
            raise InputError(f"{where}: has no integer `frame_id` or `frame_index`; {FIX}")
        rows[belongs].append((position, item))
    if frameless := videos.keys() - rows:
        notes.append(f"{path}: skipped {counted(len(frameless), 'video')} without images")
    for number, item in videos.items():
        if number in frameless:
            continue
        ordered = sorted(rows[number], key=lambda row: row[0])
        for (first, _), (second, image) in pairwise(ordered):
            if first == second:
                raise InputError(
                    f"{path}: image {image['id']}: frame {first} of video {number} is listed "
                    f"twice; {FIX}"
                )
        name = str(number if item.get("name") is None else item["name"])
        video = frames.video(name, source_id=number)
        for position, (_, image) in enumerate(ordered):
            where = f"{path}: image {image['id']}"
            found[image["id"]] = _add(frames, video, position, image, where)
    return found


def _add(frames: Frames, video: Json, position: int, item: Json, where: str) -> Json:
    size = (required(item, "height", where), required(item, "width", where))
    name = required(item, "file_name", where)
    return frames.image(video, position, name, size, where, source_id=item["id"])
