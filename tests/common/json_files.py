"""JSON files of any content, and of a small one."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from vatrack.common.json_lists import read_lists

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
