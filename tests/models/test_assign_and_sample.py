"""Assigners and samplers (spec 9.3, 9.4)."""

from __future__ import annotations

import pytest
import torch

from vatrack.config import SamplerConfig
from vatrack.models.assign import (
    HEAD_THRESHOLDS,
    RPN_THRESHOLDS,
    TRACK_THRESHOLDS,
    Assignment,
    Thresholds,
    assign,
    prepend_ground_truth,
)
from vatrack.models.sample import (
    draw_anchors,
    draw_by_keys,
    sample_balanced,
    sample_boxes,
    sample_random,
)

TRUTH = torch.tensor([[0.0, 0, 100, 100], [0, 0, 60, 100], [300, 300, 320, 320]])
BOXES = torch.tensor(
    [
        [0.0, 0, 90, 100],
        [0, 0, 72, 100],
        [200, 200, 260, 260],
        [290, 290, 340, 340],
        [0, 0, 30, 100],
    ]
)


@pytest.mark.parametrize(
    ("thresholds", "states"),
    [
        (RPN_THRESHOLDS, [1, 2, 0, 0, -1]),
        (HEAD_THRESHOLDS, [1, 2, 0, 0, 2]),
        (TRACK_THRESHOLDS, [1, 2, 0, 0, -1]),
    ],
)
def test_states(thresholds: Thresholds, states: list[int]) -> None:
    assignment = assign(BOXES, TRUTH, thresholds)
    assert assignment.state.tolist() == states
    torch.testing.assert_close(
        assignment.max_iou, torch.tensor([0.9, 0.83333, 0, 0.16, 0.5]), rtol=0, atol=1e-4
    )


def test_low_quality_match_overwrites_with_the_later_ground_truth() -> None:
    truth = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 12]])
    boxes = torch.tensor([[0.0, 0, 10, 10]])
    assert assign(boxes, truth, RPN_THRESHOLDS).state.tolist() == [2]
    assert assign(boxes, truth, Thresholds(0.7, 0.3)).state.tolist() == [1]


def test_without_ground_truth_everything_is_negative() -> None:
    assert assign(BOXES, TRUTH[:0], RPN_THRESHOLDS).state.tolist() == [0] * 5
    assert assign(BOXES[:0], TRUTH, RPN_THRESHOLDS).state.tolist() == []


def test_prepended_ground_truth_is_positive_of_itself() -> None:
    assignment = prepend_ground_truth(assign(BOXES, TRUTH, HEAD_THRESHOLDS), 3)
    assert assignment.state.tolist() == [1, 2, 3, 1, 2, 0, 0, 2]
    assert assignment.max_iou[:3].tolist() == [1, 1, 1]


def _track_assignment() -> Assignment:
    """Spec 9.4: 600 negatives apart, 200 overlapping, 151 and 4 positives of two objects."""
    state = torch.cat(
        [torch.tensor([1, 2]), torch.zeros(800), torch.ones(150), torch.full((3,), 2)]
    ).long()
    iou = torch.cat(
        [torch.ones(2), torch.zeros(600), torch.full((200,), 0.2), torch.full((153,), 0.8)]
    )
    return Assignment(state, iou)


def test_balanced_sampler_redraws_positives_and_prefers_overlapping_negatives() -> None:
    assignment = _track_assignment()
    counts = []
    for seed in range(30):
        torch.manual_seed(seed)
        positive, negative = sample_balanced(
            assignment, SamplerConfig(number=256, positive_fraction=0.5), 3.0
        )
        counts.append(len(positive))
        assert len(positive.unique()) == len(positive)
        assert int((assignment.state[positive] == 2).sum()) == 4
        assert len(negative) == 256 - len(positive)
        assert bool((assignment.state[negative] == 0).all())
        assert bool((assignment.max_iou[negative] > 0).all())
    # 69 distinct positives and 59 redrawn from all 155: about 102 remain, never 128 (quirk T5).
    assert 95 <= min(counts) <= max(counts) <= 112


def test_balanced_sampler_limits_negatives_per_positive() -> None:
    assignment = Assignment(torch.cat([torch.ones(5), torch.zeros(500)]).long(), torch.zeros(505))
    positive, negative = sample_balanced(
        assignment, SamplerConfig(number=256, positive_fraction=0.5), 3.0
    )
    assert (len(positive), len(negative)) == (5, 15)


def test_random_sampler_fills_up_with_negatives() -> None:
    assignment = Assignment(
        torch.cat([torch.ones(300), torch.zeros(1000)]).long(), torch.zeros(1300)
    )
    positive, negative = sample_random(
        assignment, SamplerConfig(number=512, positive_fraction=0.25)
    )
    assert (len(positive), len(negative)) == (128, 384)
    few = Assignment(torch.tensor([1, 0, 0, -1]), torch.zeros(4))
    positive, negative = sample_random(few, SamplerConfig(number=512, positive_fraction=0.25))
    assert (positive.tolist(), negative.tolist()) == ([0], [1, 2])


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [(300, 1000, (32, 224)), (5, 1000, (5, 251)), (0, 1000, (0, 256)), (40, 3, (32, 3))],
)
def test_draws_by_keys_are_as_many_as_those_of_the_exact_sampler(
    positives: int, negatives: int, expected: tuple[int, int]
) -> None:
    """What a GPU does, on the CPU: tables of one size with the valid rows of the right states."""
    state = torch.cat([torch.ones(positives), torch.zeros(negatives), torch.full((50,), -1)])
    assignment = Assignment(state.long()[torch.randperm(len(state))], torch.zeros(len(state)))
    settings = SamplerConfig(number=256, positive_fraction=0.125)
    drawn = draw_by_keys(assignment, settings)
    exact = draw_anchors(assignment, settings)
    for own, other, wanted, number in zip(drawn, exact, (1, 0), expected, strict=True):
        rows = own.rows[own.valid]
        assert len(rows) == len(rows.unique()) == len(other.rows[other.valid]) == number
        assert bool((assignment.state[rows] == wanted).all())
    assert [len(own.rows) for own in drawn] == [32, min(256, len(state))]


def test_draws_by_keys_are_uniform_and_follow_the_generator() -> None:
    assignment = Assignment(torch.zeros(40).long(), torch.zeros(40))
    settings = SamplerConfig(number=10, positive_fraction=0.5)

    def negatives(seed: int) -> torch.Tensor:
        draw = draw_by_keys(assignment, settings, torch.Generator().manual_seed(seed))[1]
        return draw.rows[draw.valid]

    assert torch.equal(negatives(1), negatives(1))
    counts = torch.bincount(torch.cat([negatives(seed) for seed in range(2000)]), minlength=40)
    assert int(counts.sum()) == 20_000
    assert 400 <= int(counts.min()) <= int(counts.max()) <= 600  # 500, standard deviation 19


def test_sample_puts_ground_truth_in_front() -> None:
    (sample,) = sample_boxes(
        [BOXES], [TRUTH], HEAD_THRESHOLDS, SamplerConfig(number=512, positive_fraction=0.25)
    )
    assert sample.matched.tolist() == [0, 1, 2, 0, 1, 1]
    torch.testing.assert_close(sample.positives[:3], TRUTH)
    assert sample.count == 8


def test_sample_of_nothing() -> None:
    (sample,) = sample_boxes(
        [BOXES[:0]], [TRUTH[:0]], HEAD_THRESHOLDS, SamplerConfig(number=512, positive_fraction=0.25)
    )
    assert sample.count == 0
