"""Loss terms: worked examples (spec 9.6), stable forms, batches without positives."""

from __future__ import annotations

import math

import pytest
import torch

from tests.models.small import random_batch, small_network
from vatrack.config import PAPER_CLASS_WEIGHTS, Method
from vatrack.models.box_head import box_losses
from vatrack.models.embedding_head import cosine_loss, multi_positive_cross_entropy
from vatrack.models.mask_head import mask_targets
from vatrack.models.sample import Sample


def test_multi_positive_cross_entropy_example() -> None:
    similarity = torch.tensor([[2.0, -1, 0.5, 3]])
    targets = torch.tensor([[True, True, False, False]])
    assert 0.25 * multi_positive_cross_entropy(similarity, targets).item() == pytest.approx(1.0358680, abs=1e-6)


def test_multi_positive_cross_entropy_equals_the_published_form_where_that_is_finite() -> None:
    torch.manual_seed(0)
    for scale in (0.1, 1, 10):
        similarity = torch.randn(40, 30, dtype=torch.float64) * scale
        targets = torch.rand(40, 30) < 0.2
        targets[0] = False
        positive = (torch.exp(-similarity) * targets).sum(1)
        negative = (torch.exp(similarity.clamp(max=80)) * ~targets).sum(1)
        published = torch.log(1 + positive * negative)[targets.any(1)].mean()
        torch.testing.assert_close(multi_positive_cross_entropy(similarity, targets), published)


def test_multi_positive_cross_entropy_is_finite_where_the_published_form_is_not() -> None:
    similarity = torch.tensor([[-500.0, 500.0], [3.0, 4.0]], requires_grad=True)
    targets = torch.tensor([[True, False], [False, False]])
    loss = multi_positive_cross_entropy(similarity, targets)
    loss.backward()
    assert loss.item() == pytest.approx(1000)
    assert similarity.grad is not None
    assert bool(similarity.grad.isfinite().all())


def test_row_without_negatives_and_batch_without_positives_give_zero_with_a_gradient() -> None:
    for targets in (torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)):
        similarity = torch.randn(2, 3, requires_grad=True)
        loss = multi_positive_cross_entropy(similarity, targets)
        loss.backward()
        assert loss.item() == 0
        assert similarity.grad is not None
        assert bool((similarity.grad == 0).all())
    empty = torch.zeros(0, 3, requires_grad=True)
    assert multi_positive_cross_entropy(empty, torch.zeros(0, 3, dtype=torch.bool)).item() == 0


def test_cosine_loss_example() -> None:
    cosine = torch.tensor([[0.9, -0.2, 0.5, 0.1, 0.35, 0.7, 0.31, 0.2], [0.6, 0.4, 0.3, -0.5, 0.29, 0.8, 0.05, 0.95]])
    targets = torch.zeros(2, 8, dtype=torch.bool)
    targets[0, :2] = True
    assert cosine_loss(cosine, targets).item() == pytest.approx(0.2478125, abs=1e-7)
    assert cosine_loss(cosine, torch.zeros_like(targets)).item() == 0


def test_class_weighted_cross_entropy_example() -> None:
    logits = torch.zeros(3, 25)
    logits[0, 0], logits[1, 16] = 2, 1
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 30, 30]])
    sample = Sample(torch.cat([boxes, boxes[:1]]), torch.tensor([0, 1]))
    classification, regression, accuracy = box_losses(
        logits, torch.zeros(3, 96), [sample], [boxes], [torch.tensor([0, 16])], torch.tensor(PAPER_CLASS_WEIGHTS)
    )
    assert classification.item() == pytest.approx(80.346581, abs=1e-4)
    assert regression.item() == 0
    assert accuracy.item() == pytest.approx(200 / 3)


def test_mask_target_example() -> None:
    bitmap = torch.zeros(1, 40, 60, dtype=torch.uint8)
    bitmap[0, 10:30, 15:45] = 1
    target = mask_targets([torch.tensor([[10.3, 5.7, 50.2, 33.9]])], [torch.tensor([0])], [bitmap])[0]
    expected = torch.zeros(28, 28)
    expected[4:24, 3:24] = 1
    assert int(target.sum()) == 420
    assert torch.equal(target, expected)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("objects", [(3, 2), (1, 0), (0, 0)], ids=["some", "few", "none"])
def test_every_batch_gives_the_same_terms_and_gradients(method: Method, objects: tuple[int, int]) -> None:
    model = small_network(method).train()
    losses, _ = model.losses(*random_batch(method, objects))
    full, _ = model.losses(*random_batch(method, (3, 3)))
    assert losses.keys() == full.keys()
    assert all(math.isfinite(value.item()) for value in losses.values())
    torch.stack([value for name, value in losses.items() if name.startswith("loss")]).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
