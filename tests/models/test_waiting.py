"""How often a training step waits for the device: losses leave their numbers there."""

from __future__ import annotations

import warnings

import pytest
import torch

from tests.models.small import random_batch, small_network
from vatrack.common.structures import BatchShare
from vatrack.config import PAPER_CLASS_WEIGHTS, Method, SamplerConfig
from vatrack.models import rpn, sample
from vatrack.models.assign import RPN_THRESHOLDS, assign
from vatrack.models.box_head import box_losses
from vatrack.models.embedding_head import cosine_loss, match_targets, multi_positive_cross_entropy
from vatrack.models.mask_head import mask_loss
from vatrack.models.sample import Sample, draw_by_keys

META = torch.device("meta")  # it has no numbers: whatever reads one fails


def _numbers(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, device=META)


def _rows(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.int64, device=META)


def test_a_tensor_without_numbers_cannot_be_waited_for() -> None:
    with pytest.raises((NotImplementedError, RuntimeError)):
        (_numbers(3) > 0).nonzero()
    with pytest.raises((NotImplementedError, RuntimeError)):
        _numbers(1).item()


def test_assignment_and_losses_read_no_number() -> None:
    state = assign(_numbers(50, 4), _numbers(3, 4), RPN_THRESHOLDS).state
    assert state.shape == (50,)
    samples = [Sample(_numbers(8, 4), _rows(3)), Sample(_numbers(6, 4), _rows(0))]
    truth, labels = [_numbers(2, 4), _numbers(1, 4)], [_rows(2), _rows(1)]
    matches = match_targets(samples[0], samples[1], labels[0])
    assert matches.shape == (3, 6)
    matches = torch.zeros(3, 14, dtype=torch.bool, device=META)
    weights = torch.tensor(PAPER_CLASS_WEIGHTS, device=META)
    terms = [
        *box_losses(_numbers(14, 25), _numbers(14, 96), samples, truth, labels, weights),
        mask_loss(_numbers(3, 24, 28, 28), _rows(3), _numbers(3, 28, 28)),
        multi_positive_cross_entropy(_numbers(3, 14), matches),
        cosine_loss(_numbers(3, 14), matches),
    ]
    assert all(term.shape == () and term.device == META for term in terms)


def test_anchors_are_drawn_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_random_keys", lambda rows, _: _numbers(len(rows)))
    losses, counts = rpn.rpn_losses(
        [_numbers(2, 3, 8, 8)],
        [_numbers(2, 12, 8, 8)],
        [_numbers(192, 4)],
        [_numbers(3, 4), _numbers(0, 4)],
        SamplerConfig(number=64, positive_fraction=0.5),
    )
    assert losses["loss_rpn_cls"].device == counts.device == META
    assert counts.shape == (2, 2)


def test_drawn_by_keys_everything_gives_the_exact_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all anchors are taken nothing is random, and rows that are not valid change nothing."""
    torch.manual_seed(0)
    logits, deltas = [torch.randn(2, 3, 8, 8)], [torch.randn(2, 12, 8, 8)]
    corners = torch.rand(192, 2) * 60
    anchors = [torch.cat([corners, corners + 20], dim=1)]
    truth = [anchors[0][[5, 70]] + 1.0, anchors[0][:0]]
    all_ = SamplerConfig(number=10**4, positive_fraction=0.5)
    exact, counts = rpn.rpn_losses(logits, deltas, anchors, truth, all_)
    monkeypatch.setattr(rpn, "draw_anchors", draw_by_keys)
    drawn, others = rpn.rpn_losses(logits, deltas, anchors, truth, all_)
    assert counts.tolist() == others.tolist()
    assert counts[0, 0] > 0
    for name, value in exact.items():
        torch.testing.assert_close(drawn[name], value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("objects", [(3, 2), (9, 8)])
def test_a_gpu_is_waited_for_a_few_times_in_the_losses(objects: tuple[int, int]) -> None:
    """Three times for samples, five times for pyramid levels; not for each image or object."""
    device = torch.device("cuda")
    model = small_network(Method.VATRACK).to(device).train()
    key, ref, key_targets, ref_targets, sizes = random_batch(Method.VATRACK, objects)
    targets = [[target.to(device) for target in x] for x in (key_targets, ref_targets)]
    proposals = [
        torch.cat([target.boxes["amodal"], _ones(len(target.labels), device)], dim=1)
        for target in targets[0]
    ]
    share = BatchShare(generators=[torch.Generator().manual_seed(i) for i in range(2)])
    images = key.to(device), ref.to(device)

    def losses() -> None:
        model.losses(
            *images,
            targets[0],
            targets[1],
            sizes,
            key_proposals=proposals,
            ref_proposals=proposals,
            share=share,
        )

    losses()  # what is done once is done
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            losses()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert len([w for w in found if "synchroniz" in str(w.message)]) <= 8


def _ones(count: int, device: torch.device) -> torch.Tensor:
    return torch.ones(count, 1, device=device)
