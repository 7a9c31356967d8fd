"""What is said of a name that is not known."""

from __future__ import annotations

import pytest

from vatrack.common.similar import unknown


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("persn", "did you mean person?"),
        ("PERSON", "did you mean person?"),
        ("potted", "did you mean potted plant?"),
        ("xyz", "there are person, car, potted plant"),
        ("", "there are person, car, potted plant"),
    ],
)
def test_the_nearest_names_or_all(name: str, end: str) -> None:
    text = unknown("class", name, iter(["person", "car", "potted plant"]))
    assert text == f"no class is called {name!r}; {end}"


def test_a_long_list_is_cut() -> None:
    assert unknown("key", "?", map(str, range(100))).endswith(" 28, 29")
