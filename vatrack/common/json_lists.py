"""Streams the items of a JSON object of lists (COCO-like files of several GB)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import orjson

from vatrack.common.errors import InputError
from vatrack.common.json_stream import JsonFault, JsonStream
from vatrack.common.text_files import AGAIN, open_source, without_mark

GAP = 64  # bytes between texts that are read together
REPLACE = "replace it with a number, or with null if it is unknown"
READ_TOGETHER = 1 << 20  # bytes of texts that are read together, and at most one text more


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a list.

    Attributes:
        section: name of the list.
        value: the parsed object; a whole number that does not fit into 64 bits is a float.
        offset, length: where its text stands in the (unpacked) file, in bytes.
    """

    section: str
    value: dict[str, Any]
    offset: int
    length: int


def read_lists(
    path: Path,
    required: Collection[str] = (),
    lists: set[str] | None = None,
    fix: str = AGAIN,
) -> Iterator[Item]:
    """The items of all lists of a JSON file (optionally gzip) in file order.

    Other top-level values are passed over. Memory holds some items and a block of the file. Numbers
    like NaN, which are not JSON, are refused.

    Args:
        lists: gets the names of all lists of the file, also of empty ones, on the way.
        fix: what to do where a required list is missing.

    Raises:
        InputError: the file is missing, unreadable, not valid JSON to its end, not an object of
            lists of objects, or a `required` list is not in it.
    """
    path = Path(path)
    lists = set() if lists is None else lists
    try:
        with open_source(path, what="a JSON file", again=AGAIN) as stream:
            reader = _Reader(stream)
            if not reader.stream.next():
                raise InputError(f"{path}: is empty; {AGAIN}")
            yield from reader.items(lists)
    except JsonFault as fault:
        cut = "the file may be truncated: " if fault.cut else ""
        fix = fault.fix or f"{cut}{AGAIN}"
        raise InputError(
            f"{path}: not valid JSON at byte {fault.byte} ({fault.reason}); {fix}"
        ) from None
    missing = sorted(set(required) - lists)
    if missing:
        raise InputError(f"{path}: list `{missing[0]}` is missing or is not a list; {fix}")


class Texts:
    """Reads the texts of items again by their offset.

    Safe to share between threads and forked processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_RDONLY)

    def __reduce__(self) -> tuple[type[Texts], tuple[Path]]:
        return Texts, (self.path,)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def read(self, offset: int, length: int) -> bytes:
        """The text of the item."""
        return without_mark(os.pread(self._file, length, offset), offset)

    def read_all(self, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[bytes]:
        """The texts of several items; neighbours in the file are read together."""
        starts = np.asarray(offsets, np.int64)
        stops = starts + np.asarray(lengths, np.int64)
        gaps = starts[1:] - stops[:-1]
        apart = (gaps < 0) | (gaps > GAP)
        apart |= np.diff(np.cumsum(stops - starts) // READ_TOGETHER) != 0
        if not len(starts):
            return
        bounds = np.flatnonzero(np.concatenate(([True], apart, [True])))
        for first, last in pairwise(bounds.tolist()):
            start = int(starts[first])
            block = self.read(start, int(stops[last - 1]) - start)
            begins, ends = (edges[first:last] - start for edges in (starts, stops))
            yield from map(block.__getitem__, map(slice, begins.tolist(), ends.tolist()))

    def load(self, offset: int, length: int) -> Any:
        """The parsed item.

        Raises:
            InputError: there is no such item any more.
        """
        return self._parse(self.read(offset, length), offset)

    def load_all(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[Any]:
        """Several parsed items.

        Raises:
            InputError: one is not there any more.
        """
        texts = self.read_all(offsets, lengths)
        return [self._parse(text, offset) for text, offset in zip(texts, offsets, strict=True)]

    def _parse(self, text: bytes, offset: int) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise InputError(
                f"{self.path}: changed while it was being read (byte {offset}); run again"
            ) from None


class _Reader:
    """The items of a file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = JsonStream(stream, self._refuse)

    def items(self, lists: set[str]) -> Iterator[Item]:
        """Adds the names of the lists to `lists` on the way.

        Raises:
            JsonFault: the file is not an object of lists.
        """
        stream = self.stream
        seen: set[str] = set()
        if stream.next() != "{":
            stream.fail("not a JSON object of lists")
        for key in stream.names():
            if key in seen:
                stream.fail(f"its key `{key}` occurs twice")
            seen.add(key)
            if stream.next() == "[":
                lists.add(key)
                yield from self._list(key)
            else:
                self._value()
        if stream.next():
            stream.fail("there is text after its end")

    def _list(self, section: str) -> Iterator[Item]:
        stream = self.stream
        for _ in stream.slots():
            if stream.next() != "{":
                stream.fail(f"its list `{section}` is not a list of objects")
            for value, begin, end in stream.objects() or [self._one()]:
                yield Item(section, value, begin, end - begin)

    def _one(self) -> tuple[Any, int, int]:
        return self._value(), self.stream.begin, self.stream.end

    def _value(self) -> Any:
        value = self.stream.value()
        # Written, one level deeper, as the conversion does: what it refuses (lone surrogates,
        # infinite numbers, deep nesting) shall not be found out in the middle of work.
        try:
            orjson.dumps([value])
        except TypeError as error:
            self.stream.fail(str(error), self.stream.begin)
        return value

    def _refuse(self, constant: str) -> NoReturn:
        place = self.stream.find_constant()
        self.stream.fail(f"{constant} is not a JSON number", place, REPLACE)
