"""Lines of MOTS text files: `frame id class height width mask`, parted by spaces.

An id is class * 1000 + number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vatrack.common.errors import InputError
from vatrack.common.text_files import open_text

IDS = 1000  # of a class, the first of which is never used
IGNORED = 10  # the class of regions that do not count


class MotsLine(NamedTuple):
    """One object in one frame; `where` is what messages call it, `mask` a run-length code."""

    where: str
    frame: int
    track: int
    category: int
    mask: dict[str, Any]


def read_lines(path: Path) -> Iterator[MotsLine]:
    """The objects of a file, in its order.

    Raises:
        InputError: it cannot be read, or a line has another form.
    """
    with open_text(path) as stream:
        for number, line in enumerate(stream, 1):
            where = f"{path}: line {number}"
            fields = line.split()
            if not fields:
                continue
            try:
                frame, track, category, height, width = map(int, fields[:5])
                (counts,) = fields[5:]
            except ValueError:
                raise InputError(
                    f"{where}: not a line of MOTS; write `frame id class height width mask`"
                ) from None
            mask = {"size": [height, width], "counts": counts}
            yield MotsLine(where, frame, track, category, mask)
