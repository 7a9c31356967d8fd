"""Feature maps, raw outputs, proposals and detections of one image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from tests.golden import Case, cases, recipe
from tests.parity.networks import golden_network
from vatrack.config import InferenceConfig
from vatrack.data.transforms import normalise, stack_padded
from vatrack.models.box_head import REGION_SIZE
from vatrack.models.detector import Detector
from vatrack.models.mask_head import REGION_SIZE as MASK_REGION_SIZE
from vatrack.models.roi import region_features, region_levels

RELATIVE = 1e-4
LABELS = [0, 5, 23]


def _compare_sample(name: str, tensor: torch.Tensor, case: Case, expected: dict[str, np.ndarray]) -> None:
    info: dict[str, Any] = case.info["tensors"][name]
    assert list(tensor.shape) == info["shape"], name
    tolerance = 1e-6 if name == "input" else RELATIVE * info["std"]
    sample = tensor.flatten()[:: info["stride"]].numpy()
    np.testing.assert_allclose(sample, expected[f"sample_{name}"], rtol=0, atol=tolerance, err_msg=name)
    assert float(tensor.double().abs().sum()) == pytest.approx(info["abs_sum"], rel=RELATIVE), name


def _close(actual: torch.Tensor, expected: np.ndarray, name: str) -> None:
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=RELATIVE * float(expected.std()), err_msg=name)


@pytest.mark.parametrize("case", cases("forward"))
def test_every_stage(case: Case) -> None:
    check_every_stage(case, golden_network(case))


@torch.no_grad()
def check_every_stage(case: Case, model: Detector) -> None:
    """Compares everything that a network with the golden weights makes of the case's image."""
    inputs, expected = case.npz("inputs"), case.npz("expected")
    heads, layout = model.roi_head, model.roi_head.layout
    picture = inputs["image_bgr"]
    size = (picture.shape[0], picture.shape[1])
    image = stack_padded([normalise(picture)])
    torch.testing.assert_close(image, torch.from_numpy(recipe().network_input(picture)), rtol=0, atol=0)

    trunk = model.backbone(image)
    features = model.neck(trunk)
    logits, deltas = model.rpn_head(features)
    stages = {"input": image}
    stages |= {f"C{i + 2}": x for i, x in enumerate(trunk)} | {f"P{i + 2}": x for i, x in enumerate(features)}
    stages |= {f"rpn_logits_{i}": x for i, x in enumerate(logits)} | {f"rpn_deltas_{i}": x for i, x in enumerate(deltas)}

    regions = torch.from_numpy(inputs["rois"])
    np.testing.assert_array_equal(region_levels(regions).numpy(), expected["roi_level"])
    small, large = (region_features(features, regions, n) for n in (REGION_SIZE, MASK_REGION_SIZE))
    _close(small[:, ::16], expected["roi_align_7_channels_step16"], "roi_align 7")
    _close(large[:, ::64], expected["roi_align_14_channels_step64"], "roi_align 14")
    _close(heads.track_head(small), expected["embeddings"], "embeddings")
    for name in layout.boxes.values():
        prefix = "amodal_" if name.startswith("amodal_") else ""
        box_logits, box_deltas = heads.get_submodule(name)(small)
        _close(box_logits, expected[f"{prefix}box_logits"], f"{name} logits")
        _close(box_deltas, expected[f"{prefix}box_deltas"], f"{name} deltas")
    for name, _ in layout.masks.values():
        key = f"{name.removesuffix('_head')}_logits"
        stages[key] = heads.get_submodule(name)(large)
        _close(stages[key][:, LABELS], expected[f"{key}_labels_0_5_23"], name)
    assert stages.keys() == case.info["tensors"].keys()
    for name, tensor in stages.items():
        _compare_sample(name, tensor, case, expected)

    (proposals,) = model.proposals(features, [size])
    golden_proposals = torch.from_numpy(expected["proposals"])
    assert len(proposals) == len(golden_proposals)
    found = (box_iou(golden_proposals[:, :4], proposals[:, :4]) > 0.99).any(dim=1)
    assert float(found.float().mean()) >= 0.99

    detections = heads.detect(features, golden_proposals, size, torch.ones(4), InferenceConfig())
    _compare_detections(detections, expected, layout.primary)


def _compare_detections(detections: Any, expected: dict[str, np.ndarray], primary: str) -> None:
    golden = torch.from_numpy(expected["detections"])
    labels = torch.from_numpy(expected["detection_labels"])
    assert len(detections.scores) == len(golden)
    overlap = box_iou(golden[:, :4], detections.boxes[primary]) * (labels[:, None] == detections.labels[None, :])
    best, match = overlap.max(dim=1)
    matched = best > 0.99
    assert int((~matched).sum()) <= 1
    rows = match[matched]
    torch.testing.assert_close(detections.boxes[primary][rows], golden[matched, :4], rtol=0, atol=0.01)
    torch.testing.assert_close(detections.scores[rows], golden[matched, 4], rtol=0, atol=1e-4)
    if "visible_boxes" in expected:
        visible = torch.from_numpy(expected["visible_boxes"])[matched, :4]
        torch.testing.assert_close(detections.boxes["visible"][rows], visible, rtol=0, atol=0.01)
