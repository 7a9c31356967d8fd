"""Writes what the methods read of a joint JSON.

Masks are all that is needed; boxes, areas and occlusion rates are computed from them. The file is
read twice: once for what goes where, once video by video. Memory holds its small lists, some
numbers for each annotation, and the annotations of one video.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import existing_image
from vatrack.common.json_lists import Texts
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MaskType
from vatrack.common.output_folders import scratch_directory
from vatrack.common.text_files import unpacked
from vatrack.config.dataset import DatasetConfig, ValidationConfig
from vatrack.config.methods import Method
from vatrack.data.form_files import (
    SEPARATOR,
    check_folder,
    finish,
    form_file,
    move_files,
    write_head,
)
from vatrack.data.joint.annotations import complete, make_form
from vatrack.data.joint.faults import JointFault, missing
from vatrack.data.joint.file import JointFile, read_joint
from vatrack.data.joint.masks import mask_faults
from vatrack.data.video_ground_truth import video_ground_truth


@dataclass(frozen=True)
class Prepared:
    """What `prepare_joint` has written.

    Attributes:
        out: the folder.
        kept: annotations in the forms, of so many `annotations` of the file.
        incomplete: left out, because they lack a mask that the others have.
        tracks: of the videos; where nothing is known about tracks (`trackless`), objects in images.
        notes: what the masks or the videos do not allow, in sentences.
    """

    out: Path
    videos: int
    frames: int
    kept: int
    annotations: int
    incomplete: int
    tracks: int
    mask_types: tuple[MaskType, ...]
    notes: tuple[str, ...]
    trackless: bool

    def __str__(self) -> str:
        tracks = counted(self.tracks, "object" if self.trackless else "track")
        first = (
            f"{counted(self.videos, 'video')}, {counted(self.frames, 'frame')}, {self.kept} of "
            f"{counted(self.annotations, 'annotation')} with {' and '.join(self.mask_types)} "
            f"masks, {tracks} in {self.out}"
        )
        return "\n".join([first, *self.notes])


def prepare_joint(
    source: Path,
    images: Path,
    dataset: DatasetConfig,
    out: Path,
    methods: Sequence[Method] = (),
) -> Prepared:
    """Writes what the methods read of own annotations into a folder, or nothing.

    `joint.json`, the forms of the methods that the masks allow, and `video_TYPE.json` of every mask
    type that is there (spec 1.5, 1.6). Category ids stay those of the file: names say which class
    is which.

    Args:
        images: folder that `file_name` is relative to.
        methods: those that are to be trained.

    Raises:
        InputError: see `read_joint`, `complete` and `mask_faults`; the classes are not those of
            the config; a frame is missing; or the masks do not allow a method.
    """
    out = check_folder(out, source)
    data = read_joint(source)
    if dataset.class_list is not None:
        data.classes.labels(dataset.class_list)
    if wrong := method_fault(data, methods):
        raise wrong.error(data.path)
    require_frames(Path(images), (image["file_name"] for image in data.images), source)
    for image in data.images:
        existing_image(Path(images) / image["file_name"])
    types = data.mask_types
    forms = list(dict.fromkeys(["joint", *(method.form for method in data.methods)]))
    head = {"categories": data.categories, "videos": data.videos, "images": data.images}
    kept = incomplete = tracks = 0
    limit = min(dataset.video_limit, dataset.frame_limit)
    with scratch_directory(out) as scratch:
        texts = Texts(unpacked(data.path, scratch))
        folder = scratch / "annotations"
        folder.mkdir()
        with ExitStack() as stack:
            writers = {
                form: stack.enter_context(form_file(folder / f"{form}.json", head))
                for form in forms
            }
            streams = {
                name: stack.enter_context((folder / f"video_{name}.json").open("wb"))
                for name in types
            }
            for stream in streams.values():
                write_head(stream, {key: head[key] for key in ("categories", "videos")})
            for video, items in _by_video(data, texts, dataset.validation):
                whole = [item for item in items if all(f"{name}_mask" in item for name in types)]
                incomplete += len(items) - len(whole)
                found = [a for a in whole if a.get("occlude_rate", 0.0) < dataset.frame_limit]
                kept += len(found)
                ids = np.array([item["image_id"] for item in found], np.int64)
                for form, writer in writers.items() if found else ():
                    made = (make_form(item, form, types, dataset.joint_box) for item in found)
                    writer.add([orjson.dumps(item) for item in made], ids)
                new = _tracks(video, data, found, types, limit)
                for name, stream in streams.items():
                    for number, item in enumerate(new[name], start=tracks + 1):
                        stream.write(SEPARATOR if number > 1 else b"")
                        stream.write(orjson.dumps({**item, "id": number}))
                tracks += len(new[types[0]])
            for stream in streams.values():
                finish(stream)
        move_files(folder, out)
    return Prepared(
        out,
        videos=len(data.videos),
        frames=len(data.images),
        kept=kept,
        annotations=len(data.image),
        incomplete=incomplete,
        tracks=tracks,
        mask_types=types,
        notes=_notes(data, incomplete),
        trackless=bool(data.trackless),
    )


def method_fault(data: JointFile, methods: Sequence[Method]) -> JointFault | None:
    """The methods that the masks of a file do not allow, with those that they do; None: all are
    allowed."""
    others = [method for method in methods if method not in data.methods]
    if not others:
        return None
    (name,) = data.mask_types
    needs = ", ".join(f"{each.value} needs {' and '.join(each.masks)} ones" for each in others)
    allowed = ", ".join(each.value for each in data.methods)
    return JointFault(
        "method-masks", "", f"has only {name} masks, but {needs}; set methods: [{allowed}]"
    )


def _by_video(
    data: JointFile, texts: Texts, settings: ValidationConfig
) -> Iterator[tuple[Json, list[Json]]]:
    """The completed annotations of every video, in file order.

    Raises:
        InputError: what `validate` calls an error in them, and `settings` do not accept.
    """
    order = np.argsort(data.video, kind="stable")
    bounds = np.searchsorted(data.video[order], np.arange(len(data.videos) + 1))
    for number, video in enumerate(data.videos):
        rows = order[bounds[number] : bounds[number + 1]]
        items = [
            texts.load(offset, length)
            for offset, length in zip(
                data.offsets[rows].tolist(), data.lengths[rows].tolist(), strict=True
            )
        ]
        frames = [data.images[row] for row in data.image[rows].tolist()]
        for item in items:
            item["video_id"] = video["id"]
            if data.single:
                # Objects of one frame need no track; their own ids tell them apart.
                item["instance_id"] = item["id"]
            elif item.get("instance_id") is None:
                raise missing("annotations", item, "instance_id").error(data.path)
        sizes = [(frame["height"], frame["width"]) for frame in frames]
        done = complete(items, sizes, data.path)
        for item in done:
            for fault in mask_faults(item, settings.masks):
                if fault.finding not in settings.accept:
                    raise fault.error(data.path)
        yield video, done


def _tracks(
    video: Json,
    data: JointFile,
    items: Sequence[Json],
    types: tuple[MaskType, ...],
    limit: float,
) -> dict[MaskType, list[Json]]:
    document = {
        "categories": [],
        "videos": [video],
        "images": list(data.images_of[video["id"]]),
        "annotations": items,
    }
    try:
        return {name: video_ground_truth(document, name, limit)["annotations"] for name in types}
    except InputError as error:
        raise InputError(f"{data.path}: {error}") from None


def _notes(data: JointFile, incomplete: int) -> tuple[str, ...]:
    notes = []
    if len(data.mask_types) == 1:
        allowed = ", ".join(method.value for method in data.methods)
        notes.append(f"only {data.mask_types[0]} masks: only {allowed} can be trained")
    if incomplete:
        notes.append(
            f"skipped {counted(incomplete, 'annotation')} without a mask that others have; add the "
            "missing masks, or remove that mask type from all annotations"
        )
    if data.trackless:
        notes.append(
            f"{data.trackless}: images are treated independently; training pairs are a frame with "
            "itself, so that tracking is not trained, and validation has only image metrics"
        )
    return tuple(notes)
