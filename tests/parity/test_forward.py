"""Feature maps, raw outputs, proposals and detections of one image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.golden import Case, cases, recipe
from tests.parity.measure import (
    EXACT,
    Measure,
    demand,
    device_of,
    largest_difference,
    match_boxes,
    wrong,
)
from tests.parity.networks import golden_network
from vatrack.config import InferenceConfig
from vatrack.data.transforms import network_input, rgb_planes, stack_padded
from vatrack.models.detector import Detector
from vatrack.models.mask_head import REGION_SIZE as MASK_REGION_SIZE
from vatrack.models.roi import VECTOR_REGION_SIZE as REGION_SIZE
from vatrack.models.roi import region_features, region_levels

RELATIVE = 1e-4  # of the tensor's standard deviation
LABELS = [0, 5, 23]


@pytest.mark.parametrize("case", cases("forward"))
def test_every_stage(case: Case) -> None:
    demand(measure(case, golden_network(case)))


def measure(case: Case, model: Detector) -> list[Measure]:
    """Compares everything that a network with the golden weights makes of the case's image."""
    with torch.no_grad():
        return [*_raw_outputs(case, model), *_boxes(case, model)]


def _input(case: Case) -> tuple[Tensor, tuple[int, int]]:
    frame = case.npz("inputs")["image_bgr"]
    size = frame.shape[0], frame.shape[1]
    return network_input(stack_padded([rgb_planes(frame)]), [size], "cpu"), size


def _sample(
    quantity: str, tensor: Tensor, info: dict[str, Any], expected: np.ndarray
) -> Iterator[Measure]:
    scale, bound = (1.0, 1e-6) if quantity == "input" else (info["std"], RELATIVE)
    same_shape = list(tensor.shape) == info["shape"]
    error = (
        largest_difference(tensor.flatten()[:: info["stride"]], expected) / scale
        if same_shape
        else float("inf")
    )
    yield Measure(quantity, "std", error, bound)
    total = float(tensor.double().abs().sum())
    yield Measure(f"{quantity}: sum", "relative", abs(total / info["abs_sum"] - 1), RELATIVE)


def _tensor(quantity: str, tensor: Tensor, expected: np.ndarray) -> Measure:
    return Measure(
        quantity, "std", largest_difference(tensor, expected) / float(expected.std()), RELATIVE
    )


def _raw_outputs(case: Case, model: Detector) -> Iterator[Measure]:
    expected, device = case.npz("expected"), device_of(model)
    heads, layout = model.roi_head, model.roi_head.layout
    image, _ = _input(case)
    frame = case.npz("inputs")["image_bgr"]
    yield Measure("input", "std", largest_difference(image, recipe().network_input(frame)), EXACT)

    trunk = model.backbone(image.to(device))
    features = model.neck(trunk)
    logits, deltas = model.rpn_head(features)
    stages = {"input": image}
    stages |= {f"C{i + 2}": x for i, x in enumerate(trunk)} | {
        f"P{i + 2}": x for i, x in enumerate(features)
    }
    stages |= {f"rpn_logits_{i}": x for i, x in enumerate(logits)} | {
        f"rpn_deltas_{i}": x for i, x in enumerate(deltas)
    }

    regions = torch.from_numpy(case.npz("inputs")["rois"]).to(device)
    yield wrong("RoI levels", region_levels(regions).tolist(), expected["roi_level"].tolist())
    small, large = (region_features(features, regions, n) for n in (REGION_SIZE, MASK_REGION_SIZE))
    yield _tensor("RoI features 7x7", small[:, ::16], expected["roi_align_7_channels_step16"])
    yield _tensor("RoI features 14x14", large[:, ::64], expected["roi_align_14_channels_step64"])
    for name in layout.boxes.values():
        prefix = "amodal_" if name.startswith("amodal_") else ""
        box_logits, box_deltas = heads.get_submodule(name)(small)
        yield _tensor(f"{name} logits", box_logits, expected[f"{prefix}box_logits"])
        yield _tensor(f"{name} deltas", box_deltas, expected[f"{prefix}box_deltas"])
    for name, _ in layout.masks.values():
        key = f"{name.removesuffix('_head')}_logits"
        stages[key] = heads.get_submodule(name)(large)
        yield _tensor(f"{name} logits", stages[key][:, LABELS], expected[f"{key}_labels_0_5_23"])
    yield _tensor("embeddings", heads.track_head(small), expected["embeddings"])
    yield wrong("tensors", sorted(stages), sorted(case.info["tensors"]))
    for name, tensor in stages.items():
        yield from _sample(name, tensor, case.info["tensors"][name], expected[f"sample_{name}"])


def _boxes(case: Case, model: Detector) -> Iterator[Measure]:
    expected, device = case.npz("expected"), device_of(model)
    layout = model.roi_head.layout
    image, size = _input(case)
    features = model.features(image.to(device))

    (proposals,), _ = model.proposals(features, [size])
    golden = torch.from_numpy(expected["proposals"])
    yield wrong("proposals: number", len(proposals), len(golden))
    rows, found = match_boxes(
        golden, proposals.cpu(), torch.ones(len(golden), len(proposals), dtype=torch.bool)
    )
    yield Measure("proposals: unmatched", "wrong", float((~found).sum()), EXACT)
    yield Measure(
        "proposals: boxes", "px", largest_difference(proposals[rows, :4], golden[found, :4]), 0.01
    )
    yield Measure(
        "proposals: scores", "score", largest_difference(proposals[rows, 4], golden[found, 4]), 1e-4
    )

    # The golden proposals as input, so that this measures the box heads alone.
    detections = model.roi_head.detect(
        features, golden.to(device), size, torch.ones(4, device=device), InferenceConfig()
    )
    golden, labels = (
        torch.from_numpy(expected["detections"]),
        torch.from_numpy(expected["detection_labels"]),
    )
    yield wrong("detections: number", len(detections.scores), len(golden))
    boxes = detections.boxes[layout.primary].cpu()
    rows, found = match_boxes(golden, boxes, labels[:, None] == detections.labels.cpu()[None, :])
    yield Measure("detections: unmatched", "wrong", float((~found).sum()), EXACT)
    yield Measure(
        "detections: boxes", "px", largest_difference(boxes[rows], golden[found, :4]), 0.01
    )
    yield Measure(
        "detections: scores",
        "score",
        largest_difference(detections.scores[rows.to(device)], golden[found, 4]),
        1e-4,
    )
    if "visible_boxes" in expected:
        visible = detections.boxes["visible"].cpu()[rows]
        yield Measure(
            "visible boxes",
            "px",
            largest_difference(visible, expected["visible_boxes"][found.numpy(), :4]),
            0.01,
        )
