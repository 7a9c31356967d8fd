"""The records of a file of predictions one by one: JSON Lines or one JSON array, with their numbers and places."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

from vatrack.errors import InputError

BLOCK = 1 << 20  # bytes read at once
AGAIN = "make the predictions again"
_SPACE = re.compile(r"\s*")


class Record(NamedTuple):
    """One record: its line, or its item in an array, from 1; the parsed value; where its text stands, in bytes (unpacked)."""

    number: int
    value: Any
    offset: int
    length: int


class RecordError(InputError):
    """Something is wrong with the record of that number; among several the first one is to be reported."""

    def __init__(self, unit: str, number: int, problem: str) -> None:
        super().__init__(unit, number, problem)
        self.number = number

    def __str__(self) -> str:
        unit, number, problem = self.args
        return f"{unit} {number}: {problem}"


class Records:
    """The records of an open file, in order.

    Attributes:
        unit: what a record is called in messages, "predictions.jsonl: line".
    """

    def __init__(self, stream: BinaryIO, name: Path | str) -> None:
        """`name` is that of the file as the user knows it."""
        self.stream = stream
        self.name = name
        # An array may be one line, so the kind is seen from the first character, not from the first line.
        first = b""
        while not first.strip() and (first := stream.read(BLOCK)):
            pass
        self.array = first.lstrip().startswith(b"[")
        stream.seek(0)
        self.unit = f"{name}: {'item' if self.array else 'line'}"

    def __iter__(self) -> Iterator[Record]:
        """
        Raises:
            RecordError: a record is not JSON.
            InputError: an array goes on behind its end.
        """
        return self._items() if self.array else self._lines()

    def _lines(self) -> Iterator[Record]:
        offset = 0
        for number, line in enumerate(self.stream, 1):
            length = len(line)
            try:
                yield Record(number, parse(line), offset, length)
            except ValueError as error:
                if line.strip():
                    cut = "" if line.endswith(b"\n") else ", or the file is cut off here"
                    raise RecordError(self.unit, number, f"not valid JSON ({error}){cut}; {AGAIN}") from None
            offset += length

    def _items(self) -> Iterator[Record]:
        """Items of an array, so that it is never in memory as a whole."""
        decoder = json.JSONDecoder()
        # Bytes are taken as Latin-1, so that places in the text are places in the file.
        text = self.stream.read(BLOCK).decode("latin-1")
        while "[" not in text:
            text += self.stream.read(BLOCK).decode("latin-1")
        start, position, number, item_may_follow = 0, text.index("[") + 1, 0, True
        while True:
            position = cast("re.Match[str]", _SPACE.match(text, position)).end()
            mark = text[position : position + 1]
            if mark == "]" and (not item_may_follow or not number):
                if text[position + 1 :].strip() or any(line.strip() for line in self.stream):
                    raise InputError(f"{self.name}: there is text after the end of the JSON array; {AGAIN}")
                return
            if mark == "," and not item_may_follow:
                position, item_may_follow = position + 1, True
                continue
            if mark and item_may_follow:
                try:
                    _, end = decoder.raw_decode(text, position)
                    value = parse(text[position:end].encode("latin-1"))
                except (ValueError, RecursionError):
                    pass  # perhaps the text that has been read ends within this item
                else:
                    number, item_may_follow = number + 1, False
                    yield Record(number, value, start + position, end - position)
                    position = end
                    continue
            # Reading at least as much as is left keeps the work linear, however long an item is.
            more = self.stream.read(max(BLOCK, len(text) - position))
            if not more:
                raise RecordError(self.unit, number + 1, f"not valid JSON or cut off; {AGAIN}")
            start += position
            text, position = text[position:] + more.decode("latin-1"), 0


@contextmanager
def open_records(path: Path, name: Path | str | None = None) -> Iterator[Records]:
    """Opens a file of predictions, through gzip where its name ends in .gz.

    Args:
        path: the file.
        name: what it is called in messages, if it is a copy.

    Raises:
        InputError: the file is missing or cannot be read; also within the block.
    """
    name = name or path
    try:
        if path.suffix == ".gz" and path.stat().st_size == 0:
            raise InputError(f"{name}: is empty, not even packed; {AGAIN}")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield Records(cast(BinaryIO, stream), name)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: cannot be read ({error}); {AGAIN}") from None


def parse(text: bytes) -> Any:
    """A JSON value. NaN and infinity, which JSON does not have, are read, so that a check can name the field.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(text.decode())
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8 text") from None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except json.JSONDecodeError:
            raise ValueError(error.msg) from None
