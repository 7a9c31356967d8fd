"""What a validation has found: counts and examples by code, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vatrack.common.rle import Ints
from vatrack.validate.checks import CHECKS
from vatrack.validate.sentences import SEVERITIES, Severity

KEPT_EXAMPLES = 100
SHOWN_EXAMPLES = 5
LONGEST_DETAIL = 300
T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """Where something was found.

    Attributes:
        file: path of the annotation file, frame or folder.
        item: what it is in the file, such as "annotation 7", or "".
        detail: what is the matter with it, or "".
    """

    file: str
    item: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.file, self.item, self.detail)))


@dataclass
class Findings:
    """Counts by code of `CHECKS`, the first examples of each, and the most `pixels` that are wrong
    in one thing, where these are counted.

    Memory does not grow with the number of findings.
    """

    accepted: frozenset[str] = frozenset()  # codes of errors that only warn
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)

    def add(
        self, code: str, file: Path | str, item: str = "", detail: str = "", pixels: int = 0
    ) -> None:
        """One more finding; `pixels`: how many are wrong, where that says how bad it is."""
        self.counts[code] += 1
        if pixels:
            self.pixels[code] = max(pixels, self.pixels.get(code, 0))
        kept = self.examples.setdefault(code, [])
        if len(kept) < KEPT_EXAMPLES:
            if len(detail) > LONGEST_DETAIL:
                detail = detail[:LONGEST_DETAIL] + "..."
            kept.append(Example(str(file), item, detail))

    def add_all(
        self,
        code: str,
        file: Path | str,
        things: Sequence[T],
        describe: Callable[[T], tuple[str, str]],
    ) -> None:
        """Many findings of one file.

        Args:
            describe: item and detail of a thing; called for those that are kept as examples.
        """
        room = max(0, KEPT_EXAMPLES - len(self.examples.get(code, ())))
        for thing in things[:room]:
            self.add(code, file, *describe(thing))
        if len(things) > room:
            self.counts[code] += len(things) - room

    def add_repeated(
        self, code: str, file: Path | str, what: str, values: Iterable[int | str] | Ints
    ) -> None:
        """One finding for every value that occurs more than once in a file; `what` has them."""
        if isinstance(values, np.ndarray):
            found, counts = np.unique(values, return_counts=True)
            twice = list(zip(found[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True))
        else:
            twice = [(value, count) for value, count in Counter(values).items() if count > 1]
        self.add_all(code, file, twice, lambda pair: (f"{what} {pair[0]}", f"{pair[1]} times"))

    def merge(self, other: Findings) -> None:
        """Takes over the findings of another process or file."""
        self.counts += other.counts
        for code, most in other.pixels.items():
            self.pixels[code] = max(most, self.pixels.get(code, 0))
        for code, found in other.examples.items():
            kept = self.examples.setdefault(code, [])
            kept.extend(found[: KEPT_EXAMPLES - len(kept)])

    def severity(self, code: str) -> Severity:
        """How bad a code is here."""
        own = CHECKS[code].severity
        return "warning" if own == "error" and code in self.accepted else own

    def codes(self) -> list[str]:
        """The codes found, worst first."""
        found = [code for code in CHECKS if self.counts[code]]
        return sorted(found, key=lambda code: SEVERITIES.index(self.severity(code)))

    def total(self, severity: Severity) -> int:
        """How many findings of a severity there are."""
        return sum(count for code, count in self.counts.items() if self.severity(code) == severity)

    def files(self, severity: Severity) -> set[str]:
        """The files in which examples of a severity were found."""
        found = [code for code in self.codes() if self.severity(code) == severity]
        return {example.file for code in found for example in self.examples[code]}

    def report(self) -> list[dict[str, Any]]:
        """The findings as plain values, worst first."""
        return [
            {
                "severity": self.severity(code),
                "code": code,
                "count": self.counts[code],
                **({"pixels": self.pixels[code]} if code in self.pixels else {}),
                "meaning": CHECKS[code].meaning,
                "fix": CHECKS[code].fix,
                "examples": [vars(example) for example in self.examples[code]],
            }
            for code in self.codes()
        ]

    def lines(self) -> Iterable[str]:
        """The findings as aligned lines, worst first, each with some examples below it."""
        codes = self.codes()
        width = max(map(len, codes), default=0)
        for code in codes:
            count = self.counts[code]
            sentence = CHECKS[code].sentence(count, self.pixels.get(code, 0))
            yield f"{self.severity(code):<7}  {code:<{width}}  {sentence}"
            for example in self.examples[code][:SHOWN_EXAMPLES]:
                yield f"{'':9}{example}"
            if count > SHOWN_EXAMPLES:
                yield f"{'':9}... and {count - SHOWN_EXAMPLES} more"
