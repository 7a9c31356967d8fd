"""Which files the folders of raw videos have: images, maps and masks, by number and object."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.images import SUFFIXES
from vatrack.common.similar import meant
from vatrack.common.text_files import no_such, read_text
from vatrack.sailvos.layout import (
    CLIP_MARK,
    FRAMES_AFTER,
    FRAMES_BEFORE,
    list_folder,
    list_videos,
    safe_name,
)

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
        images: file names of the annotated frames, by `frame_id`.
        maps: file names in `visible/`, by file number.
        objects: by object id.
    """

    name: str
    images: tuple[str, ...]
    maps: dict[int, str]
    objects: dict[int, RawObject]


def list_numbered(folder: Path, suffixes: Iterable[str]) -> dict[int, str]:
    """Files of a folder by their number; names may be of any width (`000003.png`, `3.png`).

    Args:
        folder: may be missing.
        suffixes: wanted ones in lower case. Of two files of one number that of the earlier suffix
            is taken, then the longer name. Other files are not looked at.
    """
    if not folder.is_dir():
        return {}
    ranks = {suffix: rank for rank, suffix in enumerate(suffixes)}
    paths = (Path(item.name) for item in list_folder(folder))
    files = [
        (ranks[file.suffix.lower()], -len(file.name), file.name, int(file.stem))
        for file in paths
        if file.suffix.lower() in ranks and file.stem.isascii() and file.stem.isdigit()
    ]
    return {number: name for _, _, name, number in sorted(files, reverse=True)}


def select_videos(raw: Path, names: Sequence[str], file: Path | None, note: Note) -> list[str]:
    """The names of the wanted videos: `names`, those in `file` (one a line), or all, sorted.

    Folders that have masks but no `images/` are told to `note`.

    Raises:
        InputError: both are given, a name is no video of the tree, or is there twice.
    """
    present = list_videos(raw)
    if names and file:
        raise InputError(f"{file}: both --video and --videos are given; use one of them")
    if file:
        lines = read_text(file, "a text file with one video name per line").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        if not names:
            raise InputError(f"{file}: contains no video names; write one name per line")
    if not names:
        for item in list_folder(raw):
            if item.name not in present and Path(item.path, "visible").is_dir():
                note("folders_without_images", item.path)
        return present
    missing = [name for name in names if name not in present]
    if missing:
        hint = meant(missing[0], present, "unpack it or correct the name")
        paths = [str(Path(raw) / name) for name in missing]
        raise InputError(f"{_first(paths)}: no such video (a folder with images/){hint}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{file or raw}: video {name} is listed twice; list it once")
    return list(names)


def plan_videos(raw: Path, names: Sequence[str], note: Note) -> list[Video]:
    """Lists the files of videos; no file is opened.

    Videos without annotated frames are told to `note` and left out.

    Raises:
        InputError: a name of a video is unsafe, `visible/` or an image is missing, two folders
            have one object id, or no video is left.
    """
    videos = [_plan_video(Path(raw) / safe_name(name, str(raw)), note) for name in names]
    found = [video for video in videos if video.images]
    if not found:
        frames = counted(FRAMES_BEFORE + FRAMES_AFTER, "image")
        raise InputError(
            f"{raw}: no video has an annotated frame (it needs more than {frames}); "
            f"unpack all of them"
        )
    return found


def _plan_video(folder: Path, note: Note) -> Video:
    if CLIP_MARK in folder.name:
        raise InputError(
            f"{folder}: has {CLIP_MARK!r} in its name, which separates video and clip names; "
            "rename it"
        )
    if folder.name.startswith("."):
        raise InputError(f"{folder}: starts with a dot (hidden in many programs); rename it")
    if not (folder / "visible").is_dir():
        raise InputError(
            f"{folder / 'visible'}: {no_such(folder / 'visible', 'folder')}, so this video has no "
            "masks; unpack them, or choose other videos with --video or --videos"
        )
    images = list_numbered(folder / "images", SUFFIXES)
    maps = list_numbered(folder / "visible", (".npy",))
    last = max(images, default=-1)
    annotated = range(FRAMES_BEFORE, last + 1 - FRAMES_AFTER)
    missing = [f"{number:06d}" for number in annotated if number not in images]
    if missing:
        raise InputError(
            f"{folder / 'images'}: missing image {_first(missing)}; unpack that video again"
        )
    if not annotated:
        note("videos_without_frames", folder)
    elif max(maps, default=0) > last:
        note("videos_with_more_maps", folder)
    objects: dict[int, RawObject] = {}
    for obj_id, item in _objects(folder):
        other = objects.setdefault(obj_id, item)
        if other != item:
            both = " and ".join(sorted((other.folder, item.folder)))
            raise InputError(f"{folder}: {both} have the same object id; unpack that video again")
    return Video(folder.name, tuple(images[number] for number in annotated), maps, objects)


def _objects(folder: Path) -> Iterator[tuple[int, RawObject]]:
    for item in list_folder(folder):
        match = _OBJECT.fullmatch(item.name)
        if match and Path(item.path).is_dir():
            yield int(match[1]), RawObject(item.name, match[2])


def _first(missing: Sequence[str]) -> str:
    return f"{missing[0]} and {len(missing) - 1} more" if len(missing) > 1 else missing[0]


def find_models(raw: Path) -> set[str]:
    """The names of the models in all folders of a raw tree."""
    folders = (Path(item.path) for item in list_folder(raw))
    return {item.model for path in folders if path.is_dir() for _, item in _objects(path)}
