"""What one look at the machine found."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from vatrack.config import Config

State = Literal["ok", "warning", "fails"]
WIDTH = 80  # columns
INDENT = " " * 9
_COMMAND = re.compile(r"`[^`]+`")
_UNBROKEN = "\u00a0"  # a space at which no line ends


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at; found: what is there.
        lost: what does not work, or badly; fix: what to do about it. Both are empty where all is
            well.
    """

    name: str
    state: State
    found: str
    lost: str = ""
    fix: str = ""

    def __str__(self) -> str:
        lines = _wrapped(f"{self.state:9}{self.name}: {self.found}")
        for title, text in (("affects", self.lost), ("fix", self.fix)):
            if text:
                lines += _wrapped(f"{INDENT}{title}: {text}")
        return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    """The lines of a text. A command stays on one line, so that it can be copied."""
    text = _COMMAND.sub(lambda command: command[0].replace(" ", _UNBROKEN), text)
    lines = textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=f"{INDENT}  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]


Look = Callable[[Config], Iterable[Check]]


def looked(name: str, look: Look, config: Config) -> list[Check]:
    """What a look finds; whatever goes wrong in it is a finding, too: the next looks follow."""
    try:
        return list(look(config))
    except Exception as error:  # machines are odd in ways that nobody foresees
        return [
            Check(
                name,
                "fails",
                f"check failed ({type(error).__name__}: {error})",
                "everything that needs it",
                "fix the problem in the message",
            )
        ]
