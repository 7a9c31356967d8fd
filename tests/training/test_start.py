"""What a training starts from: initial weights, the switch of quirk M4, random numbers that
repeat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import tiny_config
from tests.models.small import random_pairs, small_network
from tests.weights.published import plain_mask_rcnn, write_published
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, RunConfig, parse_config
from vatrack.training.distributed import Processes
from vatrack.training.start import load_start, seed_everything
from vatrack.training.state import BatchIndex
from vatrack.training.step import Updater
from vatrack.weights.openmmlab import import_checkpoint


def _run(folder: Path, **training: object) -> RunConfig:
    return tiny_config(folder, **training).for_run(Method.VATRACK, Backbone.RESNET18)


@pytest.mark.parametrize(
    "imported", [False, True], ids=["the file itself", "imported with --partial"]
)
def test_amodal_heads_start_at_random_unless_the_switch_says_otherwise(
    imported: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = plain_mask_rcnn(small_network(Method.VATRACK, seed=8).state_dict())
    start = write_published(tmp_path / "coco.pth", weights, "wrapped")
    if imported:
        import_checkpoint(start, _run(tmp_path), tmp_path / "init.pt", partial=True)
        start = tmp_path / "init.pt"
    visible = weights["roi_head.mask_head.convs.0.conv.weight"]
    for switch in (False, True):
        model = small_network(Method.VATRACK, seed=1)
        before = model.state_dict()["roi_head.amodal_mask_head.convs.0.conv.weight"].clone()
        load_start(model, _run(tmp_path, weights=start, copy_visible_to_amodal=switch))
        state = model.state_dict()
        assert torch.equal(state["roi_head.mask_head.convs.0.conv.weight"], visible)
        amodal = state["roi_head.amodal_mask_head.convs.0.conv.weight"]
        assert torch.equal(amodal, visible if switch else before)
        # 80 classes there, 24 here: the outputs of both heads are random, each in its own way.
        outputs = [
            state[f"roi_head.{head}.conv_logits.weight"]
            for head in ("mask_head", "amodal_mask_head")
        ]
        assert not torch.equal(*outputs)
        shown = capsys.readouterr().out
        assert ("4 tensors of amodal heads start like the visible ones" in shown) == switch


def test_the_switch_needs_something_to_copy() -> None:
    values = {"training": {"copy_visible_to_amodal": True}}
    with pytest.raises(InputError, match="copy_visible_to_amodal needs weights to copy"):
        parse_config(values, "test.yaml", Config)
    assert not Config().training.copy_visible_to_amodal, "as published"


@pytest.fixture
def restored_switch() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("restored_switch")
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_deterministic_steps_repeat_bit_by_bit(device: str, method: Method, tmp_path: Path) -> None:
    """Every operation of every method has a deterministic form; PyTorch raises an error where one
    has not."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    run = tiny_config(tmp_path, deterministic=True).for_run(method, Backbone.RESNET18)
    results = []
    for _ in range(2):
        seed_everything(5, run.training.deterministic)
        assert torch.are_deterministic_algorithms_enabled()
        model = small_network(method).train().to(device)
        updater = Updater(model, run, Processes(torch.device(device)))
        for seed in (0, 1):
            updater.step(random_pairs(method, (2, 1), seed), 1e-3, BatchIndex(0, seed))
        results.append({name: value.cpu() for name, value in model.state_dict().items()})
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())
    seed_everything(5, False)
    assert not torch.are_deterministic_algorithms_enabled()
