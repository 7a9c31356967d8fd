"""What a finding code says, of one thing or of many."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from vatrack.common.counted import counted, plural

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_CHOICE = re.compile(r"\[([^|\]]*)\|([^|\]]*)\]")


@dataclass(frozen=True)
class Check:
    """What a finding code stands for.

    `fact` and `advice` have `[one|many]` where the number of findings changes a word.

    Attributes:
        severity: error: the pipeline would fail or train on wrong data; warning: it works, but this
            should be looked at; note: good to know.
        noun: what is counted, in the singular.
        fact: what is the case with it.
        advice: what to do.
    """

    severity: Severity
    noun: str
    fact: str
    advice: str

    @property
    def meaning(self) -> str:
        """What is the case, as a sentence in the plural."""
        return f"{plural(self.noun)} {_for(2, self.fact)}"

    @property
    def fix(self) -> str:
        """What to do, in the plural."""
        return _for(2, self.advice)

    def sentence(self, number: int, pixels: int = 0) -> str:
        """What so many findings mean, and what to do; `pixels`: the most that are wrong in one.

        Example: `Check("error", "mask", "[is|are] empty", "remove [it|them]").sentence(1) ==
            "1 mask is empty; remove it"`
        """
        extent = f" by up to {counted(pixels, 'pixel')}" if pixels else ""
        return (
            f"{counted(number, self.noun)} {_for(number, self.fact)}{extent}; "
            f"{_for(number, self.advice)}"
        )


def _for(number: int, text: str) -> str:
    """The text for so many things."""
    return _CHOICE.sub(lambda found: found[1 if number == 1 else 2], text)
