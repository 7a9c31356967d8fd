"""A folder that members of archives are written into, and never outside of it."""

from __future__ import annotations

import os
import secrets
import stat
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.sailvos.archives.members import Member
from vatrack.sailvos.layout import folded

RESERVED = ".vatrack-unpack"  # names that this program needs for itself begin so
_LONGEST_NAME, _LONGEST_PATH = 255, 4096  # bytes, Linux
_DISTRUST = "nothing was written for it: do not trust this archive, or repack it without that"


class OutputTree:
    """Folder `root`, filled by several threads; what exists is never overwritten."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._changed = threading.Condition()
        self._busy: set[Path] = set()  # files in work
        self._folders = {root}  # known to exist
        # How the names in a folder are spelled, by what is left of them without case. Not all
        # folders at once: memory must not grow with the number of files.
        self._spelled = lru_cache(maxsize=256)(
            lambda folder: {folded(path.name): path.name for path in folder.iterdir()}
        )

    def place(self, member: Member, strip: int) -> Path:
        """Where a member belongs, without its first `strip` folders; `root` where nothing is left.

        Raises:
            InputError: it is no file or folder, or its name is absolute, too long or reserved, or
                has `..`, a backslash, a colon or a control character in it.
        """
        name, info = member.info.name, member.info
        parts = [part for part in name.split("/") if part not in ("", ".")]
        fault = None
        if not name.isprintable():
            fault = "has characters in it that are not printable"
        elif name.startswith("/"):
            fault = "is absolute"
        elif ".." in parts:
            fault = "has `..` in it"
        elif set(name) & set("\\:"):
            fault = "has a backslash or a colon in it"
        elif RESERVED in name.casefold():
            fault = f"has {RESERVED} in it, which this program uses itself"
        elif any(len(part.encode()) > _LONGEST_NAME for part in parts):
            fault = f"is too long (a name has at most {_LONGEST_NAME} bytes)"
        elif len(name.encode()) + len(os.fsencode(self.root.absolute())) + 1 >= _LONGEST_PATH:
            fault = f"is too long below {self.root} (a path has at most {_LONGEST_PATH} bytes)"
        if fault:
            raise InputError(f"{member.label}: the name {fault}; {_DISTRUST}")
        if info.issym() or info.islnk():
            raise InputError(
                f"{member.label}: is a {'symbolic' if info.issym() else 'hard'} link; only files "
                f"and folders are unpacked, and {_DISTRUST}"
            )
        try:
            target = info.replace(name="/".join(parts[strip:]), deep=False)
            tarfile.data_filter(target, str(self.root))
        except tarfile.OutsideDestinationError as error:
            raise InputError(
                f"{member.label}: {error}, through a symbolic link that is there already; move it "
                f"away, or unpack into a new folder"
            ) from None
        except tarfile.FilterError as error:
            raise InputError(
                f"{member.label}: {error}; only files and folders below {self.root} are unpacked, "
                f"and {_DISTRUST}"
            ) from None
        return self.root.joinpath(*parts[strip:])

    def add_folder(self, folder: Path, label: str) -> None:
        """Makes a folder, unless it exists.

        Raises:
            InputError: a file or link is in the way, or a name differs from an existing one only by
                case.
        """
        if folder in self._folders:
            return
        self.add_folder(folder.parent, label)
        with self._changed:
            self._spell(folder, label)
            with suppress(FileExistsError):
                folder.mkdir()
            if folder.is_symlink() or not folder.is_dir():
                form = "a symbolic link" if folder.is_symlink() else "a file"
                raise InputError(
                    f"{label}: leads through {folder}, which is {form}; move it away, or unpack "
                    f"into a new folder"
                )
            self._folders.add(folder)

    def add_file(self, path: Path, member: Member, *, by_size: bool) -> bool:
        """Writes a file, whole or not at all, with the member's time and the umask's permissions.

        Args:
            path: from `place`.
            by_size: a file of that name and size is taken for this one; otherwise the contents are
                compared.

        Returns:
            Whether it was written; it is not where it exists.

        Raises:
            InputError: something else of that name exists, or a name that differs only by case.
            OSError: it could not be written.
        """
        self.add_folder(path.parent, member.label)
        with self._claimed(path, member.label):
            if os.path.lexists(path):
                _compare(path, member, by_size)
                return False
            _write(path, member)
            return True

    def remove_leftovers(self) -> None:
        """Removes the unfinished files that a killed run left."""
        for path in self.root.rglob(f"{RESERVED}-*.part"):
            path.unlink()

    @contextmanager
    def _claimed(self, path: Path, label: str) -> Iterator[None]:
        """Keeps other threads away from a file."""
        with self._changed:
            self._changed.wait_for(lambda: path not in self._busy)
            self._spell(path, label)
            self._busy.add(path)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(path)
                self._changed.notify_all()

    def _spell(self, path: Path, label: str) -> None:
        other = self._spelled(path.parent).setdefault(folded(path.name), path.name)
        if other != path.name:
            raise InputError(
                f"{label}: differs only by upper and lower case or Unicode form from "
                f"{path.with_name(other)}, which many file systems cannot hold; leave one of them "
                f"out of the archive, or unpack into a new folder"
            )


def _compare(path: Path, member: Member, by_size: bool) -> None:
    found, fault = path.lstat(), None
    if not stat.S_ISREG(found.st_mode):
        fault = "and is not a file"
    elif found.st_size != member.info.size:
        fault = f"with {found.st_size} bytes, the archive has {member.info.size}"
    elif not by_size:
        with path.open("rb") as stream:
            if not all(stream.read(len(piece)) == piece for piece in member.pieces()):
                fault = "with other content of the same size"
    if fault:
        raise InputError(
            f"{member.label}: {path} is there already {fault}; move it away (nothing is "
            f"overwritten) and run again"
        )


def _write(path: Path, member: Member) -> None:
    # No fsync: for a hundred thousand files and more it would take hours. An archive counts as
    # finished only after a flush of everything (`unpack`), and of an unfinished one a power failure
    # leaves files that are shorter than the archive says, which the next run reports.
    temporary = path.with_name(f"{RESERVED}-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as stream:
            for piece in member.pieces():
                stream.write(piece)
        with suppress(ValueError, OverflowError):  # a time that no file can have
            os.utime(temporary, (member.info.mtime, member.info.mtime))
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
