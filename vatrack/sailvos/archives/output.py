"""A folder that archives are unpacked into, never outside of it, and the record of them there."""

from __future__ import annotations

import os
import secrets
import stat
import tarfile
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.config.base import Frozen
from vatrack.sailvos.archives.members import Member
from vatrack.sailvos.archives.volumes import Archive, Volume
from vatrack.sailvos.layout import folded

RESERVED = ".vatrack-unpack"  # names that this program needs for itself begin so
RECORD = f"{RESERVED}.json"
_LONGEST_NAME, _LONGEST_PATH = 255, 4096  # bytes, Linux
_DEEPEST = 100  # folders; Python's own functions for whole trees end at some hundred
_LINKS = {tarfile.SYMTYPE: "symbolic link", tarfile.LNKTYPE: "hard link"}
_DISTRUST = "it was not unpacked; do not trust this archive, or repack it without this file"


class OutputTree:
    """Folder `root`, filled by several threads; what exists is never overwritten."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders = {root}  # known to exist
        self._lock, self._writing = threading.Lock(), [threading.Lock() for _ in range(256)]
        # How the names in a folder are spelled, by what is left of them without case. Not all
        # folders at once: memory must not grow with the number of files.
        self._spelled = lru_cache(maxsize=256)(
            lambda folder: {folded(path.name): path.name for path in folder.iterdir()}
        )

    def place(self, member: Member, strip: int) -> Path:
        """Where a member belongs, without its first `strip` folders; `root` where nothing is left.

        This refuses what `tarfile.data_filter` would repair or follow: a raw download has none.

        Raises:
            InputError: it is no file or folder, or its name is empty, absolute, too long or
                reserved, or has `..`, a backslash, a colon or a control character in it.
        """
        name, info = member.info.name, member.info
        parts = [part for part in name.split("/") if part not in ("", ".")]
        path = self.root.joinpath(*parts[strip:])
        kind = _LINKS.get(info.type, "special file")
        checks = {
            "name is empty": info.isreg() and not parts,
            "name contains unprintable characters": not name.isprintable(),
            "name is absolute": name.startswith("/"),
            "name contains `..`": ".." in parts,
            "name contains a backslash or a colon": bool(set(name) & set("\\:")),
            f"name contains {RESERVED}, which is reserved": (RESERVED in name.casefold()),
            f"name is too long or too deeply nested for {self.root}": (
                len(parts) > _DEEPEST
                or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts)
                or len(os.fsencode(path.absolute())) >= _LONGEST_PATH
            ),
            f"member is a {kind} (only files and folders are allowed)": not (
                info.isreg() or info.isdir()
            ),
        }
        for fault, found in checks.items():
            if found:
                raise InputError(f"{member.label}: the {fault}; {_DISTRUST}")
        return path

    def add_folder(self, folder: Path, label: str) -> None:
        """Makes a folder with those above it, unless they exist.

        Raises:
            InputError: a file or link is in the way, or a name differs from an existing one only by
                case or Unicode form.
        """
        if folder in self._folders:
            return
        self.add_folder(folder.parent, label)
        # Under one lock: another thread may have a name that differs only by case, and finds this
        # one by listing the folder above if `_spelled` has forgotten it meanwhile.
        with self._lock:
            self._spell(folder, label)
            with suppress(FileExistsError):
                folder.mkdir()
        if folder.is_symlink() or not folder.is_dir():
            form = "a symbolic link" if folder.is_symlink() else "a file"
            raise InputError(
                f"{label}: leads through {folder}, which is {form}; move it away, or unpack into a "
                "new folder"
            )
        self._folders.add(folder)

    def add_file(self, path: Path, member: Member) -> bool:
        """Writes a file, whole or not at all, with the member's time and the umask's permissions.

        Returns:
            Whether it was written; it is not where it exists with the same content.

        Raises:
            InputError: something else of that name exists, or a name that differs only by case or
                Unicode form.
            OSError: it could not be written.
        """
        self.add_folder(path.parent, member.label)
        # Another thread may have the same file, or one whose name differs only by case.
        number = hash((path.parent, folded(path.name))) % len(self._writing)
        with self._writing[number]:
            with self._lock:
                self._spell(path, member.label)
            if os.path.lexists(path):
                _compare(path, member)
                return False
            _write(path, member)
            return True

    def remove_leftovers(self) -> None:
        """Removes the unfinished files that a killed run left."""
        for path in self.root.rglob(f"{RESERVED}-*.part"):
            path.unlink()

    def _spell(self, path: Path, label: str) -> None:
        """Refuses a name that differs only by case from another one; needs `_lock`."""
        other = self._spelled(path.parent).setdefault(folded(path.name), path.name)
        if other != path.name:
            raise InputError(
                f"{label}: differs only by upper and lower case or Unicode form from "
                f"{path.with_name(other)}, which many file systems cannot hold; remove one of them "
                "from the archive, or unpack into a new folder"
            )


def _compare(path: Path, member: Member) -> None:
    found, fault = path.lstat(), None
    if not stat.S_ISREG(found.st_mode):
        fault = "and is not a file"
    elif found.st_size != member.info.size:
        fault = f"with {counted(found.st_size, 'byte')}, but the archive has {member.info.size}"
    else:
        # Sizes are not enough: uncompressed frames all have the same, and so may what a power
        # failure has left.
        with path.open("rb") as stream:
            if not all(stream.read(len(piece)) == piece for piece in member.pieces()):
                fault = "with the same size but different content"
    if fault:
        raise InputError(
            f"{member.label}: {path} already exists {fault}; move it away (nothing is overwritten) "
            "and run again"
        )


def _write(path: Path, member: Member) -> None:
    # No fsync: for a hundred thousand files and more it would take hours. An archive counts as
    # finished only after a flush of everything (`unpack`), and what an unfinished one has left is
    # compared.
    temporary = path.with_name(f"{RESERVED}-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as stream:
            stream.writelines(member.pieces())
        with suppress(ValueError, OverflowError):  # a time that no file can have
            os.utime(temporary, (member.info.mtime, member.info.mtime))
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Entry(Frozen, extra="ignore"):  # earlier versions noted more
    """An archive that was unpacked (or, by an earlier version, begun)."""

    parts: tuple[Volume, ...] = ()
    strip: int = 0
    finished: bool = False
    files: int = 0
    bytes: int = 0


_ENTRIES = TypeAdapter(dict[Literal["archives"], dict[str, Entry]])


class UnpackRecord:
    """The record of a folder; threads may share it. Each change is written at once.

    Raises:
        InputError: the file that is there is no such record.
    """

    def __init__(self, folder: Path, strip: int) -> None:
        self._path, self.strip, self._lock = folder / RECORD, strip, threading.Lock()
        try:
            found = read_json(self._path) if self._path.exists() else {"archives": {}}
            self.entries = _ENTRIES.validate_python(found)["archives"]
        except (ValidationError, InputError, KeyError):
            raise InputError(
                f"{self._path}: is damaged; remove it and run again (existing files will be "
                "compared with the archives)"
            ) from None

    def find(self, archive: Archive) -> Entry:
        """The entry of an archive; an empty one where something about it is new.

        That is its files, their size, time or (given) checksum, or the number of stripped folders.
        """
        entry = self.entries.get(str(archive.path.absolute()), Entry())
        given = tuple(
            volume.model_copy(update={"sha256": volume.sha256 or noted.sha256})
            for volume, noted in zip(archive.volumes, entry.parts, strict=False)
        )
        same = len(archive.volumes) == len(given) and given == entry.parts
        return entry if same and entry.strip == self.strip else Entry()

    def note(self, archive: Archive, **unpacked: int) -> None:
        """Notes that an archive is finished, and its number of files and their bytes."""
        with self._lock:
            self.entries[str(archive.path.absolute())] = Entry(
                parts=archive.volumes, strip=self.strip, finished=True, **unpacked
            )
            record = _ENTRIES.dump_python({"archives": self.entries}, mode="json")
            write_json(self._path, record, indent=2)
