"""Residual trunks from torchvision with the norm rules of the paper (spec 3.1)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torchvision.models import resnet18, resnet50, resnext101_64x4d

from vatrack.config import Backbone

BUILDERS = {
    Backbone.RESNET18: resnet18,
    Backbone.RESNET50: resnet50,
    Backbone.RESNEXT101: resnext101_64x4d,
}


class ResidualTrunk(nn.Module):
    """conv1 to layer4 of a torchvision network; gives C2..C5 with strides 4, 8, 16, 32.

    Batch norm always uses its running statistics, but its scale and shift are trained outside the
    frozen stages, so this is neither an ordinary nor a frozen batch norm (quirk M6).

    Args:
        norm: "batch", or "group" for training from random weights.
        frozen_stages: 0 for none; n: the stem and layer1..n get no gradient.
    """

    def __init__(
        self, backbone: Backbone, norm: str = "batch", frozen_stages: int = 1, norm_groups: int = 32
    ) -> None:
        super().__init__()
        layer = nn.BatchNorm2d if norm == "batch" else partial(nn.GroupNorm, norm_groups)
        network = BUILDERS[backbone](weights=None, norm_layer=layer)
        self.conv1, self.bn1 = network.conv1, network.bn1
        self.relu, self.maxpool = network.relu, network.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            network.layer1,
            network.layer2,
            network.layer3,
            network.layer4,
        )
        self.channels = [
            _last_conv(stage).out_channels
            for stage in (self.layer1, self.layer2, self.layer3, self.layer4)
        ]
        stages: list[nn.Module] = [self.layer1, self.layer2, self.layer3, self.layer4]
        frozen = [self.conv1, self.bn1, *stages[:frozen_stages]] if frozen_stages else []
        for module in frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> ResidualTrunk:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (n, 3, H, W) to [C2, C3, C4, C5], (n, channels[i], H / 2^(i+2), W /
        2^(i+2))."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def _last_conv(stage: nn.Sequential) -> nn.Conv2d:
    return [module for module in stage[-1].children() if isinstance(module, nn.Conv2d)][-1]
