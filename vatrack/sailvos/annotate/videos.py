"""What lies in the folders of raw videos that have masks: pictures, maps and mask folders, by
number and object."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.images import SUFFIXES
from vatrack.sailvos.annotate.masks import list_numbered
from vatrack.sailvos.layout import CLIP_MARK, FRAMES_AFTER, FRAMES_BEFORE, list_videos, safe_name

# <objid>_<ModelName>; 0 is the background.
_OBJECT = re.compile(r"0*([1-9][0-9]*)_(.+)", re.ASCII)

Note = Callable[[str, object], None]


@dataclass(frozen=True)
class RawObject:
    """An object of a video: its folder of amodal masks and the name of its 3-D model."""

    folder: str
    model: str


@dataclass(frozen=True)
class Video:
    """One raw video.

    Attributes:
        pictures: file names of the annotated frames, by `frame_id`.
        maps: file names in `visible/`, by file number.
        objects: by object id.
    """

    name: str
    pictures: tuple[str, ...]
    maps: dict[int, str]
    objects: dict[int, RawObject]


def select_videos(raw: Path, names: Sequence[str], file: Path | None, note: Note) -> list[str]:
    """The names of the wanted videos, in their order: `names`, or those in `file` (one a line), or
    all of the tree, sorted.

    Folders that have masks but no `images/` are told to `note`.

    Raises:
        InputError: both are given, a name is no video of the tree, or is there twice.
    """
    present = list_videos(raw)
    if names and file:
        raise InputError(f"{file}: give the videos either by name or by this file, not both")
    if file:
        try:
            names = [
                line.strip()
                for line in Path(file).read_text(encoding="utf-8-sig").splitlines()
                if line.strip()
            ]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file}: cannot be read ({error}); a text file with one name of a video a line is "
                f"needed"
            ) from None
        if not names:
            raise InputError(f"{file}: names no video; write one name a line")
    if not names:
        for folder in sorted(Path(raw).iterdir()):
            if folder.name not in present and (folder / "visible").is_dir():
                note("folders_without_images", folder)
        return present
    missing = [name for name in names if name not in present]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{Path(raw) / missing[0]}{more}: no such video (a folder with images/); unpack it or "
            f"correct the name"
        )
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InputError(f"{file or raw}: video {repeated[0]} is named twice; name it once")
    return list(names)


def plan_videos(raw: Path, names: Sequence[str], note: Note) -> list[Video]:
    """Lists the files of videos; no file is opened. Videos without annotated frames are told to
    `note` and left out.

    Raises:
        InputError: a name of a video is unsafe, `visible/` or a picture is missing, two folders
            have one object id, or no video is left.
    """
    videos = [_plan_video(Path(raw) / safe_name(name, str(raw)), note) for name in names]
    found = [video for video in videos if video.pictures]
    if not found:
        frames = FRAMES_BEFORE + FRAMES_AFTER
        raise InputError(
            f"{raw}: no video has an annotated frame (it needs more than {frames} pictures); "
            f"unpack all of them"
        )
    return found


def _plan_video(folder: Path, note: Note) -> Video:
    if CLIP_MARK in folder.name:
        raise InputError(
            f"{folder}: has {CLIP_MARK!r} in its name, which parts clips from videos; rename it"
        )
    if not (folder / "visible").is_dir():
        mend = "unpack them, or choose other videos with --video or --videos"
        raise InputError(
            f"{folder / 'visible'}: no such folder, so the masks of this video are missing; {mend}"
        )
    pictures = list_numbered(folder / "images", SUFFIXES)
    maps = list_numbered(folder / "visible", (".npy",))
    last = max(pictures, default=-1)
    annotated = range(FRAMES_BEFORE, last + 1 - FRAMES_AFTER)
    missing = [number for number in annotated if number not in pictures]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{folder / 'images'}: there is no picture {missing[0]:06d}{more}; unpack that video "
            f"again"
        )
    if not annotated:
        note("videos_without_frames", folder)
    elif max(maps, default=0) > last:
        note("videos_with_more_maps", folder)
    return Video(
        folder.name, tuple(pictures[number] for number in annotated), maps, _objects(folder)
    )


def _objects(folder: Path) -> dict[int, RawObject]:
    found: dict[int, RawObject] = {}
    for obj_id, item in _object_folders(folder):
        other = found.setdefault(obj_id, item)
        if other != item:
            names = " and ".join(sorted((other.folder, item.folder)))
            raise InputError(
                f"{folder}: {names} have the same object id; an object has one folder: unpack that "
                f"video again"
            )
    return found


def _object_folders(folder: Path) -> Iterator[tuple[int, RawObject]]:
    for entry in folder.iterdir():
        match = _OBJECT.fullmatch(entry.name)
        if match and entry.is_dir():
            yield int(match[1]), RawObject(entry.name, match[2])


def find_models(raw: Path) -> set[str]:
    """The names of the models in all folders of a raw tree."""
    return {
        item.model
        for folder in Path(raw).iterdir()
        if folder.is_dir()
        for _, item in _object_folders(folder)
    }
