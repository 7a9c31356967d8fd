"""The heads of lines of predictions, many at once: their image ids and where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from vatrack.common.rle import Ints

BLOCK = 1 << 16  # bytes read at once at the beginning of a file
LINES = 1 << 20  # bytes of lines looked at together
_HEAD = np.frombuffer(b'{"image_id":', np.uint8)
_DIGITS = 18  # every number of so many fits into 64 bits


class Heads(NamedTuple):
    """N predictions in order: their numbers, their image ids, and where their texts stand [N]."""

    number: Ints
    image_id: Ints
    offset: Ints
    length: Ints


def whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """A file in pieces of whole lines. The first is small: at the beginning more of each line is
    looked at."""
    rest: list[bytes] = []
    size = BLOCK
    while block := stream.read(size):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((*rest, block[:end]))
            rest, size = [], LINES
        rest.append(block[end:])
    if text := b"".join(rest):
        yield text


def heads_of(text: bytes, number: int, offset: int) -> Heads | None:
    """The heads of lines, the first of which has this number and offset; None if one of them does
    not begin with `{"image_id":`, digits and a comma, or does not end."""
    data = np.frombuffer(text + bytes(len(_HEAD) + _DIGITS + 2), np.uint8)
    stops = np.flatnonzero(data == ord("\n")) + 1
    if not text.endswith(b"\n"):
        return None
    starts = np.append(0, stops[:-1])
    if not (data[starts[:, None] + np.arange(len(_HEAD))] == _HEAD).all():
        return None
    first = starts + len(_HEAD)
    first += data[first] == ord(" ")
    # Up to the first that is none, the digits of each number.
    digits = data[first[:, None] + np.arange(_DIGITS + 1)] - np.uint8(ord("0"))
    length = (digits > 9).argmax(1)
    if (
        (length == 0).any()
        or (digits[np.arange(len(length)), length] != ord(",") - ord("0") + 256).any()
        or ((digits[:, 0] == 0) & (length > 1)).any()
    ):
        return None
    image_id = np.zeros(len(starts), np.int64)
    for column in range(int(length.max())):
        image_id = np.where(column < length, 10 * image_id + digits[:, column], image_id)
    return Heads(number + np.arange(len(starts)), image_id, offset + starts, stops - starts)
