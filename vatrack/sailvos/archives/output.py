"""A folder that archives are unpacked into, never outside of it, and its notes of them."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from vatrack.common.clutter import is_clutter
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.sailvos.archives.members import Member
from vatrack.sailvos.archives.volumes import Archive
from vatrack.sailvos.layout import folded

RESERVED = "vatrack-unpack"  # in names that this program needs for itself
_DEEPEST = 100  # folders; Python's own functions for whole trees end at some hundred
# What becomes of a file.
WRITTEN = "written"
EXISTED = "already existed"
ABOVE = "above the stripped folders skipped"
CLUTTER = "of macOS or Windows (._*, Thumbs.db, …) skipped"


class OutputTree:
    """Folder `root`, filled by several threads; what exists is never overwritten.

    Args:
        scratch: a folder on the same disk, for files that are not finished.
        strip: leading folders of the members' names to leave out.
    """

    def __init__(self, root: Path, scratch: Path, strip: int) -> None:
        self.root, self.strip, self._scratch = root, strip, scratch
        self._folders = {root}  # known to exist
        self._locks = [threading.Lock() for _ in range(256)]

    def add(self, member: Member) -> str | None:
        """Makes a folder (None), or says what becomes of a file.

        It is written whole or not at all, with the member's time and the umask's permissions.

        Raises:
            InputError: the member has an unsafe or too long name, or is neither file nor folder;
                something else of that name exists; its data are damaged.
            OSError: it could not be written.
        """
        if is_clutter(member.info.name):
            return CLUTTER
        path = self.root.joinpath(*_safe_names(member)[self.strip :])
        try:
            return self._add(path, member)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(
                    f"{member.label}: the name is too long for {self.root}; unpack into a folder "
                    "with a shorter path, or repack the archive with shorter names"
                ) from None
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # it names the unfinished file, or none
                raise OSError(error.errno, error.strerror, str(path)) from None
            raise

    def _add(self, path: Path, member: Member) -> str | None:
        if member.info.isdir():
            self._make(path, member)
            return None
        if path == self.root:
            return ABOVE
        self._make(path.parent, member)
        # Another thread may have the same file; some disks do not tell upper and lower case apart.
        with self._locks[hash(folded(str(path))) % len(self._locks)]:
            if os.path.lexists(path):
                _compare(path, member)
                return EXISTED
            self._write(path, member)
            return WRITTEN

    def _make(self, folder: Path, member: Member) -> None:
        """Makes a folder with those above it, unless they exist."""
        if folder in self._folders:
            return
        self._make(folder.parent, member)
        with suppress(FileExistsError):
            folder.mkdir()
        if folder.is_symlink() or not folder.is_dir():
            raise InputError(
                f"{member.label}: leads through {folder}, which is a link or a file; move it away, "
                "or unpack into a new folder"
            )
        self._folders.add(folder)

    def _write(self, path: Path, member: Member) -> None:
        # No fsync: for a hundred thousand files and more it would take hours. An archive is noted
        # only after a flush of everything, and what an unfinished one has left is compared.
        temporary = self._scratch / str(threading.get_ident())
        with temporary.open("wb") as stream:
            stream.writelines(member.pieces())
        with suppress(ValueError, OverflowError):  # a time that no file can have
            os.utime(temporary, (member.info.mtime, member.info.mtime))
        temporary.rename(path)


def _safe_names(member: Member) -> list[str]:
    """A member's name, split. What `tarfile.data_filter` would repair or follow is refused."""
    name, info = member.info.name, member.info
    names = [each for each in name.split("/") if each not in ("", ".")]
    unsafe = name.startswith("/") or not name.isprintable() or not {*"\\:"}.isdisjoint(name)
    if unsafe or ".." in names or RESERVED in name.casefold() or len(names) > _DEEPEST:
        fault = (
            f"the name is absolute, too deeply nested or contains `..`, {RESERVED}, a backslash, a "
            "colon or an unprintable character"
        )
    elif not (info.isdir() or (info.isreg() and names)):
        fault = "is a link, a special file or without a name"
    else:
        return names
    raise InputError(
        f"{member.label}: {fault}; do not trust this archive, or repack it without this file"
    )


def _compare(path: Path, member: Member) -> None:
    found = path.lstat()
    same = stat.S_ISREG(found.st_mode) and found.st_size == member.info.size
    if same:
        # Sizes are not enough: uncompressed frames all have the same, and so may what a power
        # failure has left.
        with path.open("rb") as stream:
            same = all(stream.read(len(piece)) == piece for piece in member.pieces())
    if not same:
        raise InputError(
            f"{member.label}: {path} already exists with other content; move it away (nothing is "
            "overwritten) and run again"
        )


class Notes:
    """Which archives were unpacked into a folder, kept there as JSON.

    Raises:
        InputError: the file that is there holds no such notes.
    """

    def __init__(self, folder: Path, strip: int) -> None:
        self.path, self._strip = folder / f".{RESERVED}.json", strip
        self.by_path: dict[str, dict[str, Any]]  # by the archive's path
        try:
            self.by_path = read_json(self.path)["archives"] if self.path.exists() else {}
            if {type(e[key]) for e in self.by_path.values() for key in ("files", "bytes")} - {int}:
                raise TypeError
        except (InputError, TypeError, LookupError, AttributeError):
            raise InputError(
                f"{self.path}: is damaged; remove it and run again (existing files will be "
                "compared with the archives)"
            ) from None

    def find(self, archive: Archive) -> dict[str, Any] | None:
        """The note of an archive, unless its files, their size, time or checksum, or the number of
        stripped folders are new."""
        note = self.by_path.get(str(archive.path.absolute()), {})
        return note if self._described(archive).items() <= note.items() else None

    def note(self, archive: Archive, files: int, size: int) -> None:
        """Notes that an archive is finished, with its number of files and their bytes."""
        os.sync()  # only what is on the disk, and not in the system's memory, is finished
        note = self._described(archive) | {"files": files, "bytes": size}
        self.by_path[str(archive.path.absolute())] = note
        write_json(self.path, {"archives": self.by_path}, indent=2)

    def _described(self, archive: Archive) -> dict[str, Any]:
        volumes = [
            {"name": v.path.name, "size": v.size, "mtime_ns": v.mtime_ns, "sha256": v.sha256}
            for v in archive.volumes
        ]
        name, size = archive.path.name, archive.size
        return {"name": name, "size": size, "strip": self._strip, "parts": volumes}
