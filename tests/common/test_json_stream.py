"""Streaming JSON: numbers on borders, memory, files that are cut off, damaged or no JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tests.common.json_files import (
    SMALL,
    expected_items,
    found_items,
    write,
)
from vatrack.common import json_stream
from vatrack.common.errors import InputError
from vatrack.common.json_lists import REPLACE, Texts, _Reader, read_lists
from vatrack.common.json_stream import JsonFault, JsonStream
from vatrack.common.text_files import AGAIN

NUMBERS = [
    "0",
    "-0.5",
    "12.25",
    "1e5",
    "3E+2",
    "-7.5e-3",
    "1234567890123456789",
    "true",
    "null",
    '"x"',
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_may_lie_on_the_border_of_two_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    path = write(
        tmp_path, f'{{"version": {number}, "items": [{{"a": {number}}}], "last": {number}}}'
    )
    for block in range(1, 50):
        monkeypatch.setattr(json_stream, "BLOCK", block)
        assert found_items(path) == [("items", {"a": json.loads(number)})]


def test_whole_numbers_beyond_64_bits_become_floats(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"items": [{"a": 36893488147419103233}, {"a": -9223372036854775808}, {"a": '
        "18446744073709551615}]}",
    )
    values = [value["a"] for _, value in found_items(path)]
    assert values == [2.0**65, -(2**63), 2**64 - 1]
    assert [type(value) for value in values] == [float, int, int]
    texts = Texts(path)
    assert [texts.load(entry.offset, entry.length)["a"] for entry in read_lists(path)] == values


def test_memory_holds_no_more_than_a_block_and_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 100)
    path = write(tmp_path, json.dumps({"items": [{"n": n, "text": "x" * 50} for n in range(500)]}))
    longest = 0
    more = JsonStream._more

    def watched(reader: Any) -> None:
        nonlocal longest
        more(reader)
        longest = max(longest, len(reader._text))

    monkeypatch.setattr(JsonStream, "_more", watched)
    assert [value["n"] for _, value in found_items(path)] == list(range(500))
    assert longest <= 300


@pytest.mark.parametrize("style", [{}, {"indent": 1, "ensure_ascii": False}])
@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_a_file_that_is_cut_off_anywhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: dict[str, Any], block: int
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    whole = json.dumps(SMALL, **style).encode()
    assert found_items(write(tmp_path, whole)) == expected_items(SMALL)
    for size in range(1, len(whole)):
        with pytest.raises(
            InputError,
            match=r"file\.json: not valid JSON at byte \d+ .*the file may be truncated: .* again",
        ):
            found_items(write(tmp_path, whole[:size]))


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": [{"b": NaN}]}', f"(NaN is not a JSON number); {REPLACE}"),
        ('{"a": [{"b": -Infinity}]}', f"(-Infinity is not a JSON number); {REPLACE}"),
        ('{"a": [{"b": tru}]}', f"(Expecting value); {AGAIN}"),
        ('{"a": [{"b": 1, "b": 2}]}', f"(its key `b` occurs twice); {AGAIN}"),
        ('{"a": [{"b": 1}]} x', f"(there is text after its end); {AGAIN}"),
    ],
)
def test_what_is_wrong_before_the_end_is_not_called_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str, block: int
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    with pytest.raises(InputError, match=rf"at byte \d+ {re.escape(reason)}$"):
        found_items(write(tmp_path, text))


def test_a_packed_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(SMALL), "file.json.gz")
    whole = path.read_bytes()
    assert found_items(path) == expected_items(SMALL)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"file\.json\.gz: .* again"):
            found_items(path)


def test_a_packed_file_with_a_wrong_byte_is_refused_or_read_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(SMALL), "file.json.gz")
    whole = path.read_bytes()
    refused = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            # A time stamp, for example, is not part of the content.
            assert found_items(path) == expected_items(SMALL)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > len(whole) - 12
    assert all(str(path) in message for message in refused)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file.json: is empty; download or create it again"),
        (b" \n ", "file.json: is empty; "),
        (b"[]", "not a JSON object of lists"),
        (b'"text"', "not a JSON object of lists"),
        (b"3", "not a JSON object of lists"),
        (b"garbage", "not a JSON object of lists"),
        (b"\x00\x01\x02", "not a JSON object of lists"),
        (b'{"a": [1]}', "its list `a` is not a list of objects"),
        (b'{"a": [{}, null]}', "its list `a` is not a list of objects"),
        (b'{"a": [{}, [{}]]}', "its list `a` is not a list of objects"),
        (b'{"a": [{},]}', "its list `a` is not a list of objects"),
        (b'{"a": [,{}]}', "its list `a` is not a list of objects"),
        (b'{"a": [{} {}]}', "expected ',' or ']'"),
        (b'{"a": [{}}', "expected ',' or ']'"),
        (b'{"a": [{}] "b": []}', "expected ',' or '}'"),
        (b'{"a": [{}],}', "at byte 11"),
        (b'{"a": [{}]]', "expected ',' or '}'"),
        (b'{"a" [{}]}', "expected ':'"),
        (b"{1: []}", "expected a name in quotation marks"),
        (b"{a: []}", "at byte 1"),
        (b'{"a": [{}], "b": 3, "a": [{}]}', "its key `a` occurs twice"),
        (b'{"a": 1, "a": [{}]}', "its key `a` occurs twice"),
        (b'{"a": [{}]} x', "there is text after its end"),
        (b'{"a": [{}]}{"b": []}', "there is text after its end"),
        (b'{"a": [{"x": NaN}]}', r"at byte 13 \(NaN is not a JSON number"),
        (b'{"a": [{"y": "NaN", "x": NaN}]}', r"at byte 25 \(NaN is not a JSON number"),
        (b'{"a": [{"x": [Infinity]}]}', "Infinity is not a JSON number"),
        (b'{"a": [{"x": -Infinity}]}', "-Infinity is not a JSON number"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": [{"x": 1e999}]}', "number is infinity"),
        (b'{"a": [{"x": 01}]}', "at byte"),
        (b'{"a": [{"x": .5}]}', "at byte"),
        (b'{"a": [{"x": 1.}]}', "at byte"),
        (b'{"a": 1.}', "at byte"),
        (b"{\"a\": [{'x': 1}]}", "at byte"),
        (b'{"a": [{"x": tru}]}', "at byte"),
        (b'{"a": [{"x": "line\nbreak"}]}', "at byte"),
        (b'{"a": [{"x": "\\q"}]}', "at byte"),
        (b'{"a": [{"x": "\\u12"}]}', "at byte"),
        (b'{"a": [{"x": "\\ud800"}]}', "at byte 7 .*surrogate"),
        (b'{"a": [{"x": "caf\xe9"}]}', r"at byte 17 \(0xe9 is not UTF-8 text\); save the file as"),
        (b'{"a": [{"x": "\xc3"}]}', r"at byte 14 \(0xc3 is not UTF-8 text\); save the file as"),
        (b'{"caf\xe9": [{}]}', r"at byte 5 \(0xe9 is not UTF-8 text\); save the file as"),
        (b'{"a": [{"x": 1, "x": 2}]}', "its key `x` occurs twice"),
        (b'{"a": [{"x": {"y": ":", "y" :2}}]}', "its key `y` occurs twice"),
        (b'{"a": [{"x": %s}]}' % (b"9" * 5001), "at byte"),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 22])
def test_what_is_not_json_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str, block: int
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    with pytest.raises(InputError, match=message) as caught:
        found_items(write(tmp_path, content))
    assert re.match(
        r".*/file\.json: (not valid JSON at byte \d+ \(.*\)|is empty); "
        rf"(.*{AGAIN}|{REPLACE}|save the file as UTF-8)$",
        str(caught.value),
    )


@pytest.mark.parametrize("depth", [300, 2000, 200_000])
@pytest.mark.parametrize(
    ("head", "opening", "closing", "tail"),
    [
        ('{"a": [{"x": ', "[", "]", "}]}"),
        ('{"a": [{"x": ', '{"k":', "}", "}]}"),
        ('{"a": ', "[", "]", "}"),
    ],
)
def test_what_is_nested_too_deeply_is_refused(
    tmp_path: Path, depth: int, head: str, opening: str, closing: str, tail: str
) -> None:
    inner = "1" if opening.startswith("{") else ""
    with pytest.raises(InputError, match=r"file\.json: .*\((nested|its list `a` is not)"):
        found_items(write(tmp_path, head + opening * depth + inner + closing * depth + tail))


def test_what_is_read_can_be_written_again(tmp_path: Path) -> None:
    """The conversion writes values one level deeper than they were."""
    refused = {}
    for depth in range(90, 110):
        path = write(tmp_path, '{"a": [{"x": ' + "[" * depth + "]" * depth + "}]}")
        try:
            ((_, value),) = found_items(path)
        except InputError as error:
            refused[depth] = str(error)
        else:
            assert orjson.loads(orjson.dumps({"x": [value["x"]]})) == {"x": [value["x"]]}
    assert min(refused) > 95
    assert list(refused) == list(range(min(refused), 110))
    assert all("nested more than 100 levels" in message for message in refused.values())


def test_one_missing_quotation_mark_does_not_read_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 10)
    monkeypatch.setattr(json_stream, "LONGEST", 100)
    path = write(tmp_path, '{"a": [{"x": "' + "y" * 5000)
    read = 0
    with path.open("rb") as file:

        class Counted:
            def read(self, size: int) -> bytes:
                nonlocal read
                read += size
                return file.read(size)

        with pytest.raises(JsonFault, match="Unterminated string"):
            list(_Reader(Counted()).items(set()))  # type: ignore[arg-type]
    assert read < 500


@pytest.mark.parametrize("seed", range(200))
def test_flat_objects_are_read_like_all_others(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast check of keys and nesting against the careful one."""
    generator = np.random.default_rng(seed)

    def made(depth: int) -> str:
        choice = int(generator.integers(8 if depth < 4 else 5))
        if choice < 5:
            return ("1", '"a"', '"\\\\"', '"{[:"', "null")[choice]
        items = [made(depth + 1) for _ in range(int(generator.integers(4)))]
        if choice == 5:
            return f"[{', '.join(items)}]"
        names = generator.choice(["a", "b", "size", "counts", "\\\\u0061"], len(items))
        space = ("", " ", "\n")[int(generator.integers(3))]
        fields = (f'"{name}"{space}:{item}' for name, item in zip(names, items, strict=True))
        return "{" + ",".join(fields) + "}"

    def outcome(text: str) -> Any:
        try:
            return json_stream.loads(text.encode())
        except ValueError as error:
            return str(error)

    deep = int(generator.integers(90, 110))
    texts = [made(0) for _ in range(60)]
    texts += [f'{{"a":{text},"b":{{"counts":"x","size":{text}}}}}' for text in texts]
    texts.append('{"a":' + "[" * deep + "]" * deep + "}")
    found = [outcome(text) for text in texts]
    monkeypatch.setattr(json_stream, "_is_flat", lambda text, value: False)
    assert found == [outcome(text) for text in texts]
