"""Names that were meant: "did you mean ...?"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from vatrack.common.counted import few

LEAST = 0.7  # of difflib's ratio: what is less alike was not meant
CLOSE = 0.1  # below the best ratio: what is further away is not said beside it
MOST = 3  # names
EXCHANGED = 0.9  # ratio of the same letters in another order
SHORTEST = 4  # letters of a name that counts as the part of another
_QUOTED = re.compile(r"'([^']*)'")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The names that are most like this one, or that contain it, best first; capitals do not count.

    Example: `nearest("EPOCH", ["epochs", "seed"]) == ["epochs"]`
    """
    folded = name.casefold()
    ratios: dict[str, float] = {}
    for item in known:
        other = item.casefold()
        ratio = difflib.SequenceMatcher(None, folded, other).ratio()
        if len(folded) >= SHORTEST and folded in other:
            ratio = max(ratio, LEAST)
        if sorted(folded) == sorted(other):  # letters exchanged: dgo
            ratio = max(ratio, EXCHANGED)
        if ratio >= LEAST:
            ratios[item] = ratio
    best = sorted(ratios, key=lambda item: -ratios[item])
    return [item for item in best if ratios[item] >= ratios[best[0]] - CLOSE][:MOST]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean a or b?" with the nearest names; empty where nothing is near."""
    near = nearest(name, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def meant(name: str, known: Iterable[str], advice: str) -> str:
    """The end of a message on a name that is nowhere: the nearest names and the advice.

    The advice is always said: a near name may be another item, not this one misspelt.

    Example: `meant("dgo", ["dog"], "add it") == "; did you mean dog? Otherwise add it"`
    """
    near = did_you_mean(name, known)
    return f"{near} Otherwise {advice}" if near else f"; {advice}"


def unknown(what: str, name: object, known: Iterable[str], most: int = 30) -> str:
    """The sentence that a name is not known, with the nearest names, else with the first `most` of
    them. Callers in Python may give anything as a name."""
    names = list(known)
    hint = did_you_mean(str(name), names) or f"; choose from {few(names, most)}"
    return f"unknown {what} {name!r}{hint}"


def not_a_choice(message: str, value: object) -> str:
    """A library's message that lists quoted choices, with the nearest one at its end.

    Example: `not_a_choice("give 'a1' or 'b'", "a2")` ends in "; did you mean a1?"
    """
    choices = [choice for choice in _QUOTED.findall(message) if choice != value]
    return message.rstrip(".") + did_you_mean(str(value), choices)
