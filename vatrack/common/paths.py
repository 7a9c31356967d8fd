"""What is at a path: links are followed; devices and pipes are refused as outputs.

A link that leads nowhere, or in a circle, counts as missing wherever it is looked for, and is
called `errors.BROKEN_LINK` where it is needed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vatrack.common.errors import InputError


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
