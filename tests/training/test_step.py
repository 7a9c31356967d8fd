"""One update: what it changes, in which precision and parts, and what it refuses."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import tiny_config
from tests.models.small import narrow_trunks, random_pairs, small_network
from tests.training.interrupted import lines
from vatrack.common.device import mixed_type
from vatrack.config import Backbone, Method, RunConfig
from vatrack.data.batches import PairBatch
from vatrack.models.backbone import ResidualTrunk
from vatrack.models.detector import Detector
from vatrack.models.fpn import FeaturePyramid
from vatrack.runs.folder import RunFolder
from vatrack.training.distributed import Processes
from vatrack.training.faults import NotFinite
from vatrack.training.run_log import RunLog
from vatrack.training.start import placed
from vatrack.training.state import BatchIndex
from vatrack.training.step import Updater, make_optimizer, pair_seeds


@pytest.fixture
def narrow_trunk() -> Iterator[None]:
    """For a test alone."""
    with narrow_trunks():
        yield


narrow = pytest.mark.usefixtures("narrow_trunk")
HERE = Processes(torch.device("cpu"))
SGD = {"name": "sgd", "learning_rate": 0.0025}
START = BatchIndex(0, 0)


def _run(folder: Path, method: Method = Method.VATRACK, **training: Any) -> RunConfig:
    return tiny_config(folder, **training).for_run(method, Backbone.RESNET18)


def _updater(folder: Path, method: Method = Method.VATRACK, **training: Any) -> Updater:
    return Updater(small_network(method).train(), _run(folder, method, **training), HERE)


def _weights(updater: Updater) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in updater.model.state_dict().items()}


def _vector(updater: Updater) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in updater.model.parameters()])


def _one_pair() -> PairBatch:
    """Small, because float16 is slow on a CPU."""
    return random_pairs(Method.VATRACK, (1,), size=(32, 64))


def _same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@narrow
def test_steps_reduce_the_loss_of_a_fixed_batch(tmp_path: Path) -> None:
    updater = _updater(tmp_path)
    batch = random_pairs(Method.VATRACK, (2, 1))
    losses = [
        updater.step(batch, 2e-3, BatchIndex(0, number))["loss"].item() for number in range(25)
    ]
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3])


def test_sgd_has_momentum_and_decay_on_every_trainable_parameter(tmp_path: Path) -> None:
    model = small_network(Method.VATRACK)
    (group,) = make_optimizer(model, _run(tmp_path, optimizer=SGD)).param_groups
    assert (group["momentum"], group["weight_decay"], group["lr"]) == (0.9, 1e-4, 0.0025)
    assert len(group["params"]) == sum(p.requires_grad for p in model.parameters())


@narrow
@pytest.mark.parametrize("precision", ["bfloat16", "mixed", "float16"])
def test_mixed_precision_gives_nearly_the_same_loss(precision: str, tmp_path: Path) -> None:
    batch = _one_pair()
    exact = _updater(tmp_path).step(batch, 1e-3, START)["loss"].item()
    updater = _updater(tmp_path, precision=precision)
    before = _weights(updater)
    assert updater.step(batch, 1e-3, START)["loss"].item() == pytest.approx(exact, rel=0.1)
    assert updater.scaler.is_enabled() == (precision == "float16")
    steps = 1  # the scale of float16 begins too high and is halved until gradients are finite
    while _same(_weights(updater), before):
        updater.step(batch, 1e-3, START)
        steps += 1
    assert steps <= (20 if precision == "float16" else 1)


def test_mixed_takes_what_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mixed_type("mixed", torch.device("cpu")) is torch.bfloat16
    for has, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda has=has, **_: has)
        assert mixed_type("mixed", torch.device("cuda")) is expected
    assert mixed_type("float32", torch.device("cuda")) is None


@narrow
def test_a_scale_that_is_too_high_is_lowered_without_an_update(tmp_path: Path) -> None:
    updater = _updater(tmp_path, precision="float16", ema_decay=0.5)
    updater.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = _weights(updater)
    batch = _one_pair()
    terms = updater.step(batch, 1e-3, START)
    assert not torch.isfinite(terms["gradient_norm"])
    log = RunLog(_run(tmp_path, log_every=1), RunFolder(tmp_path), 9, HERE)
    log.step(1, 1, 1e-3, terms, last=False)
    (line,) = lines(tmp_path)
    assert line["gradient_norm"] is None and line["loss"] > 0
    assert _same(_weights(updater), before)
    assert updater.mean is not None and updater.mean.n_averaged == 0
    assert updater.scaler.get_scale() == 2.0**59


@narrow
@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.slow)])
def test_a_first_step_that_overflows_leaves_no_trace(optimizer: str, tmp_path: Path) -> None:
    batch = _one_pair()
    both = [
        _updater(
            tmp_path, precision="float16", optimizer={"name": optimizer, "learning_rate": 1e-3}
        )
        for _ in range(2)
    ]
    both[0].scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    both[0].step(batch, 1e-3, START)
    for updater in both:
        updater.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
        updater.step(batch, 1e-3, START)
        updater.step(batch, 1e-3, START)
    assert _same(_weights(both[0]), _weights(both[1]))


@pytest.mark.parametrize(("optimizer", "fused"), [("sgd", None), ("sgd", True), ("adamw", True)])
@pytest.mark.parametrize("winograd", [False, True])
def test_a_state_fits_another_order_in_memory(
    optimizer: str, fused: bool | None, winograd: bool, tmp_path: Path
) -> None:
    """All of `compute` may change where a training is resumed, and older states are not fused."""
    batch = random_pairs(Method.VATRACK, (2, 1))
    settings = {"name": optimizer, "learning_rate": 1e-3}
    own = _updater(tmp_path, winograd=winograd, optimizer=settings)
    other = _updater(tmp_path, winograd=not winograd, optimizer=settings)
    for updater in (own, other):
        placed(updater.model, updater.run.compute, torch.device("cpu"))
    own.step(batch, 1e-3, START)
    state = own.state()
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = fused
    other.load_state(copy.deepcopy(state))
    before = _vector(own)
    for updater in (own, other):
        updater.step(batch, 1e-3, BatchIndex(0, 1))
    ends = [_vector(updater) for updater in (own, other)]
    # AdamW turns the rounding of a gradient near 0 into a step.
    assert (ends[1] - ends[0]).norm() < 0.01 * (ends[0] - before).norm()


@pytest.mark.parametrize("method", Method)
def test_parts_of_a_batch_have_the_gradients_of_the_whole(method: Method, tmp_path: Path) -> None:
    """Where every part has as many positives, the mean over the parts is the whole."""
    batch = random_pairs(method, (2, 2))
    # The same pair twice, so that both parts have equal divisors; its random samples differ.
    for tensor in (batch.key_images, batch.ref_images):
        tensor[1] = tensor[0]
    batch.key_targets[1], batch.ref_targets[1] = batch.key_targets[0], batch.ref_targets[0]
    terms, gradients = [], []
    for parts in (1, 2):
        updater = _updater(
            tmp_path, method, accumulate=parts, optimizer={"name": "sgd", "learning_rate": 1.0}
        )
        updater.model.settings = updater.model.roi_head.settings = _everything(updater)
        terms.append(updater.step(batch, 0.0, START))
        gradients.append(
            {name: p.grad for name, p in updater.model.named_parameters() if p.grad is not None}
        )
    assert terms[0].keys() == terms[1].keys()
    for name, value in terms[0].items():
        torch.testing.assert_close(terms[1][name], value, rtol=1e-5, atol=1e-6)
    for name, value in gradients[0].items():
        torch.testing.assert_close(
            gradients[1][name], value, rtol=1e-4, atol=1e-5 * float(value.abs().max()) + 1e-7
        )


def _everything(updater: Updater):
    from vatrack.config import SamplerConfig

    all_ = SamplerConfig(number=10**7, positive_fraction=0.5)
    changed = {
        "rpn_sampler": all_,
        "roi_sampler": all_,
        "track_sampler": all_,
        "track_negatives_per_positive": 1e7,
    }
    return updater.model.settings.model_copy(update=changed)


def test_a_running_mean_follows_the_weights(tmp_path: Path) -> None:
    updater = _updater(tmp_path, ema_decay=0.75)
    batch = random_pairs(Method.VATRACK, (2, 1))
    name = "neck.lateral_convs.0.conv.weight"
    seen = []
    for number in range(3):
        updater.step(batch, 1e-3, BatchIndex(0, number))
        seen.append(updater.model.state_dict()[name].clone())
    expected = 0.75 * (0.75 * seen[0] + 0.25 * seen[1]) + 0.25 * seen[2]
    torch.testing.assert_close(updater.validated_model.state_dict()[name], expected)
    assert updater.validated_model is not updater.model
    assert _updater(tmp_path).validated_model is not None


GRAPHS = partialmethod(torch.nn.Module.compile, backend="aot_eager")


def _one_layer(neck: FeaturePyramid) -> None:
    torch.nn.Module.compile(neck.lateral_convs[-1])


@narrow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles for the CPU with g++")
@pytest.mark.parametrize(
    ("trunk", "neck"),
    [
        pytest.param(GRAPHS, GRAPHS, id="graphs"),
        pytest.param(lambda _: None, _one_layer, id="a program"),
    ],
)
def test_a_compiled_trunk_computes_the_same_and_keeps_its_names(
    trunk: Any, neck: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graphs of trunk and neck, whose programs take g++ minutes; and one layer as a program."""
    monkeypatch.setattr(ResidualTrunk, "compile", trunk)
    monkeypatch.setattr(FeaturePyramid, "compile", neck)
    plain, compiled = _updater(tmp_path), _updater(tmp_path, compile=True)
    batch = random_pairs(Method.VATRACK, (2, 1))
    expected, found = (updater.step(batch, 1e-3, START) for updater in (plain, compiled))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()


@pytest.mark.parametrize("frame", ["key", "ref"])
def test_a_number_that_is_not_finite_stops_the_update_before_it(frame: str, tmp_path: Path) -> None:
    updater = _updater(tmp_path, ema_decay=0.5)
    before = _weights(updater)
    batch = random_pairs(Method.VATRACK, (2, 1))
    getattr(batch, f"{frame}_images")[0, 0, 0, 0] = math.nan
    with pytest.raises(NotFinite) as problem:
        updater.step(batch, 1e-3, START)
    assert problem.value.fault.images == [(10, 11), (20, 21)]
    assert math.isnan(problem.value.fault.terms["loss"])
    assert _same(_weights(updater), before)
    assert updater.mean is not None and updater.mean.n_averaged == 0
    # The same network goes on with another batch.
    assert torch.isfinite(updater.step(random_pairs(Method.VATRACK, (2, 1)), 1e-3, START)["loss"])


@pytest.mark.parametrize("what", ["rpn_cls", "rpn_reg"])
@pytest.mark.parametrize("frame", ["key", "ref"])
def test_proposals_that_are_not_finite_are_noticed_though_they_vanish(
    frame: str, what: str, tmp_path: Path
) -> None:
    """What the published training dies of: NaN in the RPN's outputs leaves no proposals, and the
    maximum of nothing fails.

    All other terms are finite here, because a head sees its sampled regions only.
    """
    updater = _updater(tmp_path)
    layer = getattr(updater.model.rpn_head, what)
    calls = 0

    def spoil(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        # The levels of the key frames come first, then those of the reference frames.
        return output * math.nan if (calls <= 5) == (frame == "key") else output

    handle = layer.register_forward_hook(spoil)
    with pytest.raises(NotFinite) as problem:
        updater.step(random_pairs(Method.VATRACK, (2, 1)), 1e-3, START)
    terms = problem.value.fault.terms
    assert math.isnan(terms["loss_rpn_cls"] + terms["loss_rpn_bbox"])
    assert all(math.isfinite(terms[name]) for name in ("loss_cls", "loss_mask", "loss_track"))
    handle.remove()
    updater.step(random_pairs(Method.VATRACK, (2, 1)), 1e-3, START)


def test_gradients_that_are_not_finite_are_named(tmp_path: Path) -> None:
    updater = _updater(tmp_path)
    parameter = updater.model.roi_head.track_head.fc_embed.weight
    parameter.register_hook(lambda gradient: gradient * math.inf)
    before = _weights(updater)
    with pytest.raises(NotFinite) as problem:
        updater.step(random_pairs(Method.VATRACK, (2, 1)), 1e-3, START)
    assert problem.value.fault.parameters == ["roi_head.track_head.fc_embed.weight"]
    assert math.isfinite(problem.value.fault.terms["loss"])
    assert _same(_weights(updater), before)


@narrow
def test_a_continued_updater_makes_the_same_steps(tmp_path: Path) -> None:
    batch = _one_pair()
    settings: dict[str, Any] = {"precision": "float16", "ema_decay": 0.9}
    first = _updater(tmp_path, **settings)
    before = _weights(first)
    while _same(_weights(first), before):
        first.step(batch, 1e-3, BatchIndex(0, 0))
    torch.save(first.state(), tmp_path / "state.pt")
    first.step(batch, 1e-3, BatchIndex(0, 1))
    torch.manual_seed(99)
    second = Updater(
        small_network(Method.VATRACK, seed=3).train(), _run(tmp_path, **settings), HERE
    )
    second.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    second.step(batch, 1e-3, BatchIndex(0, 1))
    assert _same(_weights(first), _weights(second))
    assert _same(first.validated_model.state_dict(), second.validated_model.state_dict())


@narrow
@pytest.mark.parametrize(("before", "now"), [("float32", "float16"), ("float16", "float32")])
def test_a_training_goes_on_in_another_precision(before: str, now: str, tmp_path: Path) -> None:
    batch, older = _one_pair(), _updater(tmp_path, precision=before)
    older.step(batch, 1e-3, START)
    updater = _updater(tmp_path, precision=now)
    updater.load_state(older.state())
    assert _same(_weights(older), _weights(updater))
    updater.step(batch, 1e-3, BatchIndex(0, 1))


@narrow
def test_reference_frames_have_proposals_of_their_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of a video may have different sizes."""
    sizes, proposals = [], Detector.proposals

    def noted(self: Detector, features: Any, given: Any) -> Any:
        sizes.append(given)
        return proposals(self, features, given)

    monkeypatch.setattr(Detector, "proposals", noted)
    batch = replace(_one_pair(), image_sizes=[(32, 48)], ref_sizes=[(32, 64)])
    _updater(tmp_path).step(batch, 1e-3, START)
    assert sizes == [[(32, 64)]]


def test_every_pair_of_a_training_has_samples_of_its_own() -> None:
    seeds = [
        *(
            seed
            for epoch in range(3)
            for batch in range(20)
            for seed in pair_seeds(0, BatchIndex(epoch, batch), range(8))
        ),
        *pair_seeds(1, START, range(8)),
    ]
    assert len(set(seeds)) == len(seeds)
    assert pair_seeds(0, START, range(4)) == pair_seeds(0, START, range(2)) + pair_seeds(
        0, START, range(2, 4)
    )
    assert all(0 <= seed < 2**63 for seed in seeds)
