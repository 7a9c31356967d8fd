"""Outputs that are no plain files: links are followed, devices and pipes are refused."""

from __future__ import annotations

import os
from pathlib import Path

from vatrack.common.errors import InputError


def followed(path: Path) -> Path:
    """What a link leads to, at the end of all links; it may be missing. Any other path is
    returned as it is, because messages show it."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def refuse_special(path: Path) -> None:
    """Refuses a path whose file cannot be replaced by a new one.

    Names in /dev and /proc/*/fd stand for what a process has open: with a new file in its place,
    whoever reads there would get nothing.

    Raises:
        InputError: it is a device, a pipe or a socket, or a name of such a folder.
    """
    folder = Path(os.path.realpath(path.parent))
    special = path.exists() and not path.is_file() and not path.is_dir()
    if special or folder == Path("/dev") or folder.match("/proc/*/fd"):
        raise InputError(
            f"{path}: is a device or pipe, which cannot be written whole or not at all; choose a "
            "file for the output"
        )
