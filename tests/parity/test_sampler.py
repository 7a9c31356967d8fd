"""Assignment of the track head exactly, its random sampler by the range of its counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden import Case, cases
from vatrack.config import SamplerConfig
from vatrack.models.assign import Thresholds, assign
from vatrack.models.sample import sample_boxes


@pytest.mark.parametrize("case", cases("sampler"))
def test_assignment_and_counts(case: Case) -> None:
    inputs, expected, parameters = case.npz("inputs"), case.npz("expected"), case.parameters
    proposals, boxes = (torch.from_numpy(inputs[key]) for key in ("proposals", "boxes"))
    thresholds = Thresholds(parameters["assigner"]["positive"], parameters["assigner"]["negative"])
    assignment = assign(proposals, boxes, thresholds)
    np.testing.assert_array_equal(assignment.state.numpy(), expected["assigned"])
    np.testing.assert_allclose(assignment.max_iou.numpy(), expected["max_iou"], atol=1e-6)

    settings = SamplerConfig(number=parameters["number"], positive_fraction=parameters["positive_fraction"])
    torch.manual_seed(0)
    draws = [sample_boxes(proposals, boxes, thresholds, settings, parameters["negatives_per_positive"]) for _ in range(19)]
    runs = case.json("counts")["runs"]
    published = [run["positives"] for run in runs]
    positives = [len(draw.matched) for draw in draws]
    # Only the range can be compared: both are draws of the same size from the same distribution.
    assert min(published) - 4 <= min(positives) <= max(positives) <= max(published) + 4
    assert np.mean(positives) == pytest.approx(np.mean(published), abs=3)
    assert {draw.count for draw in draws} == {run["positives"] + run["negatives"] for run in runs}
    state = assign(proposals, boxes, thresholds).state
    overlapping = int(((state == 0) & (assignment.max_iou > 0)).sum())
    for draw in draws:
        negatives = draw.boxes[len(draw.matched) :]
        touching = int((assign(negatives, boxes, thresholds).max_iou > 0).sum())
        assert touching == min(overlapping, len(negatives)), "negatives that overlap an object come first"
        small = [i for i in range(len(boxes)) if int((state == i + 1).sum()) + 1 <= 15]
        for i in small:
            assert int((draw.matched == i).sum()) == int((state == i + 1).sum()) + 1, "small objects are kept whole"
