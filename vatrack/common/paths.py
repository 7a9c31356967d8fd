"""What is at a path: links are followed; devices and pipes are refused as outputs.

A link that leads nowhere, or in a circle, counts as missing wherever it is looked for, and is
called `errors.BROKEN_LINK` where it is needed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from vatrack.common.errors import InputError

LOOKED_AT = 1000  # names in a folder, when one is missing


def real(path: Path) -> Path:
    """The absolute path without links; it may be missing.

    Unlike `Path.resolve`, which before Python 3.13 raises RuntimeError where links lead in a
    circle.
    """
    return Path(os.path.realpath(path))


def from_home(path: Path) -> Path:
    """A path with the home folder in place of its ~; nobody means a folder called ~."""
    try:
        return path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def same_file(first: Path | str, second: Path | str) -> bool:
    """Whether two paths name one file or folder, by whatever links; also one that is not there."""
    try:
        return Path(first).samefile(second)
    except (OSError, ValueError):
        return os.path.realpath(first) == os.path.realpath(second)


def followed(path: Path) -> Path:
    """What a link leads to, at the end of all links; it may be missing. Any other path is
    returned as it is, because messages show it."""
    return real(path) if path.is_symlink() else path


def refuse_special(path: Path) -> None:
    """Refuses a path whose file cannot be replaced by a new one.

    Names in /dev and /proc/*/fd stand for what a process has open: with a new file in its place,
    whoever reads there would get nothing.

    Raises:
        InputError: it is a device, a pipe or a socket, or a name of such a folder.
    """
    folder = real(path.parent)
    special = path.exists() and not path.is_file() and not path.is_dir()
    if special or folder == Path("/dev") or folder.match("/proc/*/fd"):
        raise InputError(
            f"{path}: is a device or pipe, which cannot be written whole or not at all; choose a "
            "file for the output"
        )


def exists(path: Path) -> bool:
    """`Path.exists`, which also takes a name that is too long for any file."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def is_link(path: Path) -> bool:
    """`Path.is_symlink`, of a name that is too long for any file, or below a folder that may not be
    entered, too: False."""
    try:
        return path.is_symlink()
    except OSError:
        return False


def look_again(folder: Path) -> None:
    """Changes a folder, so that a network file system asks its server what is in it: what other
    machines did there may otherwise stay unseen for a minute."""
    with suppress(OSError):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode))


def alike(path: Path) -> Path | None:
    """The path that is there where this one is missing, if only capitals, the Unicode form, `-`,
    `_` and spaces of its names differ, or one lacks its ending; or it is in quotes, or has `\\` for
    `/`.

    Example: where `Config/mine.yaml` is, `alike(Path("config/mine")) == Path("Config/mine.yaml")`
    """
    try:
        bare = Path(str(path).strip("'\" ").replace("\\", "/"))
        if bare != path and bare.name and bare.exists():  # nothing in quotes is no path
            return bare
        here = next(above for above in path.parents if above.is_dir())
        names = sorted(each.name for each in islice(here.iterdir(), LOOKED_AT))
        name, *rest = path.parts[len(here.parts) :]
        for found in names:
            if found != name and _plain(name) in (_plain(found), _plain(Path(found).stem)):
                other = here.joinpath(found, *rest)
                if other.exists():
                    return other
                if (here / found).is_dir() and (inner := alike(other)):
                    return inner
    except (OSError, StopIteration):  # it may not be looked for
        pass
    return None


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]+", " ", unicodedata.normalize("NFC", name).casefold())


def seen(look: Callable[[], bool]) -> bool:
    """What `Path.exists`, `Path.is_dir` or `Path.is_file` says of a path that a file names, perhaps
    one from another machine.

    False where a folder above may not be entered; there they raise (before Python 3.14).

    Example: `seen(path.is_dir)`
    """
    try:
        return look()
    except PermissionError:
        return False
