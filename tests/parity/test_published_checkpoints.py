"""Files of the published form, with the published names and shapes: imported whole, and equal in
what the network computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.parity.golden import Case, cases
from tests.parity.measure import demand
from tests.parity.networks import golden_weights
from tests.parity.test_forward import measure
from tests.weights.published import FORMS, filled, write_published
from vatrack.config import Backbone, Config, Method
from vatrack.models.detector import build
from vatrack.weights.checkpoint import load, restored
from vatrack.weights.openmmlab import import_checkpoint

STATES = cases("state_dict")


def _form(case: Case) -> str:
    """Every form occurs with both backbones where all eight cases are there."""
    number = [parameter.values[0].folder for parameter in STATES].index(case.folder)
    return FORMS[(number + number // 4) % len(FORMS)]


@pytest.mark.parametrize("case", STATES)
def test_every_published_state_dict_is_imported(case: Case, tmp_path: Path) -> None:
    """With the left-overs. Those of ResNet-50 hold numbers of their own in full, those of
    ResNeXt-101 one for each entry."""
    listed = case.json("entries")
    shapes = {
        e["name"]: (e["shape"], getattr(torch, e["dtype"].removeprefix("torch."))) for e in listed
    }
    weights = filled(shapes)
    if case.info["backbone"] == "resnet50":
        generator = torch.Generator().manual_seed(1)
        weights = {
            name: torch.rand(value.shape, generator=generator)
            if value.is_floating_point()
            else value.contiguous()
            for name, value in weights.items()
        }
    run = Config().for_run(Method(case.info["method"]), Backbone(case.info["backbone"]))
    source = write_published(tmp_path / "published.pth", weights, _form(case))
    text = str(import_checkpoint(source, run, tmp_path / "imported.pt"))
    unused = [entry["name"] for entry in listed if entry.get("unused")]
    assert f"ignored, not used by any network ({len(unused)}):\n  " + "\n  ".join(unused) in text
    found = load(tmp_path / "imported.pt").weights
    assert list(found) == [entry["name"] for entry in listed if not entry.get("unused")]
    for name, value in found.items():
        assert value.shape == weights[name].shape
        assert value.dtype == weights[name].dtype
        if value.stride().count(0) == value.dim():  # one number, many times
            assert value.flatten()[0] == weights[name].flatten()[0], name
        else:
            assert torch.equal(value, weights[name]), name
    source.unlink()
    (tmp_path / "imported.pt").unlink()


def _largest_resnet50() -> list[Any]:
    """One case, because a network of full size takes long: of the ResNet-50 cases that with the
    most heads."""
    every = cases("forward")
    if every[0].values[0] is None:
        return every
    chosen = [p for p in every if p.values[0].info["backbone"] == "resnet50"]
    return sorted(
        chosen,
        key=lambda p: len(p.values[0].info["tensors"]) + ("2bbox" in p.values[0].info["method"]),
    )[-1:]


@pytest.mark.parametrize("case", _largest_resnet50())
def test_an_imported_checkpoint_computes_the_golden_numbers(case: Case, tmp_path: Path) -> None:
    run = Config().for_run(Method(case.info["method"]), Backbone(case.info["backbone"]))
    with torch.device("meta"):
        model = build(run.method, run.model, run.backbone)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    shapes |= {f"mu{i}": (1, 256, 30) for i in range(5)}
    weights = golden_weights(shapes, str(run.backbone))
    source = write_published(tmp_path / "published.pth", weights, "wrapped")
    del weights
    import_checkpoint(source, run, tmp_path / "imported.pt")
    source.unlink()
    model = restored(load(tmp_path / "imported.pt"), run, tmp_path / "imported.pt")
    demand(measure(case, model.eval()))
