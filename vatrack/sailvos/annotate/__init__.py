"""`vatrack annotate`: the official annotations (spec 1.2) made from the raw masks, where the
official JSON is missing.

One video is one unit of work. Its images and annotations are written to files beside the result,
under numbers that count within the video; these are then joined in the order of the videos. Memory
holds one frame for each process.

What raw trees may lack is counted and said in the summary: a frame without a map (the image stays,
without annotations), a seen object without a folder or without the mask of that frame, or of a
model without a category (all left out), visible pixels outside the amodal mask (the mask is widened
by them), a folder without images/ or with too few frames (left out). What cannot be right is an
error: a file that does not decode, a map that does not hold ids from 0 on, sizes that differ, a
missing picture, two folders of one object. Broken files are looked for to the end and named
together; nothing is written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, create_text
from vatrack.common.images import check_image
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.sailvos.annotate.findings import Findings, check_usable, describe_origin, summarise
from vatrack.sailvos.annotate.masks import (
    count_ids,
    describe_object,
    list_numbered,
    read_amodal,
    read_ids,
)
from vatrack.sailvos.annotate.models import ModelTable, read_models, resolve_models
from vatrack.sailvos.annotate.videos import Video, find_models, plan_videos, select_videos
from vatrack.sailvos.layout import FRAMES_BEFORE

Json = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What the processes share: the raw tree, the folder of parts, the known models."""

    raw: Path
    parts: Path
    known: dict[str, tuple[int, int]]


def annotate_files(
    raw: Path,
    out: Path,
    video: Sequence[str] = (),
    videos: Path | None = None,
    models: Path | None = None,
    processes: int = 1,
) -> str:
    """Writes the annotations of some or all videos of a raw tree, whole or not at all.

    The lists are those of the official JSON (`vatrack.sailvos.official`); `info` says what the
    masks do not tell.

    Args:
        raw: raw tree.
        out: JSON file to write (optionally .gz).
        video: names of videos, in this order; `videos`: a file with one name a line. Neither: all
            videos, sorted.
        models: what is known of the models, see `read_models`; None: only persons have a category.
        processes: videos worked on at a time; the file is the same for any number.

    Returns:
        A summary of several lines.

    Raises:
        InputError: a video, picture or `visible/` is missing, files cannot be used, bad `models`,
            or no object is annotated.
    """
    raw, out = Path(raw), Path(out)
    total = Findings()
    given = read_models(models)
    plans = plan_videos(raw, select_videos(raw, video, videos, total.note), total.note)
    table = resolve_models(find_models(raw), given)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as parts:
        found = _annotate_videos(plans, Settings(raw, Path(parts), table.known), processes)
        for findings in found:
            total.add(findings)
        check_usable(total, raw, models)
        with atomic_path(out) as temporary, create_text(temporary) as stream:
            _write(stream, describe_origin(total, models), table, plans, found, Path(parts))
    return summarise(total, len(plans), sum(len(plan.pictures) for plan in plans), models, out)


def _annotate_videos(plans: list[Video], settings: Settings, processes: int) -> list[Findings]:
    # Long videos come first, so that no process is left alone with one at the end.
    order = sorted(range(len(plans)), key=lambda place: -len(plans[place].pictures))
    jobs = ((place, plans[place]) for place in order)
    results = ordered_map(_annotate_video, jobs, min(processes, len(plans)), settings)
    found = dict(zip(order, progress(results, "annotating videos", len(plans)), strict=True))
    return [found[place] for place in range(len(plans))]


def _part(parts: Path, place: int, kind: str) -> Path:
    return parts / f"{place}.{kind}"


def _annotate_video(job: tuple[int, Video], settings: Settings) -> Findings:
    """Writes the parts of one video.

    A line of images is the entry after its ids; one of annotations is the image's and the object's
    number in the video, then the entry after its ids.
    """
    place, video = job
    findings = Findings()
    instances: dict[int, int] = {}
    masks = _Masks(settings.raw / video.name, video)
    with (
        _part(settings.parts, place, "images").open("w", encoding="utf-8") as images,
        _part(settings.parts, place, "annotations").open("w", encoding="utf-8") as annotations,
    ):
        for frame_id, picture in enumerate(video.pictures):
            try:
                width, height = check_image(masks.folder / "images" / picture)
                size = {"width": width, "height": height}
                image = {
                    "file_name": f"{video.name}/images/{picture}",
                    "frame_id": frame_id,
                    **size,
                }
                images.write(json.dumps(image)[1:] + "\n")
                for item in _annotate_frame(
                    masks, frame_id + FRAMES_BEFORE, (width, height), settings, findings
                ):
                    instance = instances.setdefault(item["obj_id"], len(instances))
                    annotations.write(f"{frame_id} {instance} {json.dumps(item)[1:]}\n")
                    findings.annotations += 1
            except InputError as error:
                findings.add_broken(str(error))
    findings.instances = len(instances)
    return findings


def _annotate_frame(
    masks: _Masks, number: int, size: tuple[int, int], settings: Settings, findings: Findings
) -> Iterator[Json]:
    """The annotations of one frame, one for each object that is seen, by `obj_id`, without ids of
    the subset."""
    if number not in masks.video.maps:
        findings.note("frames_without_map", f"{masks.video.name}, frame {number}")
        return
    ids = read_ids(masks.folder / "visible" / masks.video.maps[number], size)
    for obj_id, pixels in count_ids(ids).items():
        if obj_id not in masks.video.objects:
            findings.note(
                "objects_without_folder", f"object {obj_id} in {masks.video.name}, frame {number}"
            )
            continue
        model = masks.video.objects[obj_id].model
        if model not in settings.known:
            findings.left_out[model] += 1
            continue
        try:
            amodal = read_amodal(masks.path(obj_id, number), size)
        except InputError as error:
            findings.add_broken(str(error))
            continue
        if amodal is None:
            findings.note("objects_without_mask", masks.path(obj_id, number))
            continue
        fields, outside = describe_object(ids, obj_id, pixels, amodal)
        if outside:
            findings.note("objects_beyond_mask", masks.path(obj_id, number))
            findings.pixels += outside
        model_id, category_id = settings.known[model]
        yield {"category_id": category_id, "obj_id": obj_id, "model_id": model_id, **fields}


class _Masks:
    """Finds the amodal masks of a video. Folders are only listed where names are not six digits
    wide."""

    def __init__(self, folder: Path, video: Video) -> None:
        self.folder, self.video = folder, video
        self.listed: dict[int, dict[int, str]] = {}

    def path(self, obj_id: int, number: int) -> Path:
        folder = self.folder / self.video.objects[obj_id].folder
        usual = f"{number:06d}.png"
        if (folder / usual).is_file():
            return folder / usual
        if obj_id not in self.listed:
            self.listed[obj_id] = list_numbered(folder, (".png",))
        return folder / self.listed[obj_id].get(number, usual)


def _write(
    stream: IO[str],
    origin: Json,
    table: ModelTable,
    videos: list[Video],
    found: list[Findings],
    parts: Path,
) -> None:
    """Joins the parts into one JSON file, entry by entry."""
    lists = {
        "categories": map(json.dumps, table.categories),
        "models": map(json.dumps, table.models),
        "videos": map(json.dumps, _video_entries(videos, table)),
        "images": _image_texts(len(videos), parts),
        "annotations": _annotation_texts(videos, found, parts),
    }
    stream.write('{"info": ' + json.dumps(origin))
    for name, texts in lists.items():
        stream.write(f',\n"{name}": [')
        for number, text in enumerate(texts):
            stream.write((",\n" if number else "\n") + text)
        stream.write("]")
    stream.write("}\n")


def _video_entries(videos: list[Video], table: ModelTable) -> Iterator[Json]:
    for number, video in enumerate(videos):
        objects = sum(item.model in table.known for item in video.objects.values())
        counts = {"num_frames": len(video.pictures), "num_objs": objects}
        yield {"id": number, "name": video.name, "vid_name": video.name, **counts}


def _image_texts(videos: int, parts: Path) -> Iterator[str]:
    number = 0
    for video_id in range(videos):
        for line in _lines(_part(parts, video_id, "images")):
            yield f'{{"id": {number}, "video_id": {video_id}, {line}'
            number += 1


def _annotation_texts(videos: list[Video], found: list[Findings], parts: Path) -> Iterator[str]:
    number = image = instance = 0
    for place, (video, findings) in enumerate(zip(videos, found, strict=True)):
        for line in _lines(_part(parts, place, "annotations")):
            frame, own, rest = line.split(" ", 2)
            yield (
                f'{{"id": {number}, "image_id": {image + int(frame)}, "instance_id": '
                f"{instance + int(own)}, {rest}"
            )
            number += 1
        image += len(video.pictures)
        instance += findings.instances


def _lines(part: Path) -> Iterator[str]:
    """The lines of a part, which is removed then: part and result are not both needed on the
    disk."""
    with part.open(encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\n")
    part.unlink()
