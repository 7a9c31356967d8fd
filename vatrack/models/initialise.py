"""Random initial weights: as the library means them, or as the published code really starts (spec
3.9, quirk M1)."""

from __future__ import annotations

from typing import Literal

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from vatrack.models.backbone import ResidualTrunk
from vatrack.models.box_head import BoxHead
from vatrack.models.embedding_head import EmbeddingHead
from vatrack.models.fpn import FeaturePyramid
from vatrack.models.mask_head import MaskHead
from vatrack.models.roi_heads import RegionHeads
from vatrack.models.rpn import ProposalNetwork

Convolution = nn.Conv2d | nn.ConvTranspose2d


def initialise(
    trunk: ResidualTrunk,
    pyramid: FeaturePyramid,
    proposals: ProposalNetwork,
    heads: RegionHeads,
    mode: Literal["reference", "intended"],
) -> None:
    """Draws all weights from torch's global generator.

    With "reference", the heads that the published code's shadowed initialiser never reaches keep
    torch's defaults: in the method with two masks the box head and the last two layers of both mask
    heads, in the method with two box heads the visible box head and the last two layers of the
    visible mask head.
    """
    _trunk(trunk)
    _pyramid(pyramid)
    _proposals(proposals)
    layout = heads.layout
    joint = len(layout.masks) > 1
    two_boxes = len(layout.boxes) > 1
    for name in layout.boxes.values():
        if mode == "intended" or not joint or name == "amodal_bbox_head":
            _box_head(heads.get_submodule(name))
    for name, _ in layout.masks.values():
        whole = mode == "intended" or not joint or (two_boxes and name == "amodal_mask_head")
        _mask_head(heads.get_submodule(name), whole=whole)
    _embedding_head(heads.track_head)


def _fill(module: nn.Conv2d | nn.Linear, std: float | None = None) -> None:
    """Normal weights (`std`), Xavier-uniform for None; zero bias."""
    if std is None:
        nn.init.xavier_uniform_(module.weight)
    else:
        nn.init.normal_(module.weight, std=std)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def _kaiming(module: Convolution) -> None:
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def _trunk(trunk: nn.Module) -> None:
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            _kaiming(module)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for module in trunk.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)


def _pyramid(pyramid: FeaturePyramid) -> None:
    for module in pyramid.modules():
        if isinstance(module, nn.Conv2d):
            _fill(module)


def _proposals(network: ProposalNetwork) -> None:
    for module in (network.rpn_conv, network.rpn_cls, network.rpn_reg):
        _fill(module, 0.01)


def _box_head(head: nn.Module) -> None:
    assert isinstance(head, BoxHead)
    for layer in head.shared_fcs.modules():
        if isinstance(layer, nn.Linear):
            _fill(layer)
    _fill(head.fc_cls, 0.01)
    _fill(head.fc_reg, 0.001)


def _mask_head(head: nn.Module, *, whole: bool) -> None:
    assert isinstance(head, MaskHead)
    for module in head.convs.modules():
        if isinstance(module, nn.Conv2d):
            _kaiming(module)
    if whole:
        _kaiming(head.upsample)
        _kaiming(head.conv_logits)


def _embedding_head(head: EmbeddingHead) -> None:
    for module in head.convs.modules():
        if isinstance(module, nn.Conv2d):
            _kaiming(module)
    for layer in head.fcs.modules():
        if isinstance(layer, nn.Linear):
            _fill(layer)
    _fill(head.fc_embed, 0.01)
