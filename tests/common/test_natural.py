"""An order of names in which 2 comes before 10."""

from __future__ import annotations

from vatrack.common.natural import natural


def test_numbers_inside_names_are_compared_as_numbers() -> None:
    names = ["seed10", "seed9", "10", "seed9b2", "9", "seed", "x1y10", "x1y9", "seed009"]
    assert sorted(names, key=natural) == [
        "9", "10", "seed", "seed9", "seed009", "seed9b2", "seed10", "x1y9", "x1y10",
    ]  # fmt: skip


def test_other_digits_are_no_numbers() -> None:
    assert sorted(["a²", "a10", "a2"], key=natural) == ["a2", "a10", "a²"]
