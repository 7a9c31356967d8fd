"""One training step: every loss term, the sampled numbers and every gradient norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.parity.golden import Case, cases, recipe
from tests.parity.measure import Measure, demand, device_of, worst, wrong
from tests.parity.networks import golden_network
from vatrack.common.structures import Targets
from vatrack.config import ComputeConfig, ModelConfig, SamplerConfig
from vatrack.models.detector import Detector
from vatrack.training.start import placed

EVERYTHING = SamplerConfig(number=10**7, positive_fraction=0.5)


def _targets(inputs: dict[str, np.ndarray], prefix: str, width: int) -> Targets:
    def masks(mask_type: str) -> torch.Tensor:
        return torch.from_numpy(
            np.unpackbits(inputs[f"{prefix}_{mask_type}_masks"], axis=-1)[..., :width]
        )

    return Targets(
        {
            mask_type: torch.from_numpy(inputs[f"{prefix}_{mask_type}_boxes"])
            for mask_type in ("amodal", "visible")
        },
        {mask_type: masks(mask_type) for mask_type in ("amodal", "visible")},
        torch.from_numpy(inputs[f"{prefix}_labels"]).long(),
        torch.from_numpy(inputs[f"{prefix}_match_indices"]).long(),
    )


def _proposals(
    inputs: dict[str, np.ndarray], frame: str, batch: int, device: torch.device
) -> list[torch.Tensor] | None:
    names = [f"image{i}_{frame}_proposals" for i in range(batch)]
    return (
        [torch.from_numpy(inputs[name]).to(device) for name in names]
        if names[0] in inputs
        else None
    )


def golden_settings() -> ModelConfig:
    """Samplers that take everything, so that nothing is random."""
    return ModelConfig(
        rpn_sampler=EVERYTHING,
        roi_sampler=EVERYTHING,
        track_sampler=EVERYTHING,
        track_negatives_per_positive=1e7,
    )


@pytest.mark.parametrize("case", cases("losses"))
def test_terms_samples_and_gradients(case: Case) -> None:
    """In the form that trainings on a CPU compute with, Winograd's: within the same bounds."""
    model = golden_network(case, golden_settings())
    demand(measure(case, placed(model, ComputeConfig(), torch.device("cpu"))))


def _with_all_heads(found: list[Case]) -> list[Case]:
    """With given proposals, which the box heads of that method need."""
    return [
        case
        for case in found
        if case.info["method"] == "vatrack-2bbox" and "own_proposals" not in case.folder.name
    ]


@pytest.mark.parametrize("case", cases("losses", _with_all_heads))
def test_of_the_plain_network(case: Case) -> None:
    """As a GPU computes it; this method has all heads that the others have."""
    demand(measure(case, golden_network(case, golden_settings())))


def measure(case: Case, model: Detector) -> list[Measure]:
    """Compares one step of a network built with `golden_settings`."""
    inputs, expected = case.npz("inputs"), case.json("expected")
    batch, width, device = case.parameters["batch"], case.parameters["mask_width"], device_of(model)
    images = {
        frame: torch.from_numpy(
            np.concatenate(
                [
                    recipe().network_input(inputs[f"image{i}_{frame}_image_bgr"])
                    for i in range(batch)
                ]
            )
        ).to(device)
        for frame in ("key", "ref")
    }
    targets = {
        frame: [_targets(inputs, f"image{i}_{frame}", width).to(device) for i in range(batch)]
        for frame in ("key", "ref")
    }
    proposals = {frame: _proposals(inputs, frame, batch, device) for frame in ("key", "ref")}
    losses, sampled = model.train().losses(
        images["key"],
        images["ref"],
        targets["key"],
        targets["ref"],
        [tuple(case.parameters["image_size"])] * batch,
        key_proposals=proposals["key"],
        ref_proposals=proposals["ref"],
    )
    total = torch.stack([value for name, value in losses.items() if "loss" in name]).sum()
    total.backward()
    norms = {
        name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None
    }
    largest = max(expected["grad_l2"].values())
    counts = {name: pairs.tolist() for name, pairs in sampled.items()}
    return worst(
        [
            wrong("names of the terms", sorted(losses), sorted(expected["losses"])),
            wrong("sampled numbers", counts, expected["sampled"]),
            wrong("trained parameters", sorted(norms), sorted(expected["grad_l2"])),
            *(
                _relative(f"term {name}", losses[name].item(), float(np.sum(value)), 1e-4, 1e-6)
                for name, value in expected["losses"].items()
            ),
            _relative("total", total.item(), expected["total"], 1e-4),
            *(
                _relative("gradient norms", norms[name], value, 1e-3)
                for name, value in expected["grad_l2"].items()
                if value > 1e-6 * largest  # rounding noise below
            ),
        ]
    )


def _relative(
    quantity: str, ours: float, theirs: float, bound: float, absolute: float = 0.0
) -> Measure:
    """A relative error; where the value is tiny, `absolute` widens the bound."""
    size = abs(theirs) or 1.0
    return Measure(quantity, "relative", abs(ours - theirs) / size, bound + absolute / size)
