"""A folder given in place of the one that holds the frames: said once, not frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from vatrack.common.clutter import is_clutter
from vatrack.common.errors import InputError
from vatrack.common.images import image_exists
from vatrack.common.text_files import no_such

SHOWN = 3  # names in a message
LOOKED_INTO = 100  # neighbouring folders in which the frames are looked for


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
    first = next(iter(wanted))
    near = next(
        (place for place in (folder.absolute().parent, *_folders(folder)) if _holds(place, first)),
        "the folder that contains them",
    )
    return (
        f"contains no frames of {source}: expected {few(wanted)}, found {contents(folder)}; give "
        f"{near}"
    )


def contents(folder: Path) -> str:
    """What a folder contains: the first names, for messages."""
    try:
        names = sorted(item.name for item in folder.iterdir() if not is_clutter(item.name))
    except OSError as error:
        return f"nothing readable ({error.strerror})"
    return few(names) if names else "nothing"


def few(names: Iterable[str]) -> str:
    """The first of some names, for messages."""
    first = list(islice(names, SHOWN + 1))
    return ", ".join(first[:SHOWN]) + ", ..." * (len(first) > SHOWN)


def _folders(folder: Path) -> list[Path]:
    """The first folders in a folder; none where it cannot be read."""
    try:
        return sorted(item for item in islice(folder.iterdir(), LOOKED_INTO) if item.is_dir())
    except OSError:
        return []


def _holds(folder: Path, name: str) -> bool:
    try:
        return (folder / name).exists() or image_exists(folder / name)
    except (OSError, ValueError):  # what no file can be called, or a folder that may not be read
        return False
