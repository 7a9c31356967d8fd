"""Numbers in names: an order in which 2 comes before 10, and numbered files."""

from __future__ import annotations

import re
from pathlib import Path


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts texts by the numbers in them."""
    return [
        (int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text)
    ]


def numbered(folder: Path, name: re.Pattern[str]) -> list[tuple[int, Path]]:
    """The files of a folder with such a name and their numbers, in the order of the numbers.

    Args:
        folder: may be missing.
        name: the whole name; its first group is the number.
    """
    if not folder.is_dir():
        return []
    found = ((name.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)
