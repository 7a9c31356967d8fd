"""What is said of a name that is not known."""

from __future__ import annotations

import pytest

from vatrack.common.similar import meant, nearest, not_a_choice, unknown


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("persn", "did you mean person?"),
        ("perosn", "did you mean person?"),
        ("acr", "did you mean car?"),
        ("PERSON", "did you mean person?"),
        ("potted", "did you mean potted plant?"),
        ("xyz", "choose from person, car, potted plant"),
        ("", "choose from person, car, potted plant"),
    ],
)
def test_the_nearest_names_or_all(name: str, end: str) -> None:
    text = unknown("class", name, iter(["person", "car", "potted plant"]))
    assert text == f"unknown class {name!r}; {end}"


def test_the_advice_stays_beside_a_near_name() -> None:
    """A video that is not unpacked may have a neighbour of a similar name."""
    told = "; did you mean video_1? Otherwise unpack it"
    assert meant("video_2", ["video_1", "other"], "unpack it") == told
    assert meant("video_2", ["other"], "unpack it") == "; unpack it"


def test_a_long_list_is_cut() -> None:
    assert unknown("key", "?", map(str, range(100))).endswith(" 28, 29, ...")
    assert unknown("key", "?", ["a", "b"], 2).endswith("; choose from a, b")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vatrak", ["vatrack"]),  # vatrack-2bbox is far behind
        ("resnet", ["resnet18", "resnet50"]),
        ("2bbox", ["vatrack-2bbox"]),
        ("gpu", []),  # no guess at a word of three letters
    ],
)
def test_what_is_far_behind_the_nearest_is_not_said(name: str, near: list[str]) -> None:
    known = ["vatrack", "vatrack-2bbox", "qdtrack", "resnet18", "resnet50", "cpu"]
    assert nearest(name, known) == near


def test_the_choices_of_a_message() -> None:
    message = "'vatrak' is not one of 'qdtrack', 'vatrack'."
    assert not_a_choice(message, "vatrak") == message[:-1] + "; did you mean vatrack?"
    assert not_a_choice("'a' or 'b'", 7) == "'a' or 'b'"
