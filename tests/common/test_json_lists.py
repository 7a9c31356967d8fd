"""Streaming JSON: against json.loads for whatever is in the file, and what is said about files that
are damaged."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vatrack.common import json_lists, json_stream
from vatrack.common.errors import InputError
from vatrack.common.json_lists import REPLACE, Item, Texts, _Reader, read_lists
from vatrack.common.json_stream import JsonFault, JsonStream
from vatrack.common.text_files import AGAIN

# Whole numbers as far as 64 bits hold them; larger ones have a test of their own.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(
        ['{"', '"}', "[{]}", '\\"', "\\", "},\n{", "é", "\U0001f600", "\x7f\x85\xa0", "\x00\x1f"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)
# Lists of objects, and other values in between.
FILES = st.dictionaries(
    st.text(max_size=5), st.lists(OBJECTS, max_size=4) | SCALARS | OBJECTS, max_size=5
)
STYLES = st.sampled_from(
    [{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": "\t"}]
)


def write(folder: Path, text: str | bytes, name: str = "file.json") -> Path:
    path = folder / name
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def expected_items(data: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        (section, item)
        for section, items in data.items()
        if isinstance(items, list)
        for item in items
    ]


def found_items(path: Path) -> list[tuple[str, Any]]:
    return [(entry.section, entry.value) for entry in read_lists(path)]


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=FILES,
    style=STYLES,
    block=st.integers(1, 50),
    packed=st.booleans(),
    around=st.sampled_from(["", "\n", " \t\r\n"]),
)
def test_items_are_those_of_json_and_can_be_read_again_by_their_offset(
    tmp_path: Path,
    data: dict[str, Any],
    style: dict[str, Any],
    block: int,
    packed: bool,
    around: str,
) -> None:
    text = around + json.dumps(data, **style) + around
    path = write(tmp_path, text, "file.json.gz" if packed else "file.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "BLOCK", block)
        items = list(
            read_lists(
                path, required=[key for key, items in data.items() if isinstance(items, list)]
            )
        )
    expected = expected_items(json.loads(text))
    assert [(entry.section, entry.value) for entry in items] == expected
    # True equals 1 and 1.0 equals 1; the texts tell them apart.
    assert json.dumps([entry.value for entry in items]) == json.dumps(
        [value for _, value in expected]
    )
    # A packed file has no places to read from, but its items know where they are in the unpacked
    # one.
    texts = Texts(write(tmp_path, text, "plain.json"))
    for entry in items:
        assert texts.load(entry.offset, entry.length) == entry.value
        raw = text.encode()[entry.offset : entry.offset + entry.length].decode()
        assert raw.startswith("{") and raw.endswith("}") and json.loads(raw) == entry.value


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


SMALL = {
    "info": {"a": [1.5, None], "b": "x}]"},
    "first": [
        {"id": 1, "text": 'quo"te \\ é ü \U0001f600'},
        {"id": -2.5e-3, "deep": {"a": [[], {}]}},
    ],
    "empty": [],
    "version": 3,
    "last": [{"id": 3, "flag": True}],
}


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"other": [{}]}, r"list `one` is missing"),
        ({"one": [], "other": [{}]}, r"list `two` is missing"),
        ({"one": {}, "two": []}, r"list `one` is missing or is not a list"),
        ({"one": [], "two": None}, r"list `two` is missing or is not a list"),
        ({"one": [], "two": "text"}, r"list `two` is missing or is not a list"),
        ({}, r"list `one` is missing"),
    ],
)
def test_a_list_that_is_missing(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=r"file\.json: " + message):
        list(read_lists(write(tmp_path, json.dumps(data)), required=("one", "two")))


def test_lists_may_be_empty(tmp_path: Path) -> None:
    assert (
        list(read_lists(write(tmp_path, '{"one": [], "two": [ \n]}'), required=("one", "two")))
        == []
    )
    assert list(read_lists(write(tmp_path, " {} "))) == []


def test_a_folder_is_told_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; give a JSON file"):
        found_items(tmp_path)


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


def test_texts_of_a_file_that_has_changed(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(SMALL))
    items: list[Item] = list(read_lists(path))
    texts = Texts(path)
    again = pickle.loads(pickle.dumps(texts))
    places = [entry.offset for entry in items], [entry.length for entry in items]
    assert again.load_all(*places) == [entry.value for entry in items]
    path.write_bytes(path.read_bytes()[: items[-1].offset + 3])
    assert texts.load(items[0].offset, items[0].length) == items[0].value
    with pytest.raises(
        InputError, match=r"file\.json: changed while it was being read .*run again"
    ):
        texts.load(items[-1].offset, items[-1].length)


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


@pytest.mark.parametrize("together", [1, 100, 1 << 20])
def test_texts_that_are_read_together_are_those_read_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Neighbours, gaps, steps backwards, the same twice."""
    random = np.random.default_rng(0)
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf" + random.integers(0, 256, 3000).astype(np.uint8).tobytes())
    monkeypatch.setattr(json_lists, "READ_TOGETHER", together)
    texts = Texts(path)
    for _ in range(200):
        starts = random.integers(0, 2900, random.integers(0, 30))
        if random.random() < 0.7:
            starts = np.sort(starts)
        lengths = random.integers(1, 80, len(starts))
        expected = [
            texts.read(*place) for place in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]
        assert list(texts.read_all(starts.tolist(), lengths.tolist())) == expected
