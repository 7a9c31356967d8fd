"""Things in results and messages: "1 run", "2 runs"; "a, b, c, ..."."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice


def counted(number: int, noun: str) -> str:
    """A number with its noun, which is in the singular for exactly one.

    Args:
        noun: in the singular, with adjectives before it or none; its last word gets the plural.

    Example: `counted(2, "video class") == "2 video classes"`
    """
    return f"{number} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a regular English noun.

    Example: `plural("entry") == "entries"`
    """
    if noun.endswith(("s", "x", "tch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def few(names: Iterable[object], most: int = 3) -> str:
    """The first of some names, at most so many of them.

    Example: `few(["a", "b", "c"], 2) == "a, b, ..."`
    """
    first = list(islice(names, most + 1))
    return ", ".join([*map(str, first[:most]), *["..."] * (len(first) > most)])
