"""Which of the assigned boxes a loss sees: random and balanced samplers (spec 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
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


def _random_keys(rows: Tensor, generator: torch.Generator | None) -> Tensor:
    """A number in [0, 1) for each row, drawn on the device of the rows."""
    (seed,) = torch.randint(2**63 - 1, (1,), generator=generator).tolist()
    own = torch.Generator(rows.device).manual_seed(seed)
    return torch.rand(len(rows), generator=own, device=rows.device)


@dataclass(frozen=True)
class Draw:
    """Drawn rows (k,) of a table, and which of them count: `valid` (k,) bool."""

    rows: Tensor
    valid: Tensor


def draw_anchors(
    assignment: Assignment, settings: SamplerConfig, generator: torch.Generator | None = None
) -> tuple[Draw, Draw]:
    """The random sampler for the anchors of an image, of which there are hundreds of thousands.

    On the CPU it is `sample_random`. A GPU draws by itself, without telling how many there are.
    """
    if assignment.state.device.type != "cpu":
        return draw_by_keys(assignment, settings, generator)
    positive, negative = (
        Draw(rows, torch.ones_like(rows, dtype=torch.bool))
        for rows in sample_random(assignment, settings, generator)
    )
    return positive, negative


def draw_by_keys(
    assignment: Assignment, settings: SamplerConfig, generator: torch.Generator | None = None
) -> tuple[Draw, Draw]:
    """Samples of the same distribution as `sample_random`, in tables of one size.

    Every box gets a random key, and the highest keys win; rows that nothing is left for are not
    valid.
    """
    state = assignment.state
    keys = _random_keys(state, generator)

    def highest(candidates: Tensor, number: int) -> Draw:
        found = torch.where(candidates, keys, -1.0).topk(min(number, len(keys)))
        return Draw(found.indices, found.values >= 0)

    positive = highest(state > 0, int(settings.number * settings.positive_fraction))
    negative = highest(state == 0, settings.number)
    ranks = torch.arange(len(negative.rows), device=state.device)
    left = settings.number - positive.valid.sum()
    return positive, Draw(negative.rows, negative.valid & (ranks < left))


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
    proposals: Sequence[Tensor],
    ground_truth: Sequence[Tensor],
    thresholds: Thresholds,
    settings: SamplerConfig,
    negatives_per_positive: float | None = None,
    generators: Sequence[torch.Generator | None] = (),
) -> list[Sample]:
    """Assigns and samples proposals (n_i, 4) per image, with the ground truth (g_i, 4) in front.

    What is drawn does not depend on the device: a thousand boxes are sampled on the CPU, and a GPU
    is waited for once, for all images together.

    Args:
        negatives_per_positive: for the balanced sampler of the track head; None: the random sampler
            of the box heads.
        generators: what is drawn from, one per image, on the CPU; empty: PyTorch's global one.
    """
    boxes, assignments = [], []
    for found, truth in zip(proposals, ground_truth, strict=True):
        assignment = assign(found, truth, thresholds)
        assignments.append(prepend_ground_truth(assignment, len(truth)))
        boxes.append(torch.cat([truth, found]))
    samples = []
    on_cpu = _on_cpu(assignments)
    for own, assignment, generator in zip(
        boxes, on_cpu, generators or [None] * len(on_cpu), strict=True
    ):
        if negatives_per_positive is None:
            positive, negative = sample_random(assignment, settings, generator)
        else:
            positive, negative = sample_balanced(
                assignment, settings, negatives_per_positive, generator
            )
        rows = torch.cat([positive, negative]).to(own.device, non_blocking=True)
        matched = (assignment.state[positive] - 1).to(own.device, non_blocking=True)
        samples.append(Sample(own[rows], matched))
    return samples


def _on_cpu(assignments: Sequence[Assignment]) -> list[Assignment]:
    """The same in the CPU's memory, by one copy."""
    if all(assignment.state.device.type == "cpu" for assignment in assignments):
        return list(assignments)
    columns = [torch.stack([each.state.to(each.max_iou), each.max_iou]) for each in assignments]
    copied = torch.cat(columns, dim=1).cpu().split([len(each.state) for each in assignments], dim=1)
    return [Assignment(state.long(), max_iou) for state, max_iou in copied]
