"""`vatrack annotate`: the official annotations (spec 1.2) from raw masks, where none are at hand.

Videos are worked on side by side. The images and annotations of each are written to files beside
the result, under numbers that count within the video; these are then joined in the order of the
videos. Memory holds one frame for each process.

What raw trees may lack is counted and said in the summary: a frame without a map (the image stays,
without annotations), a seen object without a folder or without the mask of that frame, or of a
model without a category (all left out), visible pixels outside the amodal mask (the mask is widened
by them), a folder without images/ or with too few frames (left out). What cannot be right is an
error: a file that does not decode, a map that does not hold ids from 0 on, sizes that differ, a
missing image, two folders of one object. Broken files are looked for to the end and named together;
nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, create_text, require_json
from vatrack.common.images import check_image
from vatrack.common.json_types import Json
from vatrack.common.output_folders import scratch_directory
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.sailvos.annotate.findings import Annotated, Findings, check_usable, describe_origin
from vatrack.sailvos.annotate.mask_files import MASK_SUFFIXES, read_amodal, read_ids
from vatrack.sailvos.annotate.masks import count_ids, describe_object
from vatrack.sailvos.annotate.models import ModelTable, read_models, resolve_models
from vatrack.sailvos.annotate.videos import (
    Video,
    find_models,
    list_numbered,
    plan_videos,
    select_videos,
)
from vatrack.sailvos.layout import FRAMES_BEFORE


@dataclass(frozen=True)
class Settings:
    """What the processes share: the raw tree, the folder of their files, the known models."""

    raw: Path
    scratch: Path
    known: dict[str, tuple[int, int]]


def annotate_files(
    raw: Path,
    out: Path,
    video: Sequence[str] = (),
    videos: Path | None = None,
    models: Path | None = None,
    processes: int = 1,
) -> Annotated:
    """Writes the annotations of some or all videos of a raw tree, whole or not at all.

    The lists are those of the official JSON (`vatrack.sailvos.official`); `info` says what the
    masks do not tell.

    Args:
        raw: raw tree.
        out: JSON file to write (optionally .gz).
        video: names of videos, in this order.
        videos: instead, a file with one name a line. With neither: all videos, sorted.
        models: what is known of the models, see `read_models`; None: only persons have a category.
        processes: videos worked on at a time; the file is the same for any number.

    Returns:
        What was written and found; as text, a summary of several lines.

    Raises:
        InputError: a video, image or `visible/` is missing, files cannot be used, bad `models`,
            or no object is annotated.
    """
    raw, out = Path(raw), Path(out)
    require_json(out, "annotations are")
    total = Findings()
    given = read_models(models)
    plans = plan_videos(raw, select_videos(raw, video, videos, total.note), total.note)
    table = resolve_models(find_models(raw), given)
    with scratch_directory(out) as scratch:
        settings = Settings(raw, scratch, table.known)
        # Long videos come first, so that no process is left alone with one at the end.
        order = sorted(range(len(plans)), key=lambda number: -len(plans[number].images))
        jobs = ((number, plans[number]) for number in order)
        results = ordered_map(_annotate_video, jobs, min(processes, len(plans)), settings)
        found = dict(zip(order, progress(results, "annotating videos", len(plans)), strict=True))
        for number in range(len(plans)):
            total.add(found[number])
        check_usable(total, raw, models)
        instances = [found[number].counts["instances"] for number in range(len(plans))]
        with atomic_path(out) as temporary, create_text(temporary) as stream:
            _write(stream, describe_origin(total, models), table, plans, instances, scratch)
    return Annotated(out, len(plans), sum(len(plan.images) for plan in plans), models, total)


def _annotate_video(job: tuple[int, Video], settings: Settings) -> Findings:
    """Writes the images and annotations of one video, one a line, each after its ids.

    A line of annotations begins with the numbers of its image and object in the video.
    """
    number, video = job
    findings = Findings()
    instances: dict[int, int] = {}

    @cache
    def masks_of(folder: Path) -> dict[int, str]:
        return list_numbered(folder, MASK_SUFFIXES)

    with (
        (settings.scratch / f"{number}.images").open("w", encoding="utf-8") as images,
        (settings.scratch / f"{number}.annotations").open("w", encoding="utf-8") as annotations,
    ):
        for frame_id, name in enumerate(video.images):
            try:
                size = check_image(settings.raw / video.name / "images" / name)
                image = {"file_name": f"{video.name}/images/{name}", "frame_id": frame_id}
                image |= {"width": size[0], "height": size[1]}
                images.write(json.dumps(image)[1:] + "\n")
                file_number = frame_id + FRAMES_BEFORE
                for item in _annotate_frame(video, file_number, size, masks_of, settings, findings):
                    instance = instances.setdefault(item["obj_id"], len(instances))
                    annotations.write(f"{frame_id} {instance} {json.dumps(item)[1:]}\n")
                    findings.counts["annotations"] += 1
            except InputError as error:
                findings.add_broken(error)
    findings.counts["instances"] = len(instances)
    return findings


def _annotate_frame(
    video: Video,
    number: int,
    size: tuple[int, int],
    masks_of: Callable[[Path], dict[int, str]],
    settings: Settings,
    findings: Findings,
) -> Iterator[Json]:
    """The annotations of the seen objects of one frame, by `obj_id`, without other ids."""
    folder, where = settings.raw / video.name, f"{video.name}, frame {number}"
    if number not in video.maps:
        findings.note("frames_without_map", where)
        return
    ids = read_ids(folder / "visible" / video.maps[number], size)
    for obj_id, pixels in count_ids(ids).items():
        if obj_id not in video.objects:
            findings.note("objects_without_folder", f"object {obj_id} in {where}")
            continue
        model = video.objects[obj_id].model
        if model not in settings.known:
            findings.left_out[model] += 1
            continue
        masks = folder / video.objects[obj_id].folder
        path = masks / masks_of(masks).get(number, f"{number:06d}.png")
        try:
            amodal = read_amodal(path, size)
        except InputError as error:
            findings.add_broken(error)
            continue
        if amodal is None:
            findings.note("objects_without_mask", path)
            continue
        fields, outside = describe_object(ids, obj_id, pixels, amodal)
        if outside:
            findings.note("objects_beyond_mask", path)
            findings.counts["pixels"] += outside
        model_id, category_id = settings.known[model]
        yield {"category_id": category_id, "obj_id": obj_id, "model_id": model_id, **fields}


def _write(
    stream: IO[str],
    info: Json,
    table: ModelTable,
    videos: list[Video],
    instances: list[int],
    scratch: Path,
) -> None:
    """Joins the files of the videos into one JSON file, line by line."""
    lists = {
        "categories": map(json.dumps, table.categories),
        "models": map(json.dumps, table.models),
        "videos": map(json.dumps, _video_items(videos, table)),
        "images": _image_texts(len(videos), scratch),
        "annotations": _annotation_texts(videos, instances, scratch),
    }
    stream.write('{"info": ' + json.dumps(info))
    for name, texts in lists.items():
        stream.write(f',\n"{name}": [')
        for number, text in enumerate(texts):
            stream.write((",\n" if number else "\n") + text)
        stream.write("]")
    stream.write("}\n")


def _video_items(videos: list[Video], table: ModelTable) -> Iterator[Json]:
    for number, video in enumerate(videos):
        objects = sum(item.model in table.known for item in video.objects.values())
        counts = {"num_frames": len(video.images), "num_objs": objects}
        yield {"id": number, "name": video.name, "vid_name": video.name, **counts}


def _image_texts(videos: int, scratch: Path) -> Iterator[str]:
    lines = ((video, line) for video in range(videos) for line in _lines(scratch, video, "images"))
    for number, (video, line) in enumerate(lines):
        yield f'{{"id": {number}, "video_id": {video}, {line}'


def _annotation_texts(videos: list[Video], instances: list[int], scratch: Path) -> Iterator[str]:
    number = first_image = first_instance = 0
    for position, video in enumerate(videos):
        for line in _lines(scratch, position, "annotations"):
            frame, own, rest = line.split(" ", 2)
            image, instance = first_image + int(frame), first_instance + int(own)
            yield f'{{"id": {number}, "image_id": {image}, "instance_id": {instance}, {rest}'
            number += 1
        first_image += len(video.images)
        first_instance += instances[position]


def _lines(scratch: Path, video: int, what: str) -> Iterator[str]:
    """The lines of a file, which is removed then: the disk need not hold it and the result."""
    path = scratch / f"{video}.{what}"
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\n")
    path.unlink()
