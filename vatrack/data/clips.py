"""Clips: the dictionary that lists their frames (spec 1.4), and their tree on disk, `<clip>/images/<file>`.

The tree is built from the raw tree by linking or copying; raw frames are never changed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from pathlib import Path

import cv2

from vatrack.data.sailvos import CLIP_MARK, check_image, existing_image, read_image, safe_name
from vatrack.devices import progress
from vatrack.errors import InputError
from vatrack.files import atomic_directory, read_json

# Why a hard link may be impossible: another file system, one without links, no permission, too many links to one file.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


def source_video(clip: str) -> str:
    """The video that a clip is cut from: the name before `__`, or the whole name for a clip that is a whole video."""
    return clip.split(CLIP_MARK, 1)[0]


def read_structure(path: Path) -> dict[str, list[str]]:
    """Reads a dictionary of clips.

    Raises:
        InputError: not an object of lists of file names, an unsafe name, or a file twice in a clip.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not all(isinstance(names, list) for names in data.values()):
        raise InputError(f"{path}: not a dictionary of clips (clip name: list of file names)")
    for clip, names in data.items():
        safe_name(clip, f"{path}: clip")
        for name in names:
            safe_name(name, f"{path}: clip {clip}")
        if len(set(names)) != len(names):
            raise InputError(f"{path}: clip {clip} lists a file more than once")
    return data


def usable_clips(structure: dict[str, list[str]]) -> dict[str, list[str]]:
    """The entries of the published dictionary that are clips: with `__` in the name, and not empty (quirk D7)."""
    return {clip: sorted(names) for clip, names in structure.items() if CLIP_MARK in clip and names}


def build_clip_tree(raw: Path, structure: Path, out: Path, mode: str) -> str:
    """Builds the tree of clips in folder `out`, whole or not at all.

    Args:
        raw: raw tree; the frames of a clip come from the video named before `__`, or by the whole name.
        structure: dictionary of clips.
        out: folder to make; an earlier tree there is replaced.
        mode: "hardlink" (no space, survives when the raw tree is moved; where the file system cannot, the frame is copied),
            "symlink" (absolute; breaks when the raw tree is moved), "copy", or "png" (lossless, as the published data set).

    Returns:
        A summary line.

    Raises:
        InputError: a frame is missing or broken, or `out` holds something else than a tree of clips.
    """
    raw, out = Path(raw), Path(out)
    clips = read_structure(structure)
    _check_target(out, raw)
    made: Counter[str] = Counter()
    frames = [(clip, name) for clip, names in clips.items() for name in names]
    with atomic_directory(out) as folder:
        for clip in clips:
            (folder / clip / "images").mkdir(parents=True)
        for clip, name in progress(frames, "clip tree, frames", len(frames)):
            frame = existing_image(raw / source_video(clip) / "images" / name)
            made[_place(frame, folder / clip / "images" / name, mode)] += 1
    how = ", ".join(f"{count} {used}" for used, count in sorted(made.items()))
    return f"{len(clips)} clips in {out}: {how or 'no frames'}"


def _place(frame: Path, target: Path, mode: str) -> str:
    """Puts one frame into the tree; says how. The file keeps the raw suffix, or gets .png in mode png."""
    if mode == "png":
        if not cv2.imwrite(str(target.with_suffix(".png")), read_image(frame)):
            raise OSError(f"{target}: OpenCV could not write the picture")
        return "converted to PNG"
    check_image(frame)
    target = target.with_suffix(frame.suffix)
    frame = frame.resolve()
    if mode == "symlink":
        target.symlink_to(frame)
        return "symbolic links"
    if mode == "hardlink":
        try:
            os.link(frame, target)
            return "hard links"
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
    shutil.copyfile(frame, target)
    return "copies"


def _check_target(out: Path, raw: Path) -> None:
    """The old tree at `out` will be removed: it must be one, and must not hold the raw frames."""
    if raw.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{out}: holds the raw frames, which are never touched; choose another folder for the clips")
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out}: is a file; choose another name for the tree of clips")
    for entry in out.iterdir():
        # Hidden files are notes of programs, such as Snakemake's time stamp.
        if not entry.name.startswith(".") and (not entry.is_dir() or [item.name for item in entry.iterdir()] != ["images"]):
            raise InputError(f"{out}: holds {entry.name}, which is no clip; choose another folder for the clips")
