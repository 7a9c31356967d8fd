"""Names that were meant: "did you mean ...?"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence that a name is not known, with the nearest names, else with all of them."""
    names = list(known)
    by_fold = {item.casefold(): item for item in names}
    near = difflib.get_close_matches(name.casefold(), by_fold, n=3, cutoff=0.6)
    if near:
        return f"no {what} is called {name!r}; did you mean {' or '.join(map(by_fold.get, near))}?"  # type: ignore[arg-type]
    shown = ", ".join(names[:30])
    return f"no {what} is called {name!r}; there are {shown}"
