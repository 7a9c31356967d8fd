"""Which archives were unpacked into a folder, noted there: a second run adds what is missing."""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import ValidationError

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.config.base import Frozen
from vatrack.sailvos.archives.output import RESERVED
from vatrack.sailvos.archives.volumes import Archive, Volume

NAME = f"{RESERVED}.json"


class Entry(Frozen):
    """One archive, whose contents were checked, and how far it is unpacked."""

    parts: tuple[Volume, ...] = ()
    strip: int = 0
    begun: bool = False
    finished: bool = False
    files: int = 0
    bytes: int = 0


class _Entries(Frozen):
    archives: dict[str, Entry]


class UnpackRecord:
    """The record of a folder; threads may share it. Each change is written at once.

    Raises:
        InputError: the file that is there is no such record.
    """

    def __init__(self, folder: Path, strip: int) -> None:
        self._path, self.strip, self._lock = folder / NAME, strip, threading.Lock()
        try:
            found = read_json(self._path) if self._path.exists() else {"archives": {}}
            self.entries = dict(_Entries.model_validate(found).archives)
        except (ValidationError, InputError):
            raise InputError(
                f"{self._path}: is damaged; remove it and run again (files that are there will be "
                f"compared with the archives)"
            ) from None

    def find(self, archive: Archive) -> Entry:
        """The entry of an archive; an empty one where something about it is new.

        That is its files, their size, time or (given) checksum, or the number of stripped folders.
        """
        entry = self.entries.get(_key(archive), Entry())
        same = len(entry.parts) == len(archive.volumes) and all(
            given.sha256 in (None, noted.sha256)
            and given == noted.model_copy(update={"sha256": given.sha256})
            for given, noted in zip(archive.volumes, entry.parts, strict=True)
        )
        return entry if same and entry.strip == self.strip else Entry()

    def note(self, archive: Archive, *, finished: bool, files: int = 0, size: int = 0) -> None:
        """Notes that an archive was checked, and whether all of it is unpacked."""
        with self._lock:
            self.entries[_key(archive)] = Entry(
                parts=self.find(archive).parts or archive.volumes,
                strip=self.strip,
                begun=True,
                finished=finished,
                files=files,
                bytes=size,
            )
            record = _Entries(archives=self.entries).model_dump(mode="json")
            write_json(self._path, record, indent=2)


def _key(archive: Archive) -> str:
    return str(archive.path.absolute())
