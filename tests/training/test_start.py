"""What a training starts from: initial weights, the switch of quirk M4, random numbers that
repeat."""

from __future__ import annotations

import errno
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from tests.conftest import tiny_config
from tests.models.small import random_pairs, small_network
from tests.weights.published import plain_mask_rcnn, tensors, write_published
from vatrack.cli.train_job import launch
from vatrack.common.errors import FolderLost, InputError
from vatrack.common.signals import StopSignals
from vatrack.config import Backbone, Config, Method, RunConfig, parse_config
from vatrack.models.detector import build
from vatrack.runs.folder import RunFolder
from vatrack.training.distributed import Processes
from vatrack.training.loop import train
from vatrack.training.recovery import Recovery
from vatrack.training.start import alone_in, check_start_file, load_start, seed_everything
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
        load_start(model, _run(tmp_path, weights=start, copy_visible_to_amodal=switch), None)
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
        assert ("amodal heads: 4 tensors initialized from the visible ones" in shown) == switch


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


FROZEN = {"norm": "batch", "frozen_stages": 1}


def _frozen(folder: Path, **training: object) -> RunConfig:
    config = tiny_config(folder, **training)
    config = config.model_copy(update={"model": config.model.model_copy(update=FROZEN)})
    return config.for_run(Method.VATRACK, Backbone.RESNET18)


def test_a_training_that_needs_weights_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(InputError, match="frozen_stages 1 and norm batch need pretrained weights"):
        train(_frozen(tmp_path), tmp_path, tmp_path, out)
    published = Config().training.weights_urls[0].rpartition("/")[2]
    with pytest.raises(InputError, match=r"no such file; download it \(`vatrack fetch-weights"):
        train(_frozen(tmp_path, weights=tmp_path / published), tmp_path, tmp_path, out)
    assert not out.exists()


def test_a_file_without_a_backbone_does_not_do(tmp_path: Path) -> None:
    run = _frozen(tmp_path, weights=tmp_path / "heads.pth")
    model = build(run.method, run.model, run.backbone)
    weights = model.state_dict()
    torch.save({k: v for k, v in weights.items() if "backbone" not in k}, tmp_path / "heads.pth")
    for check in (lambda: load_start(model, run, None), lambda: check_start_file(run)):
        with pytest.raises(
            InputError, match=r"heads\.pth: contains no weights of the backbone, but "
        ):
            check()
    allowed = _frozen(tmp_path, weights=tmp_path / "heads.pth", random_start=True)
    check_start_file(allowed)
    load_start(model, allowed, None)


def test_the_report_says_what_was_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), file)
    run = _frozen(tmp_path, weights=file)
    check_start_file(run)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    report = load_start(build(run.method, run.model, run.backbone), run, digest)
    assert report is not None
    shown = capsys.readouterr().out
    for line in ("120 tensors copied", "left random"):
        assert line in report and line in shown
    assert f"sha256 {digest}\n" in report
    assert "unused (2):\n  fc.weight\n  fc.bias\n" in report
    assert "roi_head.track_head.fc_embed.weight" in report, "every name, not the first few"


@pytest.mark.parametrize("detector", [False, True], ids=["a backbone alone", "a detector"])
def test_weights_of_another_backbone_are_refused_before_a_job_is_queued(
    detector: bool, tmp_path: Path
) -> None:
    run = _frozen(tmp_path, weights=tmp_path / "other.pth")
    weights = tensors(run.method, Backbone.RESNET50, run.model)
    if not detector:
        start = "backbone."
        weights = {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}
    torch.save(weights, tmp_path / "other.pth")
    told = r"not weights of this backbone; .*; check the backbone and model\.norm"
    if detector:
        told = "a network with different layer sizes: .*; use the backbone and the model widths"
    with pytest.raises(InputError, match=rf"other\.pth: {told}"):
        launch(run, tmp_path, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_of_two_trainings_in_a_folder_the_first_ends_without_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no locks, or its machine has lost its network, and with it the lock."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    out, alone = tmp_path / "run", Processes(torch.device("cpu"))
    with alone_in(out) as first:
        first()
        with alone_in(out) as second:
            second()
            training = _run(tmp_path).training
            recovery = Recovery(RunFolder(out), {}, training, alone, StopSignals(""), first)
            told = (
                r"run: another training has begun in this folder since \(.*, process \d+, since .*"
            )
            with pytest.raises(FolderLost, match=rf"{told}\), so .* stop it$"):
                recovery.save()
            assert not RunFolder(out).state.exists()
            RunFolder(out).lock.unlink()
            second()
            RunFolder(out).lock.mkdir()  # which cannot be read either
            second()
