"""A folder given in place of the one that holds the frames: said once, not frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from vatrack.common.clutter import is_clutter
from vatrack.common.counted import few
from vatrack.common.errors import InputError
from vatrack.common.images import image_exists, is_frame
from vatrack.common.text_files import no_such

LOOKED_INTO = 100  # things in a folder among which frames, or a folder with them, are looked for


def require_frames(folder: Path, names: Iterable[str], source: Path | str) -> None:
    """Refuses a folder in which nothing is that a file lists.

    Args:
        folder: in which the names begin.
        names: paths of frames, or of their folders, parted by `/`; they are read up to the first
            that is there, so that a right folder costs no time.
        source: what lists them, for messages.

    Raises:
        InputError: there is no such folder, or it contains none of the files or folders that the
            names begin with.
    """
    if problem := lacks_all(folder, names, source):
        raise InputError(f"{folder}: {problem}")


def lacks_all(folder: Path, names: Iterable[str], source: Path | str) -> str:
    """What is wrong with the folder, as `require_frames` says it, and the fix; empty: nothing."""
    folder = Path(folder)
    if not folder.is_dir():
        return f"{no_such(folder, 'folder')}; give the folder of the frames that {source} lists"
    wanted: dict[str, None] = {}
    for name in names:
        top = name.split("/")[0]
        if top not in wanted and _holds(folder, top):
            return ""
        wanted[top] = None
    if not wanted:
        return ""
    return (
        f"contains no frames of {source}: expected {few(wanted)}, found {contents(folder)}; give "
        f"{nearest_with(folder, next(iter(wanted))) or 'the folder that contains them'}"
    )


def nearest_with(folder: Path, name: str) -> Path | None:
    """The folder above this one, or the first one in it, that contains what the name says."""
    near = (folder.absolute().parent, *folders_in(folder))
    return next((each for each in near if _holds(each, name)), None)


def frames_below(folder: Path) -> str:
    """Which folder with frames may be meant: those in this one, or in these; empty: none is."""
    below = folders_in(folder)
    levels = [below, [inner for each in below for inner in folders_in(each)]]
    found = next((some for level in levels if (some := list(filter(_has_frames, level)))), [])
    return "one of " * (len(found) > 1) + few(found)


def contents(folder: Path) -> str:
    """What a folder contains: the first names that are not hidden, for messages."""
    try:
        names = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    except OSError as error:
        return f"nothing readable ({error.strerror})"
    names = [name for name in names if not is_clutter(name)]
    return few(names) if names else "nothing"


def folders_in(folder: Path) -> list[Path]:
    """The first folders in a folder, by name; none where it cannot be read."""
    try:
        first = islice(folder.iterdir(), LOOKED_INTO)
        return sorted(item for item in first if item.is_dir() and not item.name.startswith("."))
    except OSError:
        return []


def _has_frames(folder: Path) -> bool:
    """Whether a frame is among the first files of a folder."""
    try:
        return any(is_frame(item.name) for item in islice(folder.iterdir(), LOOKED_INTO))
    except OSError:
        return False


def _holds(folder: Path, name: str) -> bool:
    try:
        return (folder / name).exists() or image_exists(folder / name)
    except (OSError, ValueError):  # what no file can be called, or a folder that may not be read
        return False
