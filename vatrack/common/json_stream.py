"""Reads the values of a JSON file of any size one after another, with their offsets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NoReturn

import orjson

from vatrack.common.json_together import parse_together
from vatrack.common.value_files import DEEPEST, check_keys, count_keys

BLOCK = 1 << 22  # bytes read at once
# Nothing in such a file is longer; without a limit one missing quotation mark would read all of it
# into memory.
LONGEST = 1 << 27

PARSED_TOGETHER = 1 << 18  # bytes of objects that are parsed together

_KEY = re.compile(rb'"[ \t\n\r]*:')
_SPACE = re.compile(r"[ \t\n\r]*")
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')  # those in texts are passed over
# What the end of a file leaves of an escape, number or word; of a text the parser says so.
_HALF = re.compile(
    r"\\?u?[0-9a-fA-F]{0,4}|-?\.?\d*(?:[eE][+-]?)?|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?"
)


def loads(text: bytes) -> Any:
    """A JSON value; a whole number that does not fit into 64 bits is a float.

    Raises:
        ValueError: it is not JSON, an object has a key twice, or it is nested too deeply.
    """
    value = orjson.loads(text)
    if type(value) is dict and _is_flat(text, value):
        return value
    # Counted first, which costs little: each key has a quotation mark before its colon.
    spaced = b'" ' in text or b'"\n' in text or b'"\t' in text or b'"\r' in text
    marks = len(_KEY.findall(text)) if spaced else text.count(b'":')
    if marks != count_keys([value]):
        json.loads(text, object_pairs_hook=check_keys)
    return value


def _is_flat(text: bytes, value: dict[str, Any]) -> bool:
    """Whether an object surely has no key twice and no deep nesting: most of them, fast.

    That is so where its text has no more braces than the objects found in it and its fields, and no
    more quotation marks than their keys and strings.
    """
    objects, keys, strings = 1, len(value), 0
    for item in value.values():
        if type(item) is str:
            strings += 1
        elif type(item) is dict or (type(item) is list and item and type(item[0]) is dict):
            for inner in item if type(item) is list else (item,):
                if type(inner) is dict:
                    objects += 1
                    keys += len(inner)
                    strings += type(inner.get("counts")) is str
    return (
        text.count(b"{") == objects
        and text.count(b'"') == 2 * (keys + strings)
        # Counted with those in strings, brackets are more than levels.
        and text.count(b"[") + objects <= DEEPEST
    )


class JsonFault(ValueError):
    """Text that is not JSON.

    Attributes:
        reason: what is wrong.
        byte: where, in the unpacked file.
        cut: whether it may be that only the file's end is missing.
        fix: what to do, where that is known.
    """

    def __init__(self, reason: str, byte: int, cut: bool, fix: str = "") -> None:
        super().__init__(reason, byte, cut, fix)
        self.reason, self.byte, self.cut, self.fix = reason, byte, cut, fix


class JsonStream:
    """A position in a JSON text, which moves on. Memory holds one value and a block of the file.

    Bytes are taken as Latin-1, so that positions in the text are offsets in the file.

    Attributes:
        begin, end: offsets of the last value in the file, in bytes.
    """

    def __init__(self, stream: BinaryIO, constant: Callable[[str], Any] | None = None) -> None:
        """`constant` makes values of NaN and Infinity, which are not JSON, or refuses them."""
        self._stream = stream
        self._text, self._position, self._start = "", 0, 0
        self._ended = False
        self._careful = 0  # up to where in the file objects are not parsed together
        # It finds only where a value ends; `int` refuses thousands of digits.
        self._decoder = json.JSONDecoder(parse_constant=constant, parse_int=float)
        self.begin = self.end = 0

    def next(self) -> str:
        """The next character that is not space, or "" at the end; the position moves to it."""
        while True:
            match = _SPACE.match(self._text, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._text):
                return self._text[self._position]
            if self._ended:
                return ""
            self._more()

    def take(self, expected: str) -> str:
        """The next character, which must be one of those expected; the position moves behind it.

        Raises:
            JsonFault: it is another one.
        """
        found = self.next()
        if not found or found not in expected:
            self.fail(f"expected {' or '.join(map(repr, expected))}")
        self._position += 1
        return found

    def slots(self, brackets: str = "[]") -> Iterator[None]:
        """The slots of a list that starts here; whoever takes one reads the item there.

        Raises:
            JsonFault: it is no list.
        """
        opening, closing = tuple(brackets)
        self.take(opening)
        if self.next() == closing:
            self.take(closing)
            return
        while True:
            yield
            if self.take(f",{closing}") == closing:
                return

    def names(self) -> Iterator[str]:
        """The names in an object that starts here; whoever takes one reads its value.

        Raises:
            JsonFault: it is no object.
        """
        for _ in self.slots("{}"):
            key = self.value()
            if not isinstance(key, str):
                self.fail("expected a name in quotation marks")
            self.take(":")
            yield key

    def value(self, parse: Callable[[bytes], Any] = loads) -> Any:
        """The value that starts here; the position moves behind it.

        Args:
            parse: makes it of its text; a ValueError says that it is none. It must make of what
                `loads` can read the same as that.

        Raises:
            JsonFault: it is none.
        """
        self.next()
        end = self._end_of_value()
        text = self._text[self._position : end].encode("latin-1")
        self.begin, self.end = self._start + self._position, self._start + end
        try:
            # Parsed again in its real encoding, as those do who read it by its position.
            value = parse(text)
        except ValueError as error:
            self._check_encoding(text)
            self.fail(getattr(error, "msg", str(error)), self.begin)
        self._position = end
        return value

    def objects(self) -> list[tuple[Any, int, int]]:
        """The objects of a list that start here, each with its begin and end in the file, in bytes;
        some of them, and none where one does not surely come to what `loads` makes of it. The
        position moves behind the last one."""
        if len(self._text) - self._position < PARSED_TOGETHER and not self._ended:
            self._more()
        if self._start + self._position < self._careful:
            return []
        begin = self._start + self._position
        text = self._text[self._position : self._position + PARSED_TOGETHER].encode("latin-1")
        found = parse_together(text)
        if found is None:
            self._careful = begin + len(text)
            return []
        if found.stops:
            self._position += found.stops[-1]
        return [
            (value, begin + start, begin + stop) for value, start, stop in zip(*found, strict=True)
        ]

    def fail(self, reason: str, byte: int | None = None, fix: str = "") -> NoReturn:
        """Refuses the text at `byte`, or at the position. `fix` says what to do, where that is
        known.

        Raises:
            JsonFault: always.
        """
        byte = self._start + self._position if byte is None else byte
        rest = self._text[byte - self._start :].strip()
        half = reason.startswith("Unterminated") or _HALF.fullmatch(rest)
        raise JsonFault(reason, byte, self._ended and bool(half), fix)

    def find_constant(self) -> int | None:
        """Where the first NaN or Infinity in the value that starts here is, in bytes of the
        file."""
        found = _CONSTANT.finditer(self._text, self._position)
        return next((self._start + match.start() for match in found if match[1]), None)

    def _check_encoding(self, text: bytes) -> None:
        """Refuses a value whose text, which begins at `begin`, is not UTF-8.

        Raises:
            JsonFault: with the place of the byte.
        """
        try:
            text.decode()
        except UnicodeDecodeError as error:
            reason = f"{text[error.start]:#x} is not UTF-8 text"
            self.fail(reason, self.begin + error.start, "save the file as UTF-8")

    def _end_of_value(self) -> int:
        while True:
            try:
                _, end = self._decoder.raw_decode(self._text, self._position)
            except (json.JSONDecodeError, RecursionError) as error:
                # Half a value at the end of the window looks like a mistake until the rest is read.
                if self._ended or len(self._text) - self._position > LONGEST:
                    self.fail(
                        getattr(error, "msg", "nested too deeply"),
                        self._start + getattr(error, "pos", self._position),
                    )
            else:
                # A number near the end of the window may go on, behind "." or "e+" too.
                if end + 2 < len(self._text) or self._ended:
                    return end
            self._more()

    def _more(self) -> None:
        # Reading at least as much as is left keeps the work linear, however long a value is.
        block = self._stream.read(max(BLOCK, len(self._text) - self._position))
        self._ended = not block
        self._start += self._position
        self._text, self._position = self._text[self._position :] + block.decode("latin-1"), 0
