"""Columns checked as arrays and masks read together: against value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vatrack.common.mask_forms import MaskError, compress, compress_usual
from vatrack.data.columns import column
from vatrack.data.fields import problem

WHOLE = [0, 5, -7, 2**63 - 1, -(2**63) + 1]
NUMBERS = [0, 1, 0.0, -0.0, 0.5, 1.0000005, -5e-7, 1e10]
ODD = [2**63, -(2**63), 10**400, True, None, "1", 1.5, float("nan"), float("inf"), -1, 1e11, [1]]
BOXES = [[1, 2, 3, 4], [0.5, -2.0, 0, 0.0], [-1e18, 5, 6, 7]]
ODD_BOXES = [
    *ODD,
    (1, 2, 3, 4),
    [1, 2, 3],
    [1, 2, 3, 4, 5],
    [1, 2, -3, 4],
    [1, 2, 3, True],
    [1, 2, "3", 4],
    [1, 2, 3, float("nan")],
    [10**400, 2, 3, 4],
    [2**63 - 1, 1, 1, 1],
    [],
]
FIELDS: dict[str, tuple[list[Any], list[Any]]] = {
    "instance_id": (WHOLE, ODD),
    "area_amodal": (NUMBERS, ODD),
    "occlude_rate": ([0, 1, 0.5, 1 + 1e-6, -1e-6], [*ODD, 1.1, -0.1]),
    "bbox": (BOXES, ODD_BOXES),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("seed", range(40))
def test_columns_hold_sound_values_alone(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    usual, odd = FIELDS[name]
    values = [usual[random.integers(len(usual))] for _ in range(random.integers(6))]
    if name == "area_amodal":
        values = [value for value in values if value >= 0]
    if seed % 2 and values:
        values[random.integers(len(values))] = odd[random.integers(len(odd))]
    found = column(name, values)
    wrong = [text for value in values if (text := problem(name, value))]
    if wrong:
        assert found is None
    elif not seed % 2:
        assert found is not None
    if found is not None:
        assert len(found) == len(values)
        assert found.tolist() == [list(v) if isinstance(v, list) else v for v in values]


SIZE = [3, 4]
SOUND = {"size": SIZE, "counts": "0\\]["}
ODD_MASKS: list[Any] = [
    {"size": [3, 5], "counts": "0"},
    {"size": (3, 4), "counts": "0"},
    {"size": [3.0, 4], "counts": "0"},
    {"size": [3, True], "counts": "0"},
    {"size": [3], "counts": "0"},
    {"size": None, "counts": "0"},
    {"size": SIZE, "counts": b"0"},
    {"size": SIZE, "counts": [5, 7]},
    {"size": SIZE, "counts": "é"},
    {"size": SIZE, "counts": None},
    {"size": SIZE},
    {"counts": "0"},
    [[0, 0, 2, 0, 2, 2]],
    "0",
    None,
]


@pytest.mark.parametrize("odd", ODD_MASKS, ids=range(len(ODD_MASKS)))
def test_masks_of_other_forms_are_not_read_together(odd: Any) -> None:
    sizes = [SIZE, SIZE, SIZE]
    assert compress_usual([SOUND, odd, SOUND], sizes) is None


def test_masks_of_the_usual_form_are_read_as_one_by_one() -> None:
    masks = [SOUND, {**SOUND, "more": 5}, {"size": [9, 2], "counts": ""}]
    sizes = [SIZE, SIZE, [9, 2]]
    expected = [compress(mask, (size[0], size[1])) for mask, size in zip(masks, sizes, strict=True)]
    assert compress_usual(masks, sizes) == expected
    assert compress_usual([], []) == []
    with pytest.raises(MaskError):
        compress(masks[0], (9, 2))
    assert compress_usual(masks, sizes[::-1]) is None
