"""The tree of clips, `<clip>/images/<file>`.

It is built from the raw tree by linking or copying; raw frames are never changed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import (
    ENDINGS,
    SUFFIXES,
    check_image,
    is_frame,
    read_image,
    write_image,
)
from vatrack.common.output_folders import check_replaced, refuse_other_files
from vatrack.common.parallel import ordered_map
from vatrack.common.paths import real
from vatrack.common.progress import progress
from vatrack.common.text_files import no_such
from vatrack.sailvos.layout import CLIP_MARK, is_file, list_folder
from vatrack.sailvos.resumed_tree import NOTE, resumed_tree
from vatrack.sailvos.structure import left_overs, read_structure, source_video, usable_clips

logger = logging.getLogger(__name__)

# Why a hard link may be impossible: another file system, one without links, no permission, too many
# links to one file.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
KEPT = "kept from an earlier run"

# Of what frames can become, what one of it is called.
COPIES = "copies"
ONE = {"hard links": "hard link", "symbolic links": "symbolic link", COPIES: "copy"}


@dataclass(frozen=True)
class ClipTree:
    """What `build_clip_tree` has made.

    Attributes:
        out: folder of the tree.
        clips: how many.
        frames: by the way they came: "hard links", "copies", ...
        left_over_empty, left_over_without_mark: names in the dictionary that are no clips.
    """

    out: Path
    clips: int
    frames: dict[str, int]
    left_over_empty: int
    left_over_without_mark: int

    def __str__(self) -> str:
        how = ", ".join(
            counted(count, ONE[used]) if used in ONE else f"{count} {used}"
            for used, count in self.frames.items()
        )
        empty, unmarked = self.left_over_empty, self.left_over_without_mark
        left = f"; skipped: {counted(empty, 'name')} without frames, {unmarked} without {CLIP_MARK}"
        ignored = left if empty or unmarked else ""
        return f"{counted(self.clips, 'clip')} in {self.out}: {how or 'no frames'}{ignored}"


def build_clip_tree(
    raw: Path, structure: Path, out: Path, mode: str, processes: int = 1
) -> ClipTree:
    """Builds the tree of clips in folder `out`, whole or not at all.

    Frames are written beside `out` first. After an error or when the program is killed, the next
    call resumes there; files that an earlier tree at `out` holds already (modes copy and png) are
    taken over. Frames whose raw file is another one now, or was changed, are made anew.

    Args:
        raw: raw tree; the frames of a clip come from the video named before `__`, or by the whole
            name.
        structure: clip dictionary; left-overs in it are left out.
        out: folder to make; an earlier tree there is replaced.
        mode: "hardlink" (no space, survives when the raw tree is moved; where the file system
            cannot, the frame is copied), "symlink" (absolute; breaks when the raw tree is moved),
            "copy", or "png" (lossless, as the published dataset).
        processes: processes that place frames side by side.

    Raises:
        InputError: a frame is missing or broken, `out` holds something else than a tree of clips,
            or another process is making it.
        OSError: the disk is full (nothing is kept then), or fails.
    """
    raw, out = Path(raw), Path(out)
    given = read_structure(structure)
    clips = usable_clips(given)
    require_frames(raw, map(source_video, clips), structure)
    target = _check_target(out, raw)
    jobs = list(_find_frames(raw, clips, mode, structure))
    made: Counter[str] = Counter()
    sources = {
        f"{job.clip}/images/{name}": source for job in jobs for name, source in job.frames.items()
    }
    with resumed_tree(target, mode, sources) as folder:
        placed = ordered_map(_put_clip, jobs, processes, (folder, mode))
        for counts in progress(placed, "building clip folders", len(jobs)):
            if mode == "hardlink" and counts[COPIES] and not made[COPIES]:
                logger.warning(
                    "hard links are not possible here: copying frames instead; clips.mode: symlink "
                    "would take no space"
                )
            made.update(counts)
    empty, unmarked = left_overs(given)
    return ClipTree(out, len(clips), dict(sorted(made.items())), len(empty), len(unmarked))


@dataclass(frozen=True)
class Job:
    """The frames of one clip: the name of each in the tree, and the raw file that it comes from."""

    clip: str
    frames: dict[str, str]


def _find_frames(
    raw: Path, clips: Mapping[str, list[str]], mode: str, structure: Path
) -> Iterator[Job]:
    """Finds the raw files of all frames; one listing of a folder is faster than a look for each."""
    listed: dict[str, dict[str, str]] = {}
    for clip, names in clips.items():
        video = source_video(clip)
        folder = raw / video / "images"
        if video not in listed:
            listed[video] = _list_frames(folder)
        files = listed[video]
        frames: dict[str, str] = {}
        for name in names:
            stem, dot, suffix = name.rpartition(".")
            if dot + suffix.lower() not in SUFFIXES:
                raise InputError(
                    f"{structure}: clip {clip}: {name} is not a {ENDINGS} file; correct its name"
                )
            found = (
                name
                if name in files
                else next((stem + end for end in SUFFIXES if stem + end in files), None)
            )
            if found is None:
                raise InputError(
                    f"{folder / name}: {no_such(folder / name, 'frame')}, but {structure} lists "
                    "it; unpack or copy it again"
                )
            target = f"{stem}.png" if mode == "png" else stem + found[len(stem) :]
            if target in frames:
                raise InputError(
                    f"{structure}: clip {clip} lists frame {stem} more than once; list it once"
                )
            frames[target] = files[found]
        yield Job(clip, frames)


def _list_frames(folder: Path) -> dict[str, str]:
    """Name to path of the images in a raw folder; links are resolved."""
    files = list_folder(Path(os.path.realpath(folder)))
    images = [file for file in files if is_frame(file.name) and is_file(file)]
    return {
        image.name: os.path.realpath(image.path) if image.is_symlink() else image.path
        for image in images
    }


def _put_clip(job: Job, shared: tuple[Path, str]) -> Counter[str]:
    """Puts the frames of one clip into the new tree; says how many in which way."""
    tree, mode = shared
    folder = tree / job.clip / "images"
    folder.mkdir(parents=True, exist_ok=True)
    # Plain text: for millions of frames, making a Path of each costs more than linking it.
    return Counter(_put(source, f"{folder}/{name}", mode) for name, source in job.frames.items())


def _put(source: str, target: str, mode: str) -> str:
    """Makes the file `target` of the raw frame `source` and says how."""
    if mode == "png":
        return _write(source, target, _convert, "converted to PNG")
    check_image(Path(source))
    if mode == "copy":
        return _write(source, target, shutil.copyfile, COPIES)
    link, how = (os.symlink, "symbolic links") if mode == "symlink" else (os.link, "hard links")
    try:
        link(source, target)
    except FileExistsError:  # resumes where another call was killed
        if _is_link(target, source, mode) or _is_whole(target, source):
            return KEPT
        Path(target).unlink()
        return _put(source, target, mode)
    except OSError as error:
        if error.errno not in _NO_LINK or mode == "symlink":
            raise
        return _write(source, target, shutil.copyfile, COPIES)
    return how


def _write(source: str, target: str, make: Callable[[str, str], Any], how: str) -> str:
    """Writes `target` whole or not at all, unless it is there."""
    if _is_whole(target, source):
        return KEPT
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/.{name}"
    make(source, temporary)
    os.replace(temporary, target)
    return how


def _is_link(path: str, source: str, mode: str) -> bool:
    """Whether `path` is the link to `source` that the mode makes."""
    if mode == "symlink":
        return Path(path).is_symlink() and str(Path(path).readlink()) == source
    return os.path.samestat(os.lstat(path), Path(source).stat())


def _is_whole(path: str, source: str) -> bool:
    """Whether a whole frame is at `path`, a file of its own and no link to `source`."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or os.path.samestat(found, Path(source).stat()):
            return False
        check_image(Path(path))
    except (OSError, InputError):
        return False
    return True


def _convert(source: str, target: str) -> None:
    write_image(Path(target), read_image(Path(source)))


def _check_target(out: Path, raw: Path) -> Path:
    """`check_replaced` of a tree of clips; it must not hold the raw frames."""
    if real(raw).is_relative_to(real(out)):
        raise InputError(
            f"{out}: contains the raw frames, which are never changed; choose another folder for "
            "the clips"
        )
    target = check_replaced(out)
    refuse_other_files(out, lambda path: path.parts[1:-1] == ("images",) or path == Path(NOTE))
    return target
