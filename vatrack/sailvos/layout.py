"""The raw SAIL-VOS download on disk: its layout (spec 1.1)."""

from __future__ import annotations

from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.images import is_clutter
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
            f"{raw}: no such folder; the raw download is needed there (one folder per video)"
        )
    videos = sorted(
        path.name
        for path in raw.iterdir()
        if (path / "images").is_dir() and not is_clutter(path.name)
    )
    if not videos:
        raise InputError(
            f"{raw}: no video folder (one with images/ in it); unpack the raw download there"
        )
    return videos


def safe_name(name: object, what: str) -> str:
    """`name` itself when it is safe as the name of one file or folder.

    Raises:
        InputError: it is not text, empty, absolute, `.` or `..`, or has a path separator or control
            character in it.
    """
    if not is_safe_name(name):
        raise InputError(
            f"{what}: {shown(name)} cannot be the name of a file or folder; correct it"
        )
    return str(name)
