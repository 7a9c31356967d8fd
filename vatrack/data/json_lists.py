"""Streams the entries of a JSON object of lists (COCO-like files of several GB) without holding the file in memory."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import orjson

from vatrack.errors import InputError

BLOCK = 1 << 22
# Nothing in such a file is longer; without a limit one missing quotation mark would read all of it into memory.
LONGEST = 1 << 27
AGAIN = "fetch or make it again"

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Entry:
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


def read_lists(path: Path, required: Collection[str] = ()) -> Iterator[Entry]:
    """The entries of all lists of a JSON file (optionally .gz) in file order; other top-level values are passed over.

    Memory holds one entry and a block of the file. Numbers like NaN, which are not JSON, are refused.

    Raises:
        InputError: the file is missing, unreadable, not valid JSON to its end, not an object of lists of objects, or a
            `required` list is not in it.
    """
    path = Path(path)
    lists: set[str] = set()
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            yield from _Reader(path, stream).entries(lists)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, a JSON file is needed") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); {AGAIN}") from None
    missing = sorted(set(required) - lists)
    if missing:
        raise InputError(f"{path}: its list `{missing[0]}` is missing or is not a list; {AGAIN}")


class Texts:
    """Reads the texts of entries again by their place; safe to share between threads and forked processes."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_RDONLY)

    def __reduce__(self) -> tuple[type[Texts], tuple[Path]]:
        return Texts, (self.path,)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def read(self, offset: int, length: int) -> bytes:
        """The text of the entry."""
        return os.pread(self._file, length, offset)

    def load(self, offset: int, length: int) -> Any:
        """The parsed entry.

        Raises:
            InputError: there is no such entry any more.
        """
        try:
            return orjson.loads(self.read(offset, length))
        except orjson.JSONDecodeError:
            raise InputError(f"{self.path}: has changed while it was read (byte {offset}); start again") from None


class _Reader:
    """A window on the file. Bytes are taken as Latin-1, so that places in the text are places in the file."""

    def __init__(self, path: Path, stream: BinaryIO | gzip.GzipFile) -> None:
        self.path, self.stream = path, stream
        self.text, self.place, self.start = "", 0, 0
        self.ended = False
        self.decoder = json.JSONDecoder(parse_constant=self._refuse)

    def entries(self, lists: set[str]) -> Iterator[Entry]:
        """Adds the names of the lists to `lists` on the way."""
        seen: set[str] = set()
        if self._next() != "{":
            self._fail("not a JSON object of lists")
        self.place += 1
        if self._next() == "}":
            self.place += 1
        else:
            while True:
                key = self._value()
                if not isinstance(key, str):
                    self._fail("a name in quotation marks is expected")
                if key in seen:
                    self._fail(f"its entry `{key}` occurs twice")
                seen.add(key)
                self._take(":")
                if self._next() == "[":
                    lists.add(key)
                    yield from self._list(key)
                else:
                    self._value()
                if self._take(",}") == "}":
                    break
        if self._next():
            self._fail("something follows after its end")

    def _list(self, section: str) -> Iterator[Entry]:
        self.place += 1
        if self._next() == "]":
            self.place += 1
            return
        while True:
            if self._next() != "{":
                self._fail(f"its list `{section}` is not a list of objects")
            value = self._value()
            offset, end = self.start + self.begin, self.start + self.place
            yield Entry(section, value, offset, end - offset)
            if self._take(",]") == "]":
                return

    def _value(self) -> Any:
        """The value that starts here; the place moves behind it."""
        self._next()
        while True:
            try:
                _, end = self.decoder.raw_decode(self.text, self.place)
            except (json.JSONDecodeError, RecursionError) as error:
                # Half a value at the end of the window looks like a mistake until the rest is read.
                if self.ended or len(self.text) - self.place > LONGEST:
                    self._fail(getattr(error, "msg", "nested too deeply"), getattr(error, "pos", self.place))
            else:
                # A number near the end of the window may go on, behind "." or "e+" too.
                if end + 2 < len(self.text) or self.ended:
                    break
            self._more()
        self.begin, self.place = self.place, end
        # Parsed again in its real encoding, as `Texts` does, and written, one level deeper, as the conversion does: what these
        # refuse (lone surrogates, infinite numbers, deep nesting) shall not be found out in the middle of work.
        try:
            value = orjson.loads(self.text[self.begin : end].encode("latin-1"))
            orjson.dumps([value])
        except (orjson.JSONDecodeError, TypeError) as error:
            self._fail(getattr(error, "msg", str(error)), self.begin)
        return value

    def _next(self) -> str:
        """The next character that is not space, or "" at the end of the file; the place moves to it."""
        while True:
            match = _SPACE.match(self.text, self.place)
            assert match is not None
            self.place = match.end()
            if self.place < len(self.text):
                return self.text[self.place]
            if self.ended:
                return ""
            self._more()

    def _take(self, expected: str) -> str:
        found = self._next()
        if not found or found not in expected:
            self._fail(f"expected {' or '.join(map(repr, expected))}")
        self.place += 1
        return found

    def _more(self) -> None:
        block = self.stream.read(max(BLOCK, len(self.text) - self.place))
        self.ended = not block
        self.start += self.place
        self.text, self.place = self.text[self.place :] + block.decode("latin-1"), 0

    def _refuse(self, constant: str) -> NoReturn:
        self._fail(f"{constant} is not a JSON number")

    def _fail(self, reason: str, place: int | None = None) -> NoReturn:
        byte = self.start + (self.place if place is None else place)
        cut = "the file may be cut off: " if self.ended else ""
        raise InputError(f"{self.path}: not valid JSON at byte {byte} ({reason}); {cut}{AGAIN}")
