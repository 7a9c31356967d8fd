"""One training step: every loss term, the sampled numbers and every gradient norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden import Case, cases, recipe
from tests.parity.networks import golden_network
from vatrack.config import ModelConfig, SamplerConfig
from vatrack.structures import Targets

EVERYTHING = SamplerConfig(number=10**7, positive_fraction=0.5)


def _targets(inputs: dict[str, np.ndarray], prefix: str, width: int) -> Targets:
    def masks(kind: str) -> torch.Tensor:
        return torch.from_numpy(np.unpackbits(inputs[f"{prefix}_{kind}_masks"], axis=-1)[..., :width])

    return Targets(
        {kind: torch.from_numpy(inputs[f"{prefix}_{kind}_boxes"]) for kind in ("amodal", "visible")},
        {kind: masks(kind) for kind in ("amodal", "visible")},
        torch.from_numpy(inputs[f"{prefix}_labels"]).long(),
        torch.from_numpy(inputs[f"{prefix}_match_indices"]).long(),
    )


def _proposals(inputs: dict[str, np.ndarray], frame: str, batch: int) -> list[torch.Tensor] | None:
    names = [f"image{i}_{frame}_proposals" for i in range(batch)]
    return [torch.from_numpy(inputs[name]) for name in names] if names[0] in inputs else None


@pytest.mark.parametrize("case", cases("losses"))
def test_terms_samples_and_gradients(case: Case) -> None:
    inputs, expected = case.npz("inputs"), case.json("expected")
    batch, width = case.parameters["batch"], case.parameters["mask_width"]
    settings = ModelConfig(
        rpn_sampler=EVERYTHING, roi_sampler=EVERYTHING, track_sampler=EVERYTHING, track_negatives_per_positive=1e7
    )
    model = golden_network(case, settings).train()
    images = {
        frame: torch.from_numpy(
            np.concatenate([recipe().network_input(inputs[f"image{i}_{frame}_image_bgr"]) for i in range(batch)])
        )
        for frame in ("key", "ref")
    }
    losses, sampled = model.losses(
        images["key"],
        images["ref"],
        [_targets(inputs, f"image{i}_key", width) for i in range(batch)],
        [_targets(inputs, f"image{i}_ref", width) for i in range(batch)],
        [tuple(case.parameters["image_size"])] * batch,
        key_proposals=_proposals(inputs, "key", batch),
        ref_proposals=_proposals(inputs, "ref", batch),
    )
    assert sorted(losses) == sorted(expected["losses"])
    for name, value in expected["losses"].items():
        assert losses[name].item() == pytest.approx(float(np.sum(value)), rel=1e-4, abs=1e-6), name
    total = sum(value for name, value in losses.items() if "loss" in name)
    assert total.item() == pytest.approx(expected["total"], rel=1e-4)
    assert {kind: [list(pair) for pair in counts] for kind, counts in sampled.items()} == expected["sampled"]

    total.backward()
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    assert sorted(norms) == sorted(expected["grad_l2"])
    largest = max(expected["grad_l2"].values())
    for name, value in expected["grad_l2"].items():
        if value > 1e-6 * largest:
            assert norms[name] == pytest.approx(value, rel=1e-3), name
