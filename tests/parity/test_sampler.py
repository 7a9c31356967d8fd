"""Assignment for the track head, exactly; its random sampler by the range of its counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.parity.golden import Case, cases
from tests.parity.measure import Measure, demand, largest_difference, wrong
from vatrack.config import SamplerConfig
from vatrack.models.assign import Thresholds, assign
from vatrack.models.sample import sample_boxes


@pytest.mark.parametrize("case", cases("sampler"))
def test_assignment(case: Case) -> None:
    demand(measure(case))


def measure(case: Case) -> list[Measure]:
    """Compares which object every proposal belongs to, and by what overlap."""
    expected = case.npz("expected")
    assignment = assign(*_boxes(case), _thresholds(case))
    return [
        wrong("assignment", assignment.state.tolist(), expected["assigned"].tolist()),
        Measure(
            "overlaps", "IoU", largest_difference(assignment.max_iou, expected["max_iou"]), 1e-6
        ),
    ]


def _boxes(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = case.npz("inputs")
    return torch.from_numpy(inputs["proposals"]), torch.from_numpy(inputs["boxes"])


def _thresholds(case: Case) -> Thresholds:
    return Thresholds(
        case.parameters["assigner"]["positive"], case.parameters["assigner"]["negative"]
    )


@pytest.mark.parametrize("case", cases("sampler"))
def test_counts(case: Case) -> None:
    parameters, thresholds = case.parameters, _thresholds(case)
    proposals, boxes = _boxes(case)
    assignment = assign(proposals, boxes, thresholds)
    settings = SamplerConfig(
        number=parameters["number"], positive_fraction=parameters["positive_fraction"]
    )
    torch.manual_seed(0)
    draws = [
        sample_boxes(
            [proposals], [boxes], thresholds, settings, parameters["negatives_per_positive"]
        )[0]
        for _ in range(19)
    ]
    runs = case.json("counts")["runs"]
    published = [run["positives"] for run in runs]
    positives = [len(draw.matched) for draw in draws]
    # Only the range can be compared: both are draws of the same size from the same distribution.
    assert min(published) - 4 <= min(positives) <= max(positives) <= max(published) + 4
    assert np.mean(positives) == pytest.approx(np.mean(published), abs=3)
    assert {draw.count for draw in draws} == {run["positives"] + run["negatives"] for run in runs}
    state = assignment.state
    overlapping = int(((state == 0) & (assignment.max_iou > 0)).sum())
    for draw in draws:
        negatives = draw.boxes[len(draw.matched) :]
        touching = int((assign(negatives, boxes, thresholds).max_iou > 0).sum())
        assert touching == min(overlapping, len(negatives)), (
            "negatives that overlap an object come first"
        )
        quota = parameters["number"] * parameters["positive_fraction"] / len(boxes)
        small = [i for i in range(len(boxes)) if int((state == i + 1).sum()) + 1 <= quota]
        for i in small:
            assert int((draw.matched == i).sum()) == int((state == i + 1).sum()) + 1, (
                "small objects are kept whole"
            )
