"""Text files that another process is writing, read as they grow."""

from __future__ import annotations

import codecs
from pathlib import Path


def changed_at(path: Path | str) -> int:
    """When a file was changed, in nanoseconds since 1970; 0 where there is none."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


class GrowingText:
    """A text file (UTF-8) that is read on from where it was read last."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._begin()

    def _begin(self) -> None:
        self._offset, self._rest = 0, ""
        # It keeps the first bytes of a character whose others are not written yet.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def lines(self, last: bool = False) -> list[str]:
        """The lines that were completed since the last call; none where the file cannot be read.

        Args:
            last: also one without an end.
        """
        new = b""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # it was begun anew
                    self._begin()
                file.seek(self._offset)
                new = file.read()
        except OSError:
            pass
        self._offset += len(new)
        *lines, self._rest = (self._rest + self._decoder.decode(new, final=last)).split("\n")
        if last and self._rest:
            lines.append(self._rest)
            self._rest = ""
        return lines
