"""Objects parsed together: against each by itself, whatever stands in and behind them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.common.json_files import OBJECTS, STYLES
from vatrack.common.json_stream import loads
from vatrack.common.json_together import parse_together
from vatrack.common.value_files import DEEPEST, count_keys

USUAL = {"id": 7, "bbox": [1, 2.5], "mask": {"size": [3, 4], "counts": "0\\]["}, "list": [{"a": 1}]}


@pytest.mark.parametrize("examples", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_each_object_is_what_it_is_alone(examples: int) -> None:
    @settings(max_examples=examples)
    @given(
        items=st.lists(OBJECTS, min_size=1, max_size=6),
        style=STYLES,
        behind=st.sampled_from(["", "]", ' ], "b": [{"a": {}}]}', ", ", ', {"a": {"b', "]\n}}"]),
        cut=st.integers(0, 40),
    )
    def check(items: list[dict[str, Any]], style: dict[str, Any], behind: str, cut: int) -> None:
        whole = (json.dumps(items, **style).strip()[1:-1].strip() + behind).encode()
        text = whole[: max(1, len(whole) - cut)]
        found = parse_together(text)
        if found is None:
            # Only where a text has a brace or an escape.
            assert any(mark in json.dumps(texts(items)) for mark in "\\{}")
            return
        assert found.values == items[: len(found.values)]
        for value, start, stop in zip(*found, strict=True):
            assert json.loads(text[start:stop]) == value
            assert json.dumps(json.loads(text[start:stop])) == json.dumps(value)

    check()


def texts(value: Any) -> list[str]:
    """All keys and texts in a value."""
    if isinstance(value, dict):
        return [*value, *texts(list(value.values()))]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []


def text_of(number: int) -> bytes:
    return json.dumps({**USUAL, "id": number}).encode()


def test_all_objects_of_the_list_and_no_others_are_parsed() -> None:
    texts = [text_of(number) for number in range(5)]
    for between in (b",", b", ", b" ,\n\t"):
        text = between.join(texts)
        found = parse_together(text + b'], "others": [' + text)
        assert found is not None and [value["id"] for value in found.values] == list(range(5))
        assert [text[a:b] for a, b in zip(found.starts, found.stops, strict=True)] == texts
        for stop in range(1, len(text)):
            part = parse_together(text[:stop])
            assert part is not None
            assert part.values == found.values[: len(part.values)]
            assert len(part.values) == sum(end <= stop for end in found.stops)


DOUBTFUL = {
    "a key twice": text_of(1).replace(b'"id"', b'"bbox": 5, "id"'),
    "a key twice, the other way spaced": text_of(1).replace(b'"id"', b'"bbox" : 5, "id"'),
    "a key twice inside": text_of(1).replace(b'"size"', b'"size": [3, 4], "size"'),
    "an escaped quotation mark": text_of(1).replace(b"0", b'\\"0'),
    "a brace in a text": text_of(1).replace(b'"0', b'"}{'),
    "not JSON": text_of(1).replace(b"2.5", b"2.5.5"),
    "a comma too much": text_of(1).replace(b"2.5", b"2.5,"),
    "NaN": text_of(1).replace(b"2.5", b"NaN"),
    "half a surrogate pair": text_of(1).replace(b'"0', b'"\\ud800'),
    "not UTF-8": text_of(1).replace(b'"0', b'"\xff'),
    "deep": text_of(1).replace(b"2.5", b"[" * DEEPEST + b"]" * DEEPEST),
}


@pytest.mark.parametrize("doubtful", DOUBTFUL.values(), ids=DOUBTFUL.keys())
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_needs_care_is_left_to_the_slower_reader(doubtful: bytes, place: int) -> None:
    texts = [text_of(2), text_of(3)]
    texts.insert(place, doubtful)
    assert parse_together(b", ".join(texts)) is None


def test_just_not_too_deep() -> None:
    deep = text_of(1).replace(b"2.5", b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1))
    found = parse_together(deep)
    assert found is not None and found.values == [loads(deep)]


def plain_count(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(plain_count, inner)) + (len(value) if isinstance(value, dict) else 0)


def test_keys_are_counted_at_all_levels() -> None:
    random = np.random.default_rng(0)

    def made(depth: int) -> Any:
        kind = random.integers(4) if depth < 6 else 0
        if kind == 1:
            return [made(depth + 1) for _ in range(random.integers(4))]
        if kind == 2:
            return {str(key): made(depth + 1) for key in range(random.integers(4))}
        return ["text", 1.5, True, None][random.integers(4)]

    for _ in range(200):
        values = [made(0) for _ in range(random.integers(5))]
        assert count_keys(values) == sum(map(plain_count, values))
