"""The exceptions of the package, and how warnings are shown.

VatrackError
└── InputError            bad input: one message, no traceback, exit code 2
    ├── ConfigError       a setting that cannot be used
    ├── InvalidData       `validate` found an error in the data
    ├── FolderBusy        another process is at work in a folder
    │   └── FolderLost    it has begun after this one, whose lock was lost
    └── TrainingDiverged  numbers of a training are not finite
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class VatrackError(Exception):
    """What this package raises on purpose."""


class InputError(VatrackError):
    """Bad input, not a bug. The message names the file, the item and the fix.

    The command line prints the message and exits with 2.

    Attributes:
        misfit: two files do not fit each other, and either may be the wrong one.

    Example:
        ```python
        try:
            vatrack.load("frames/000000.png")
        except vatrack.InputError as error:
            print(error)
        ```
    """

    misfit = False

    def is_about(self, path: Path | str) -> bool:
        """Whether the message may be about this file: it begins with its path, or any may be
        wrong."""
        return self.misfit or str(self).startswith((f"{path}:", f"{Path(path)}:"))

    def without(self, *begins: Path | str) -> str:
        """The message without the file, and then the item, that it is shown beside."""
        text = str(self)
        for begin in begins:
            text = text.removeprefix(f"{begin}: ")
        return text


class ConfigError(InputError):
    """A setting that cannot be used, found by code that does not know the config's file.

    Args:
        key: its full name.
        problem: what is wrong with it, and the fix.

    Attributes:
        source: what the message calls the config; whoever knows its file sets it.
    """

    source = "config"

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(key, problem)
        self.key, self.problem = key, problem

    def __str__(self) -> str:
        return f"{self.source}: {self.key}: {self.problem}"


class InvalidData(InputError):
    """Data that `validate` found errors in. The message lists the findings.

    Attributes:
        files: where the errors were found.
    """

    def __init__(self, message: str, files: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.files = frozenset(files)

    def is_about(self, path: Path | str) -> bool:
        """Whether an error was found in this file."""
        return str(Path(path)) in self.files or str(path) in self.files


class FolderBusy(InputError):
    """Another process is at work in a folder that one process must have for itself."""


class FolderLost(FolderBusy):
    """Another process has begun in such a folder after this one, whose lock was lost."""


class TrainingDiverged(InputError):
    """A loss or a gradient is not finite, and the config says to stop (`training.faults`)."""


def advised(problem: str, advice: str) -> str:
    """A problem with what to do about it, unless it says so itself (behind a semicolon)."""
    return problem if "; " in problem else f"{problem}; {advice}"


BROKEN_LINK = "is a broken link"  # it leads nowhere, or back to itself
_SPACE = "free disk space, or choose another place for the output"
PERMIT = "correct its permissions or those of its folder"
_FIXES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: PERMIT,
    errno.EPERM: PERMIT,
    errno.EROFS: "choose a writable folder",
    errno.ENOENT: "check the path, or choose another one",
    errno.ENOTDIR: "check the path: part of it is a file",
    errno.EISDIR: "give a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "correct or remove it",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or choose another file system",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or use fewer processes",
    errno.ENFILE: "close other programs, or use fewer processes",
    errno.ENOMEM: "free memory, or use fewer processes",
    errno.EIO: "check the disk, and run again",
    errno.ESTALE: "check the network file system, and run again",
}

# Those that another path, or other permissions, mend.
_OF_PATHS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
}


def with_fix(error: OSError, path: Path | str | None = None) -> str:
    """What the operating system says, with what to do about it where that is known.

    Args:
        path: the file that it is about, where the error does not name it.

    Example: `with_fix(OSError(28, "No space left on device"))` begins with "[Errno 28] No space
        left on device; free disk space".
    """
    if error.errno == errno.ENOENT and error.filename is None and _has_no_folder():
        return "the current folder no longer exists; choose another one (cd)"
    if path is not None and error.errno:
        error = OSError(error.errno, error.strerror, str(path))
    fix = _FIXES.get(error.errno or 0)
    if fix == PERMIT and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}; {fix}"
    if error.errno == errno.ELOOP and error.filename is not None:
        return f"{error.filename}: {BROKEN_LINK}; {fix}"
    return f"{error}; {fix}" if fix else str(error)


def has_fix(error: OSError) -> bool:
    """Whether `with_fix` knows what to do about it."""
    return error.errno in _FIXES


def _has_no_folder() -> bool:
    """Whether the folder in which this process works was removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def is_of_path(error: OSError) -> bool:
    """Whether a path leads nowhere, or to what may not be read or written: bad input, and no
    failure of the machine."""
    return error.errno in _OF_PATHS


@contextmanager
def paths_are_input() -> Iterator[None]:
    """Makes errors of paths (`is_of_path`) in the block what they are to users: bad input."""
    try:
        yield
    except OSError as error:
        if not is_of_path(error):
            raise
        raise InputError(with_fix(error)) from error


def show_warnings_plainly() -> None:
    """Shows a warning as one line, without the place in the source where it was given."""
    usual = warnings.formatwarning

    def line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        return (
            f"warning: {message}\n"
            if category is UserWarning
            else usual(message, category, *where, **more)
        )

    warnings.formatwarning = line
