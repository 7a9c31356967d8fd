"""An order of names in which 2 comes before 10."""

from __future__ import annotations

import re


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts texts by the numbers in them."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
