"""The raw SAIL-VOS download on disk: its layout (spec 1.1)."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from vatrack.common.clutter import is_clutter
from vatrack.common.errors import InputError, with_fix
from vatrack.common.frame_folders import contents, folders_in
from vatrack.common.text_files import no_such
from vatrack.data.fields import is_safe_name, shown

# In every video the first and last frames have no annotation: annotation frame k is file k +
# FRAMES_BEFORE.
FRAMES_BEFORE = 3
FRAMES_AFTER = 6
# Separates the name of a clip from its source video; no video has it in its name (spec 1.4).
CLIP_MARK = "__"


def list_videos(raw: Path) -> list[str]:
    """The names of the video folders (those with `images/`), sorted.

    Raises:
        InputError: `raw` is not a folder or holds no video.
    """
    raw = Path(raw)
    if not raw.is_dir():
        raise InputError(
            f"{raw}: {no_such(raw, 'folder')}; put the raw download there (one folder per video)"
        )
    videos = [item.name for item in list_folder(raw) if is_video(item)]
    if not videos:
        around = [raw.absolute().parent] if (raw / "images").is_dir() else folders_in(raw)
        near = (
            folder
            for folder in around
            if any((inner / "images").is_dir() for inner in folders_in(folder))
        )
        give = next(near, "the folder that contains them")
        raise InputError(
            f"{raw}: contains no video folders (folders with images/), but {contents(raw)}; give "
            f"{give}, or unpack the raw download there"
        )
    return videos


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without what macOS and Windows add (`is_clutter`).

    Raises:
        InputError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            items = [item for item in found if not is_clutter(item.name)]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); unpack it, or correct "
            f"its name or permissions"
        ) from None
    return sorted(items, key=lambda item: item.name)


def is_video(item: os.DirEntry[str]) -> bool:
    """Whether it is the folder of a video: it has `images/`.

    Raises:
        InputError: it may not be looked into.
    """
    try:
        return Path(item.path, "images").is_dir()
    except OSError as error:
        raise InputError(with_fix(error, item.path)) from None


def folded(name: str) -> str:
    """What is left of a name without upper and lower case and Unicode form.

    Some disks take names that are the same then for one.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_name(name: object, what: str) -> str:
    """`name` itself when it is safe as the name of one file or folder.

    Raises:
        InputError: it is not text, empty, absolute, `.` or `..`, or has a path separator or control
            character in it.
    """
    if not is_safe_name(name):
        raise InputError(
            f"{what}: {shown(name)} is not allowed as the name of a file or folder; correct it"
        )
    return str(name)


def is_file(item: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one; a broken link is none."""
    try:
        return item.is_file()
    except OSError:  # links in a circle
        return False


def is_folder(item: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a broken link is none."""
    try:
        return item.is_dir()
    except OSError:  # links in a circle
        return False
