"""Streaming JSON: against json.loads for whatever is in the file, and what is said about files that
are damaged."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.common.json_files import FILES, SMALL, STYLES, expected_items, found_items, write
from vatrack.common import json_lists, json_stream
from vatrack.common.errors import InputError
from vatrack.common.json_lists import Item, Texts, read_lists


@settings(max_examples=300)
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
