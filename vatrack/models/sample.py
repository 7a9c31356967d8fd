"""Which of the assigned boxes a loss sees: random and balanced samplers (spec 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vatrack.config import SamplerConfig
from vatrack.models.assign import Assignment, Thresholds, assign, prepend_ground_truth


@dataclass(frozen=True)
class Sample:
    """Sampled boxes of one image: p positives in front of q negatives.

    Attributes:
        boxes: (p + q, 4).
        matched: (p,) index of the ground truth of each positive.
        count: p + q.
    """

    boxes: Tensor
    matched: Tensor

    @property
    def positives(self) -> Tensor:
        return self.boxes[: len(self.matched)]

    @property
    def count(self) -> int:
        return len(self.boxes)


def _choose(candidates: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    """`number` of the candidates, uniform without replacement; all where there are no more."""
    if len(candidates) <= number:
        return candidates
    return candidates[
        torch.randperm(len(candidates), device=candidates.device, generator=generator)[:number]
    ]


def sample_random(
    assignment: Assignment, settings: SamplerConfig, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Sorted indices of positives (at most number * positive_fraction) and of the negatives that
    fill up to the number.

    torchvision's BalancedPositiveNegativeSampler draws alike, but gives masks and knows no balance
    of instances or overlaps.
    """
    positive = _choose(
        (assignment.state > 0).nonzero()[:, 0],
        int(settings.number * settings.positive_fraction),
        generator,
    )
    negative = _choose(
        (assignment.state == 0).nonzero()[:, 0], settings.number - len(positive), generator
    )
    return positive.sort().values, negative.sort().values


def sample_balanced(
    assignment: Assignment,
    settings: SamplerConfig,
    negatives_per_positive: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Sorted indices of instance-balanced positives and IoU-balanced negatives, for the track
    head."""
    positive = _instance_balanced(
        assignment.state, int(settings.number * settings.positive_fraction), generator
    )
    limit = int(negatives_per_positive * max(1, len(positive)))
    negative = _prefer_overlapping(
        assignment, min(settings.number - len(positive), limit), generator
    )
    return positive.sort().values, negative.sort().values


def _instance_balanced(state: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    candidates = (state > 0).nonzero()[:, 0]
    if len(candidates) <= number:
        return candidates
    instances = state[candidates].unique()
    quota = round(number / len(instances)) + 1
    chosen = torch.cat(
        [_choose((state == instance).nonzero()[:, 0], quota, generator) for instance in instances]
    )
    if len(chosen) < number:
        # The published sampler redraws from all positives, drawn ones included, so fewer than
        # `number` remain (quirk T5).
        chosen = torch.cat([chosen, _choose(candidates, number - len(chosen), generator)]).unique()
    return _choose(chosen, number, generator)


def _prefer_overlapping(
    assignment: Assignment, number: int, generator: torch.Generator | None
) -> Tensor:
    negative = assignment.state == 0
    touching = (negative & (assignment.max_iou > 0)).nonzero()[:, 0]
    if len(touching) >= number:
        return _choose(touching, number, generator)
    apart = (negative & (assignment.max_iou <= 0)).nonzero()[:, 0]
    return torch.cat([touching, _choose(apart, number - len(touching), generator)])


def sample_boxes(
    proposals: Tensor,
    ground_truth: Tensor,
    thresholds: Thresholds,
    settings: SamplerConfig,
    negatives_per_positive: float | None = None,
    generator: torch.Generator | None = None,
) -> Sample:
    """Assigns and samples proposals (n, 4) of one image, with the ground truth (g, 4) put in front
    of them.

    Args:
        negatives_per_positive: for the balanced sampler of the track head; None: the random sampler
            of the box heads.
        generator: what is drawn from; None: PyTorch's global one.
    """
    assignment = prepend_ground_truth(
        assign(proposals, ground_truth, thresholds), len(ground_truth)
    )
    boxes = torch.cat([ground_truth, proposals])
    if negatives_per_positive is None:
        positive, negative = sample_random(assignment, settings, generator)
    else:
        positive, negative = sample_balanced(
            assignment, settings, negatives_per_positive, generator
        )
    return Sample(torch.cat([boxes[positive], boxes[negative]]), assignment.state[positive] - 1)
