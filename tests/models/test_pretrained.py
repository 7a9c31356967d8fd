"""Initial weights from small files that are written here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from tests.models.small import SMALL, small_network
from vatrack.config import Backbone, Method
from vatrack.errors import InputError
from vatrack.models.backbone import ResidualTrunk
from vatrack.models.detector import build
from vatrack.models.pretrained import load_backbone, load_initial


def test_imagenet_weights_reach_every_entry_of_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    source = resnet18(weights=None)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    trunk = ResidualTrunk(Backbone.RESNET18)
    transfer = load_backbone(trunk, tmp_path / "resnet18.pth")
    assert set(transfer.copied) == set(trunk.state_dict())
    assert transfer.unused == ()
    for name, value in trunk.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_weights_of_another_backbone_or_norm_are_refused(tmp_path: Path) -> None:
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"resnet18\.pth: not the weights of this backbone.*layer1\.0\.conv3"):
        load_backbone(ResidualTrunk(Backbone.RESNET50), tmp_path / "resnet18.pth")
    torch.save(ResidualTrunk(Backbone.RESNET18, norm="group").state_dict(), tmp_path / "group.pth")
    with pytest.raises(InputError, match="running_mean"):
        load_backbone(ResidualTrunk(Backbone.RESNET18), tmp_path / "group.pth")


def test_what_fits_of_another_detector_is_taken_and_the_rest_reported(tmp_path: Path) -> None:
    source = small_network(Method.QDTRACK, seed=9)
    weights = dict(source.state_dict())
    weights["roi_head.bbox_head.fc_cls.weight"] = torch.zeros(81, 16)
    weights["mu0"] = torch.zeros(1, 256, 30)
    torch.save({"meta": {"epoch": 12}, "state_dict": weights, "optimizer": {}}, tmp_path / "coco.pth")
    model = build(Method.VATRACK, SMALL, Backbone.RESNET18)
    before = model.state_dict()["roi_head.amodal_mask_head.conv_logits.weight"].clone()
    transfer = load_initial(model, tmp_path / "coco.pth")
    assert transfer.mismatched == ("roi_head.bbox_head.fc_cls.weight",)
    assert transfer.unused == ("mu0",)
    state = model.state_dict()
    assert torch.equal(state["roi_head.mask_head.conv_logits.weight"], weights["roi_head.mask_head.conv_logits.weight"])
    assert torch.equal(state["roi_head.amodal_mask_head.conv_logits.weight"], before)
    assert str(transfer).startswith(f"{len(weights) - 2} entries copied; 1 of another shape")


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    model = small_network(Method.QDTRACK)
    with pytest.raises(InputError, match="no such file of weights"):
        load_initial(model, tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(InputError, match="not a readable file of weights"):
        load_initial(model, tmp_path / "text.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="no tensors by name"):
        load_initial(model, tmp_path / "other.pth")
    torch.save({"something": torch.zeros(3)}, tmp_path / "foreign.pth")
    with pytest.raises(InputError, match="no entry fits"):
        load_initial(model, tmp_path / "foreign.pth")
