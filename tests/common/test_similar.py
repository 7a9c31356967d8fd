"""Names that were meant."""

from __future__ import annotations

from vatrack.common.similar import unknown


def test_near_names_are_offered() -> None:
    text = unknown("class", "persn", ["Person", "car", "dog"])
    assert text == "no class is called 'persn'; did you mean Person?"
    assert unknown("class", "zebra", ["Person", "car"]).endswith("there are Person, car")
