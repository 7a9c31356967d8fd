"""`vatrack convert`: official annotations to the four forms of clips and their tracks, streamed.

A plan of numbers says where every annotation goes; the texts are read by offset, rewritten in
parallel, and joined in order. Memory holds the plan (about 100 bytes for each annotation) and a few
pieces of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import refuse_same_file
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.output_folders import scratch_directory
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.common.text_files import unpacked
from vatrack.config.dataset import DatasetConfig
from vatrack.data.form_files import (
    SEPARATOR,
    check_folder,
    finish,
    form_file,
    move_files,
    write_head,
)
from vatrack.data.forms import FORMS
from vatrack.sailvos.categories import category_numbers, renumber
from vatrack.sailvos.official import Official, read_official
from vatrack.sailvos.regroup import ClipPlan, plan_clips
from vatrack.sailvos.rewrite import Piece, Settings, forms_of, tracks_of
from vatrack.sailvos.structure import read_structure

PIECE = 1 << 21  # bytes of official text that are rewritten at a time


@dataclass(frozen=True)
class Converted:
    """What `convert_files` has written.

    Attributes:
        out: the folder.
        clips, frames: in every form.
        kept: annotations in every form, of so many official `annotations`.
        max_occlusion: share up to which they were kept.
        tracks: in each file of per-track ground truth.
    """

    out: Path
    clips: int
    frames: int
    kept: int
    annotations: int
    max_occlusion: float
    tracks: int

    def __str__(self) -> str:
        return (
            f"{counted(self.clips, 'clip')}, {counted(self.frames, 'frame')}, {self.kept} of "
            f"{counted(self.annotations, 'annotation')} (occlusion up to {self.max_occlusion:g}), "
            f"{counted(self.tracks, 'track')} in {self.out}"
        )


def convert_files(
    official: Path, structure: Path, dataset: DatasetConfig, out: Path, processes: int = 1
) -> Converted:
    """Writes the four forms of a subset and its per-track ground truth into a folder, or nothing.

    `visible.json`, `amodal.json`, `joint.json`, `joint-2bbox.json` (spec 1.5), each with its
    `.store` (see `vatrack.data.store`), `video_amodal.json`, `video_visible.json` (spec 1.6).

    Args:
        processes: processes that rewrite annotations; the files are the same for any number.

    Raises:
        InputError: see `read_official`, `plan_clips`, `category_numbers`; or no image is in a clip,
            or a mask that is used is damaged.
    """
    out = check_folder(out, official, structure)
    if dataset.raw is not None:
        refuse_same_file(out, dataset.raw)
    data = read_official(official)
    numbers = category_numbers(data, dataset.class_list)
    plan = plan_clips(data, read_structure(structure), structure)
    if not len(plan.images):
        raise InputError(
            f"{official}: none of its images is in a clip of {structure}; give files of the same "
            "data"
        )
    rates = data.annotations.rates[plan.rows]
    kept = np.flatnonzero(rates < dataset.frame_limit)
    tracked = np.flatnonzero(rates < min(dataset.video_limit, dataset.frame_limit))
    head = _head(data, plan, numbers, ".png" if dataset.clips.mode == "png" else None)
    with scratch_directory(out) as scratch:
        settings = Settings(data.path, unpacked(data.path, scratch), numbers, dataset.joint_box)
        folder = scratch / "annotations"
        folder.mkdir()
        _write_forms(folder, head, plan, kept, data, settings, processes)
        tracks = _write_tracks(folder, head, plan, tracked, data, settings, processes)
        move_files(folder, out)
    return Converted(
        out,
        clips=len(plan.videos),
        frames=len(plan.images),
        kept=len(kept),
        annotations=len(plan.rows),
        max_occlusion=dataset.max_occlusion,
        tracks=tracks,
    )


def _head(
    data: Official, plan: ClipPlan, numbers: dict[int, int], suffix: str | None
) -> dict[str, list[Json]]:
    """The small lists of all forms."""
    images = plan.images
    if suffix is not None:
        images = [
            {**image, "file_name": str(Path(image["file_name"]).with_suffix(suffix))}
            for image in images
        ]
    return {
        "categories": renumber(data.categories, "id", numbers),
        "models": renumber(data.models, "category_id", numbers),
        "videos": plan.videos,
        "images": images,
    }


def _write_forms(
    folder: Path,
    head: dict[str, list[Json]],
    plan: ClipPlan,
    kept: np.ndarray,
    data: Official,
    settings: Settings,
    processes: int,
) -> None:
    table = data.annotations
    image_ids = np.array([image["id"] for image in data.images], np.int64)[
        table.images[plan.rows[kept]]
    ]
    bounds = np.flatnonzero(
        np.diff(np.cumsum(table.lengths[plan.rows[kept]]) // PIECE, prepend=-1, append=-1)
    )
    pieces = (_piece(kept[start:stop], plan, data) for start, stop in pairwise(bounds.tolist()))
    with ExitStack() as stack:
        writers = {
            form: stack.enter_context(form_file(folder / f"{form}.json", head)) for form in FORMS
        }
        results = ordered_map(forms_of, pieces, processes, settings)
        for start, texts in zip(
            bounds, progress(results, "annotations, pieces", max(0, len(bounds) - 1)), strict=False
        ):
            for form, items in texts.items():
                writers[form].add(items, image_ids[start : start + len(items)])


def _piece(
    rows: np.ndarray, plan: ClipPlan, data: Official, images: list[Json] | None = None
) -> Piece:
    table, official = data.annotations, plan.rows[rows]
    sizes = [
        (data.images[row]["height"], data.images[row]["width"])
        for row in table.images[official].tolist()
    ]
    return Piece(
        list(zip(table.offsets[official].tolist(), table.lengths[official].tolist(), strict=True)),
        list(zip(plan.clips[rows].tolist(), plan.instances[rows].tolist(), strict=True)),
        sizes,
        images or [],
    )


def _write_tracks(
    folder: Path,
    head: dict[str, list[Json]],
    plan: ClipPlan,
    tracked: np.ndarray,
    data: Official,
    settings: Settings,
    processes: int,
) -> int:
    """Writes the two files of per-track ground truth; returns the number of tracks."""
    clips = plan.clips[tracked]
    starts = np.searchsorted(clips, np.arange(1, len(plan.videos) + 2))
    frames = np.searchsorted(
        [image["video_id"] for image in head["images"]], np.arange(1, len(plan.videos) + 2)
    )

    def pieces() -> Iterator[Piece]:
        for clip in range(len(plan.videos)):
            images = head["images"][frames[clip] : frames[clip + 1]]
            yield _piece(tracked[starts[clip] : starts[clip + 1]], plan, data, images)

    count = 0
    with ExitStack() as stack:
        files = {
            mask_type: stack.enter_context((folder / f"video_{mask_type}.json").open("wb"))
            for mask_type in MASK_TYPES
        }
        for stream in files.values():
            write_head(stream, {key: head[key] for key in ("categories", "videos")})
        results = ordered_map(tracks_of, pieces(), processes, settings)
        for texts in progress(results, "tracks, clips", len(plan.videos)):
            for mask_type, items in texts.items():
                for number, item in enumerate(items, start=count + 1):
                    files[mask_type].write(
                        (SEPARATOR if number > 1 else b"") + b'{"id":%d,' % number + item[1:]
                    )
            count += len(texts[MASK_TYPES[0]])
        for stream in files.values():
            finish(stream)
    return count
