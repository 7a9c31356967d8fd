"""The comparisons themselves: they must be able to fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.parity.measure import Measure, demand, largest_difference, worst, wrong


@pytest.mark.parametrize("error", [math.nan, math.inf, 1.1])
def test_what_is_beyond_its_bound_or_no_number_fails(error: float) -> None:
    measures = [
        Measure("a", "px", 0.5, 1.0),
        Measure("a", "px", error, 1.0),
        Measure("a", "px", 0.1, 1.0),
    ]
    with pytest.raises(AssertionError, match=r"a: (inf|1\.1) px, allowed 1"):
        demand(worst(measures))
    demand(worst(measures[::2]))


def test_an_exact_part_allows_nothing() -> None:
    demand([wrong("ids", [1, 2], [1, 2]), Measure("a", "px", 0.0, 0.0)])
    assert wrong("ids", [1, 2, 3], [1, 3, 2]).error == 2
    assert wrong("ids", [1], [1, 2]).error == 1
    with pytest.raises(AssertionError):
        demand([Measure("a", "px", 1e-30, 0.0)])
    with pytest.raises(AssertionError):
        demand([])


def test_the_part_closest_to_its_bound_is_kept() -> None:
    loose, tight, other = (
        Measure("a", "px", 5, 100),
        Measure("a", "px", 1, 2),
        Measure("b", "px", 0, 0),
    )
    assert worst([loose, tight, other]) == [tight, other]


def test_differences_of_shape_and_values_that_are_no_numbers_are_infinite() -> None:
    assert largest_difference(torch.tensor([1.0, 2]), np.array([1.0, 4])) == 2
    assert largest_difference(torch.zeros(2), torch.zeros(1, 2)) == math.inf
    assert largest_difference(torch.zeros(2), np.array([0, math.nan])) == math.inf
    assert largest_difference(torch.zeros(0), np.zeros(0)) == 0
