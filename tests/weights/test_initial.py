"""Initial weights from small files that are written here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from tests.models.small import SMALL, small_network
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method
from vatrack.models.backbone import ResidualTrunk
from vatrack.models.detector import Detector, build
from vatrack.weights.initial import copy_visible_to_amodal, load_initial


def _network(backbone: Backbone) -> Detector:
    model = SMALL.model_copy(update={"norm": "batch", "frozen_stages": 1})
    return build(Method.VATRACK, model, backbone)


def test_imagenet_weights_reach_every_entry_of_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    source = resnet18(weights=None)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    model = _network(Backbone.RESNET18)
    transfer = load_initial(model, tmp_path / "resnet18.pth")
    trunk = model.backbone.state_dict()
    assert set(transfer.copied) == {f"backbone.{name}" for name in trunk}
    assert transfer.fills_backbone
    assert transfer.unused == ("fc.weight", "fc.bias")
    for name, value in trunk.items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_weights_of_another_backbone_or_norm_are_refused(tmp_path: Path) -> None:
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(
        InputError, match=r"resnet18\.pth: not weights of this backbone.*layer1\.0\.conv3"
    ):
        load_initial(_network(Backbone.RESNET50), tmp_path / "resnet18.pth")
    torch.save(ResidualTrunk(Backbone.RESNET18, norm="group").state_dict(), tmp_path / "group.pth")
    with pytest.raises(InputError, match="running_mean"):
        load_initial(_network(Backbone.RESNET18), tmp_path / "group.pth")


def test_what_fits_of_another_detector_is_taken_and_the_rest_reported(tmp_path: Path) -> None:
    source = small_network(Method.QDTRACK, seed=9)
    weights = dict(source.state_dict())
    weights["roi_head.bbox_head.fc_cls.weight"] = torch.zeros(81, 16)
    weights["mu0"] = torch.zeros(1, 256, 30)
    torch.save(
        {"meta": {"epoch": 12}, "state_dict": weights, "optimizer": {}}, tmp_path / "coco.pth"
    )
    model = build(Method.VATRACK, SMALL, Backbone.RESNET18)
    before = model.state_dict()["roi_head.amodal_mask_head.conv_logits.weight"].clone()
    transfer = load_initial(model, tmp_path / "coco.pth")
    assert transfer.mismatched == {
        "roi_head.bbox_head.fc_cls.weight": "81x16 in the file, 25x16 expected"
    }
    assert (transfer.unused, transfer.ignored) == ((), ("mu0",))
    assert set(transfer.absent) == {
        name for name in model.state_dict() if "amodal_mask_head" in name
    }
    state = model.state_dict()
    assert torch.equal(
        state["roi_head.mask_head.conv_logits.weight"],
        weights["roi_head.mask_head.conv_logits.weight"],
    )
    assert torch.equal(state["roi_head.amodal_mask_head.conv_logits.weight"], before)
    assert str(transfer).startswith(f"{len(weights) - 2} tensors copied; 1 with a different shape")


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    model = small_network(Method.QDTRACK)
    with pytest.raises(InputError, match="no such weights file"):
        load_initial(model, tmp_path / "missing.pth")
    torch.save({"something": torch.zeros(3)}, tmp_path / "foreign.pth")
    with pytest.raises(InputError, match="no tensor fits"):
        load_initial(model, tmp_path / "foreign.pth")


def test_only_output_layers_may_have_another_shape(tmp_path: Path) -> None:
    weights = dict(small_network(Method.QDTRACK).state_dict())
    weights["roi_head.bbox_head.shared_fcs.1.weight"] = torch.zeros(24, 16)
    torch.save(weights, tmp_path / "other.pth")
    model = small_network(Method.VATRACK, seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        InputError, match=r"shared_fcs\.1\.weight: 24x16 in the file, 16x16 expected"
    ):
        load_initial(model, tmp_path / "other.pth")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), (
        "nothing is half loaded"
    )
    del weights["roi_head.bbox_head.shared_fcs.1.weight"], weights["backbone.layer4.1.conv2.weight"]
    torch.save(weights, tmp_path / "half.pth")
    with pytest.raises(InputError, match=r"backbone\.layer4\.1\.conv2\.weight: not in the file"):
        load_initial(model, tmp_path / "half.pth")


@pytest.mark.parametrize("method", [Method.VATRACK, Method.VATRACK_2BBOX])
def test_amodal_heads_start_like_the_visible_ones_where_the_file_has_none(
    method: Method, tmp_path: Path
) -> None:
    """The switch of quirk M4."""
    weights = dict(small_network(Method.QDTRACK, seed=9).state_dict())
    weights["roi_head.bbox_head.fc_cls.weight"] = torch.zeros(81, 16)
    own = "roi_head.amodal_mask_head.convs.0.conv.bias"
    weights[own] = torch.full((16,), 7.0)
    torch.save(weights, tmp_path / "coco.pth")
    model = build(method, SMALL, Backbone.RESNET18)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    filled = copy_visible_to_amodal(model, load_initial(model, tmp_path / "coco.pth").copied)
    state = model.state_dict()
    amodal = {name for name in state if ".amodal_" in name}
    skipped = {own} | {name for name in amodal if name.endswith("amodal_bbox_head.fc_cls.weight")}
    assert set(filled) == amodal - skipped
    for name in filled:
        assert torch.equal(state[name], weights[name.replace("amodal_", "")]), name
    assert torch.equal(state[own], weights[own]), "what the file has is not overwritten"
    for name in skipped - {own}:
        assert torch.equal(state[name], before[name]), "the visible one is random, too"


def test_methods_with_one_kind_of_mask_have_nothing_to_copy() -> None:
    model = small_network(Method.QDTRACK)
    assert copy_visible_to_amodal(model, model.state_dict()) == ()
