"""Networks of one class and of a thousand."""

from __future__ import annotations

import pytest
import torch

from tests.models.small import HEIGHT, SMALL, WIDTH, random_batch, small_network
from vatrack.common.structures import Targets
from vatrack.config import Backbone, InferenceConfig, Method
from vatrack.models.detector import build


def labelled(targets: list[Targets], classes: int) -> list[Targets]:
    """The same objects, the last one of the last class."""
    return [
        Targets(t.boxes, t.masks, (t.labels * 0).index_fill(0, t.labels[-1:] * 0 - 1, classes - 1),
                t.match_indices)
        for t in targets
    ]  # fmt: skip


@pytest.mark.parametrize("classes", [1, 1000])
@pytest.mark.parametrize("method", [Method.QDTRACK, Method.VATRACK_2BBOX])
def test_networks_train_and_detect(method: Method, classes: int) -> None:
    settings = SMALL.model_copy(update={"class_weights": (2.0,) * (classes + 1)})
    torch.manual_seed(0)
    model = build(method, settings, Backbone.RESNET18)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["roi_head.bbox_head.fc_cls.weight"] == (classes + 1, 16)
    assert shapes["roi_head.bbox_head.fc_reg.bias"] == (4 * classes,)
    assert shapes["roi_head.mask_head.conv_logits.weight"] == (classes, 16, 1, 1)

    key, ref, targets, _, sizes = random_batch(method, (3, 2))
    objects = labelled(targets, classes)
    terms = model(key, ref, objects, objects, sizes)
    loss = sum(value for name, value in terms.items() if name.startswith("loss_"))
    loss.backward()
    gradient = model.get_parameter("roi_head.bbox_head.fc_cls.weight").grad
    assert torch.isfinite(loss)
    assert gradient is not None
    assert gradient[classes - 1].abs().sum() > 0

    model.eval()
    scale = torch.ones(1, 4)
    found, features = model.detect(
        key[:1], [(HEIGHT, WIDTH)], scale, InferenceConfig(score_threshold=0.0, nms_iou=1.0)
    )
    assert len(found[0].labels) == (100 if classes == 1000 else 20)
    assert found[0].labels.max() < classes
    masked = model.add_masks(features, found, scale)
    assert all(masks.shape[1:] == (28, 28) for masks in masked[0].masks.values())


def test_the_preset_keeps_names_and_shapes() -> None:
    """As published checkpoints have them; tests/parity compares all of them."""
    shapes = {n: tuple(v.shape) for n, v in small_network(Method.VATRACK).state_dict().items()}
    assert shapes["roi_head.bbox_head.fc_cls.weight"] == (25, 16)
    assert shapes["roi_head.bbox_head.fc_reg.weight"] == (96, 16)
    assert shapes["roi_head.amodal_mask_head.conv_logits.bias"] == (24,)
