"""A small network and random batches for tests."""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import deepcopy
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from vatrack.common.structures import Targets
from vatrack.config import Backbone, Method, ModelConfig, ProposalConfig, SamplerConfig
from vatrack.data.batches import PairBatch
from vatrack.models.backbone import BUILDERS
from vatrack.models.detector import Detector, build

SMALL = ModelConfig(
    norm="group",
    frozen_stages=0,
    fpn_channels=16,
    box_head_channels=16,
    mask_head_channels=16,
    mask_head_convs=1,
    track_head_channels=16,
    track_head_convs=1,
    track_head_fc=16,
    embedding_channels=8,
    norm_groups=8,
    train_proposals=ProposalConfig(pre_nms=50, post_nms=20),
    test_proposals=ProposalConfig(pre_nms=50, post_nms=20),
    rpn_sampler=SamplerConfig(number=32, positive_fraction=0.5),
    roi_sampler=SamplerConfig(number=16, positive_fraction=0.25),
    track_sampler=SamplerConfig(number=16, positive_fraction=0.5),
    initialisation="intended",
)
HEIGHT, WIDTH = 64, 96


def small_network(method: Method, seed: int = 0) -> Detector:
    """A network of few weights, the same for every call, and so is the generator's state after
    it."""
    network, state = _built(method, seed, BUILDERS[Backbone.RESNET18])
    torch.manual_seed(seed)  # also those of GPUs
    torch.set_rng_state(state)
    return deepcopy(network)


@cache
def _built(method: Method, seed: int, _: object) -> tuple[Detector, torch.Tensor]:
    """Drawing the weights takes longer than copying them."""
    torch.manual_seed(seed)
    return build(method, SMALL, Backbone.RESNET18), torch.get_rng_state()


_FULL = dict(BUILDERS)


class _Narrow(ResNet):
    def _make_layer(self, block: Any, planes: int, *given: Any, **more: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // 4, *given, **more)


def narrow_resnet(weights: None, norm_layer: Any) -> ResNet:
    """In place of ResNet-18: one block a stage with a quarter of the channels, 0.3 instead of 11
    million weights."""
    return _Narrow(BasicBlock, [1, 1, 1, 1], norm_layer=norm_layer)


def narrow_trunks() -> AbstractContextManager[Any]:
    """Here, and in the processes that tests.server starts, ResNet-18 is a narrow one."""
    return patch.dict(BUILDERS, {Backbone.RESNET18: narrow_resnet})


def full_trunks() -> AbstractContextManager[Any]:
    """Ends the effect of `narrow_trunks` for a while."""
    return patch.dict(BUILDERS, _FULL)


def random_targets(
    method: Method,
    objects: int,
    generator: torch.Generator,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Targets:
    """Rectangles as objects; object i of one frame is object i of the other."""
    corners = torch.rand(objects, 2, generator=generator) * torch.tensor([size[1] / 2, size[0] / 2])
    boxes = torch.cat(
        [corners, corners + 16 + torch.rand(objects, 2, generator=generator) * 16], dim=1
    )
    masks = torch.zeros(objects, *size, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    labels = torch.randint(0, 24, (objects,), generator=generator)
    return Targets(
        dict.fromkeys(method.masks, boxes),
        dict.fromkeys(method.masks, masks),
        labels,
        torch.arange(objects),
    )


def random_batch(
    method: Method, objects: tuple[int, ...], seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> tuple:
    """Arguments of `Detector.losses` for one pair per entry of `objects`."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, len(objects), 3, *size, generator=generator)
    targets = [random_targets(method, number, generator, size) for number in objects]
    return images[0], images[1], targets, targets, [size] * len(objects)


def random_pairs(
    method: Method, objects: tuple[int, ...], seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> PairBatch:
    """The same as a batch of the data set, with image ids (10, 11), (20, 21), ..."""
    key, ref, key_targets, ref_targets, sizes = random_batch(method, objects, seed, size)
    ids = [(10 * number, 10 * number + 1) for number in range(1, len(objects) + 1)]
    return PairBatch(key, ref, key_targets, ref_targets, sizes, ids)


def assert_trains_alike(plain: Detector, faster: Detector, method: Method) -> None:
    """Asserts that a network has the tensors of another one, and, but for rounding, its losses and
    gradients."""
    assert list(faster.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in faster.named_parameters()] == [
        name for name, _ in plain.named_parameters()
    ]
    results = []
    for network in (plain, faster):
        torch.manual_seed(1)
        terms = network(*random_batch(method, (2, 1), size=(128, 192)))
        sum(value for name, value in terms.items() if name.startswith("loss")).backward()
        results.append((terms, {name: p.grad for name, p in network.named_parameters()}))
    (terms, gradients), (found_terms, found_gradients) = results
    for name, value in terms.items():
        torch.testing.assert_close(found_terms[name], value, rtol=1e-4, atol=1e-6)
    for name, value in gradients.items():
        torch.testing.assert_close(found_gradients[name], value, rtol=1e-2, atol=1e-4)
