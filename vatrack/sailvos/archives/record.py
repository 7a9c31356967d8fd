"""Which archives were unpacked into a folder, noted in that folder, so that a second run does only
what is missing."""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import ValidationError

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.config.base import Frozen
from vatrack.sailvos.archives.output import RESERVED
from vatrack.sailvos.archives.streams import Archive

NAME = f"{RESERVED}.json"


class PartEntry(Frozen):
    """One file of an archive."""

    name: str
    size: int  # bytes
    mtime_ns: int
    sha256: str | None = None  # null: it was not compared


class Entry(Frozen):
    """One archive, whose contents were checked, and how far it is unpacked."""

    parts: tuple[PartEntry, ...] = ()
    strip: int = 0
    begun: bool = False
    finished: bool = False
    files: int = 0
    bytes: int = 0


class _Entries(Frozen):
    archives: dict[str, Entry]


class UnpackRecord:
    """The record of one folder; threads may share it. Each change is written at once.

    Entries are found by the archive's path and hold only as long as names, sizes and times of its
    parts, and the number of stripped folders, are the same.
    """

    def __init__(self, path: Path, strip: int, entries: dict[str, Entry]) -> None:
        self._path, self._strip, self._entries = path, strip, entries
        self._lock = threading.Lock()
        # A run was stopped, by a kill perhaps, and may have left unfinished files.
        self.interrupted = any(not entry.finished for entry in entries.values())

    @classmethod
    def load(cls, folder: Path, strip: int) -> UnpackRecord:
        """Reads the record of a folder; where there is none, nothing was unpacked.

        Raises:
            InputError: it is no such record.
        """
        path = folder / NAME
        if not path.exists():
            return cls(path, strip, {})
        try:
            return cls(path, strip, dict(_Entries.model_validate(read_json(path)).archives))
        except (ValidationError, InputError):
            raise InputError(
                f"{path}: is damaged; remove it and run again (files that are there will be "
                f"compared with the archives)"
            ) from None

    @property
    def finished_bytes(self) -> int:
        return sum(entry.bytes for entry in self._entries.values() if entry.finished)

    def find(self, archive: Archive) -> Entry:
        """The entry of an archive; an empty one where it is new or has changed."""
        entry = self._entries.get(_key(archive))
        if entry is None or entry.strip != self._strip or _identity(entry) != _identity(archive):
            return Entry()
        return entry

    def checked(self, archive: Archive) -> bool:
        """Whether its contents were compared with every checksum that is given now."""
        entry = self.find(archive)
        return entry.begun and all(
            part.sha256 in (None, noted.sha256)
            for part, noted in zip(archive.parts, entry.parts, strict=True)
        )

    def begin(self, archive: Archive) -> None:
        """Notes that an archive was checked and that some of it may be unpacked from now on."""
        self._note(archive, finished=False, files=0, size=0)

    def finish(self, archive: Archive, files: int, size: int) -> None:
        """Notes that all of an archive is unpacked."""
        self._note(archive, finished=True, files=files, size=size)

    def _note(self, archive: Archive, *, finished: bool, files: int, size: int) -> None:
        with self._lock:
            noted = {part.name: part.sha256 for part in self.find(archive).parts}
            parts = tuple(
                PartEntry(
                    name=part.path.name,
                    size=part.size,
                    mtime_ns=part.mtime_ns,
                    sha256=part.sha256 or noted.get(part.path.name),
                )
                for part in archive.parts
            )
            entry = Entry(
                parts=parts,
                strip=self._strip,
                begun=True,
                finished=finished,
                files=files,
                bytes=size,
            )
            self._entries[_key(archive)] = entry
            archives = {key: value.model_dump(mode="json") for key, value in self._entries.items()}
            write_json(self._path, {"archives": archives}, indent=2)


def _key(archive: Archive) -> str:
    return str(archive.path.absolute())


def _identity(item: Archive | Entry) -> tuple[tuple[str, int, int], ...]:
    if isinstance(item, Archive):
        return tuple((part.path.name, part.size, part.mtime_ns) for part in item.parts)
    return tuple((part.name, part.size, part.mtime_ns) for part in item.parts)
