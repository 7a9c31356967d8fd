"""Ways to damage a file, and ways to write the same content differently."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

# What stands where a value should be; texts in RAW are written as they are, without quotes.
VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    0.5,
    -0.5,
    1.0,
    1e-17,
    -1e-16,
    1e300,
    "",
    "x",
    "0",
    "1",
    "a/b",
    2**31,
    2**53,
    2**62,
    2**63,
    2**64,
    -(2**63),
    10**30,
    "../x",
    "/etc/passwd",
    "\0",
    "\u202e",
    "ü",
    [],
    {},
    [[]],
    [None],
    [1, 2],
    {"a": 1},
    [1] * 300,
    "x" * 5000,
    " ",
    "{}",
    "nan",
]
RAW = ("NaN", "-Infinity", "1e400", "9" * 5001, "[" * 600 + "]" * 600, "01", "1.", "tru", "'x'")
MARK = "@raw@"


def bit(data: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def byte(data: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]


def cut(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data))]


def drop(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randint(1, 64) :]


def insert(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.randint(1, 32)) + data[start:]


def repeat(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(1, 64)]
    return data[:start] + piece + data[start:]


def zero(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data))
    stop = min(len(data), start + chance.randint(1, 64))
    return data[:start] + bytes(stop - start) + data[stop:]


def other_file(data: bytes, chance: Random) -> bytes:
    """The beginning of another sort of file, or nothing."""
    starts = (
        b"",
        b"PK\3\4",
        b"\x1f\x8b\x08\0",
        b"<!DOCTYPE html><html></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"\x89PNG\r\n\x1a\n",
        b"BM",
        b"\x93NUMPY",
        b"null",
        b"[]",
        b"{}",
        b"\0" * 512,
    )
    start = chance.choice(starts)
    return start + (data[len(start) :] if chance.random() < 0.5 else b"")


BYTES: tuple[Mutation, ...] = (bit, bit, byte, cut, drop, insert, repeat, zero, other_file)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*path, number))


def structure(data: bytes, chance: Random) -> bytes:
    """One value, key or item of a JSON text is replaced, removed, doubled or renamed.

    A YAML text is changed line by line.
    """
    if not data.lstrip().startswith((b"{", b"[")):
        return yaml_line(data, chance)
    value = json.loads(data)
    places = list(_places(value))
    if not places:
        return data
    path = chance.choice(places)
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    last, raw = path[-1], ""
    action = chance.choice(("replace", "replace", "replace", "raw", "remove", "double", "rename"))
    if action == "replace":
        holder[last] = chance.choice(VALUES)
    elif action == "raw":
        holder[last], raw = MARK, chance.choice(RAW)
    elif action == "remove":
        del holder[last]
    elif isinstance(holder, list):
        holder.insert(chance.randrange(len(holder) + 1), holder[last])
    elif action == "double":
        holder[f"{MARK}{last}"] = chance.choice(VALUES)
    else:
        holder[chance.choice(("", "x", "ID", f"{last} "))] = holder.pop(last)
    text = json.dumps(value)
    return text.replace(f'"{MARK}"', raw).replace(MARK, "").encode()


def line_structure(data: bytes, chance: Random) -> bytes:
    """The same in one line of JSON Lines, or a line too many, too few or broken in two."""
    lines = data.splitlines()
    number = chance.randrange(len(lines))
    action = chance.choice(("inside", "inside", "inside", "remove", "double", "break", "garbage"))
    if action == "inside":
        lines[number] = structure(lines[number], chance)
    elif action == "remove":
        del lines[number]
    elif action == "double":
        lines.insert(number, lines[number])
    elif action == "break":
        place = chance.randrange(1, len(lines[number]))
        lines[number : number + 1] = [lines[number][:place], lines[number][place:]]
    else:
        lines.insert(number, chance.choice((b"", b"[]", b"null", b"{", b"\xff\xfe", b"5")))
    return b"\n".join(lines) + b"\n"


def word_of_line(data: bytes, chance: Random) -> bytes:
    """One word of one line of a text is replaced or removed, or a line occurs twice."""
    lines = [line.split(b" ") for line in data.splitlines()]
    line = chance.choice(lines)
    place = chance.randrange(len(line))
    action = chance.choice(("replace", "replace", "remove", "line"))
    if action == "replace":
        line[place] = str(chance.choice(VALUES[:36])).encode()
    elif action == "remove":
        del line[place]
    else:
        lines.insert(chance.randrange(len(lines) + 1), line)
    return b"\n".join(b" ".join(line) for line in lines) + b"\n"


def yaml_line(data: bytes, chance: Random) -> bytes:
    """One line of a YAML text gets another value, another depth, or occurs twice."""
    lines = data.decode().splitlines()
    number = chance.randrange(len(lines))
    key = lines[number].partition(":")[0]
    values = (
        "0b_",
        "2026-01-01",
        "!!python/object:os.system x",
        "&a [*a]",
        "*b",
        "{",
        "[1, 2",
        "~",
        "0x_",
        ".nan",
        "-.inf",
        "1e999",
        "9" * 5001,
        "'",
        '"\\x"',
        "!!binary x",
        "? ",
        "<<: x",
        *map(str, VALUES[:24]),
    )
    action = chance.choice(("value", "value", "value", "indent", "double", "tab", "whole"))
    if action == "value":
        lines[number] = f"{key}: {chance.choice(values)}"
    elif action == "indent":
        lines[number] = " " * chance.randrange(8) + lines[number].lstrip()
    elif action == "double":
        lines.insert(number, lines[number])
    elif action == "tab":
        lines[number] = "\t" + lines[number]
    else:
        lines = [chance.choice(("false", "[]", "text", "5", "- a", "", "--- a\n--- b", "null"))]
    return "\n".join(lines).encode() + b"\n"


def with_mark(data: bytes, _: Random) -> bytes:
    return codecs.BOM_UTF8 + data


def packed(data: bytes, _: Random) -> bytes:
    return gzip.compress(data)


def spaced(data: bytes, _: Random) -> bytes:
    return json.dumps(json.loads(data), indent=1).encode()


def shuffled_keys(data: bytes, chance: Random) -> bytes:
    def shuffle(value: Any) -> Any:
        if isinstance(value, dict):
            items = [(key, shuffle(inner)) for key, inner in value.items()]
            chance.shuffle(items)
            return dict(items)
        return [shuffle(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(shuffle(json.loads(data))).encode()


def line_ends(data: bytes, _: Random) -> bytes:
    return data.replace(b"\n", b"\r\n")


# They change nothing, so the result must be the same.
SAME_JSON: tuple[Mutation, ...] = (with_mark, packed, spaced, shuffled_keys)
SAME_LINES: tuple[Mutation, ...] = (with_mark, packed, line_ends)
