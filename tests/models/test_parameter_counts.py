"""Parameters and tensors of every method and backbone against the numbers of spec 3.8."""

from __future__ import annotations

import pytest
import torch

from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import build

R50, X101 = Backbone.RESNET50, Backbone.RESNEXT101
# Trainable, total, entries of the state dict; five of these are left-overs that we do not create
# (quirk M2).
COUNTS = {
    (Method.QDTRACK, X101): (117_060_256, 117_463_008, 687),
    (Method.AMODALTRACK, X101): (117_060_256, 117_463_008, 687),
    (Method.VATRACK, X101): (119_689_144, 120_091_896, 699),
    (Method.VATRACK_2BBOX, X101): (133_708_849, 134_111_601, 707),
    (Method.QDTRACK, R50): (59_339_424, 59_564_768, 381),
    (Method.AMODALTRACK, R50): (59_339_424, 59_564_768, 381),
    (Method.VATRACK, R50): (61_968_312, 62_193_656, 393),
    (Method.VATRACK_2BBOX, R50): (75_988_017, 76_213_361, 401),
}
PARTS = {"neck": 3_344_384, "rpn_head": 593_935, "roi_head.track_head": 15_469_824}
BOX_HEAD, MASK_HEAD, TRUNK_X101 = 14_019_705, 2_628_888, 81_406_272


@pytest.mark.parametrize(("method", "backbone"), COUNTS)
def test_counts_are_those_of_the_specification(method: Method, backbone: Backbone) -> None:
    with torch.device("meta"):
        model = build(method, ModelConfig(), backbone)
    parameters = list(model.parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    assert (trainable, sum(p.numel() for p in parameters), len(model.state_dict()) + 5) == COUNTS[
        method, backbone
    ]
    assert sum(not p.requires_grad for p in parameters) == 33, "stem and first stage"
    parts = dict(PARTS)
    parts |= {f"roi_head.{name}": BOX_HEAD for name in model.roi_head.layout.boxes.values()}
    parts |= {f"roi_head.{name}": MASK_HEAD for name, _ in model.roi_head.layout.masks.values()}
    if backbone is X101:
        parts["backbone"] = TRUNK_X101
    for name, count in parts.items():
        assert sum(p.numel() for p in model.get_submodule(name).parameters()) == count, name
