"""An order in which 2 comes before 10, and numbered files."""

from __future__ import annotations

import re
from pathlib import Path

from vatrack.common.numbers_in_names import natural, numbered


def test_numbers_inside_names_are_compared_as_numbers() -> None:
    names = ["seed10", "seed9", "10", "seed9b2", "9", "seed", "x1y10", "x1y9", "seed009"]
    assert sorted(names, key=natural) == [
        "9", "10", "seed", "seed9", "seed009", "seed9b2", "seed10", "x1y9", "x1y10",
    ]  # fmt: skip


def test_other_digits_are_no_numbers() -> None:
    assert sorted(["a²", "a10", "a2"], key=natural) == ["a2", "a10", "a²"]


def test_numbered_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    name = re.compile(r"state_(\d+)\.pt")
    assert numbered(tmp_path / "none", name) == []
    for each in ("state_10.pt", "state_9.pt", "state_9.pt.part", ".state_8.pt", "state_x.pt"):
        (tmp_path / each).touch()
    assert numbered(tmp_path, name) == [
        (9, tmp_path / "state_9.pt"), (10, tmp_path / "state_10.pt"),
    ]  # fmt: skip
