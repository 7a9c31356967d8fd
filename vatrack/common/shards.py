"""Shards: the neighbouring clips of a set that one job works on, and whether all shards are there.

Every stage that is split (prediction, evaluation) leaves a record of each shard: a mapping with
`shard` and `of`, its number and how many there are, and with what must be the same in all of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Shard:
    """Shard `number` (1-based) of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def slice_of(self, sizes: Sequence[int]) -> slice:
        """Which of the clips are its own: all shards get about the same number of frames, each clip
        is in one of them.

        Args:
            sizes: frames of each clip.

        Example:
            >>> [Shard(number, 2).slice_of([2, 2, 4]) for number in (1, 2)]
            [slice(0, 2, None), slice(2, 3, None)]
        """
        ends = list(accumulate(sizes))
        total = max(1, ends[-1]) if ends else 1
        # A clip belongs to where its middle lies, in half frames to stay with whole numbers. The
        # middle of an empty one may be the end of all.
        owners = [
            min(self.count, (2 * end - size) * self.count // (2 * total) + 1)
            for size, end in zip(sizes, ends, strict=True)
        ]
        return slice(bisect_left(owners, self.number), bisect_right(owners, self.number))


def parse_shard(text: str) -> Shard:
    """The shard that `2/4` names.

    Raises:
        InputError: it names none.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(
            f"--shard {text}: not a shard; give NUMBER/COUNT, 1/4 to 4/4 for four shards"
        )
    return Shard(int(match[1]), int(match[2]))


def is_numbered(record: Record) -> bool:
    """Whether a record says which shard it is of."""
    number, count = record.get("shard"), record.get("of")
    return type(number) is int and type(count) is int and 1 <= number <= count


def complete(
    shards: Sequence[tuple[Path, Record]], differs: Mapping[str, str], out: Path, verb: str
) -> list[tuple[Path, Record]]:
    """All shards of one set in their order.

    Args:
        shards: file and record of each, in any order.
        differs: by the key of what must be the same in all records, what is said of one where it is
            not ("of other clips").
        out: what is to be made of them, for messages.
        verb: how a shard is made ("predict"), for messages.

    Raises:
        InputError: shards do not belong together, or one is missing or there twice.
    """
    if not shards:
        raise InputError(f"{out}: no shards given; give all of them")
    known = sorted(shards, key=lambda item: item[1]["shard"])
    (first, record), *others = known
    for name, text in {"of": "another number of shards", **differs}.items():
        for path, other in others:
            if other[name] != record[name]:
                raise InputError(f"{path}: {text} than {first}; {verb} it again")
    count = record["of"]
    for (path, one), (again, other) in pairwise(known):
        if one["shard"] == other["shard"]:
            also = f", also as {path}" * (path != again)
            raise InputError(
                f"{again}: shard {one['shard']}/{count} is given twice{also}; give each shard once"
            )
    numbers = {other["shard"] for _, other in known}
    if lost := [number for number in range(1, count + 1) if number not in numbers]:
        names = ", ".join(f"{number}/{count}" for number in lost)
        raise InputError(
            f"{first}: is shard {record['shard']}/{count}, but {names} is missing; {verb} it "
            f"(`vatrack {verb} --shard {lost[0]}/{count}`) and give all shards"
        )
    return known
