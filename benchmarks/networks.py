"""Networks, inputs and ways of computing that inference and training share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import ALL, CUDA, Case, Watch, Work
from tests.models.small import SMALL
from tests.parity.golden import recipe
from vatrack.common.device import allow_tf32
from vatrack.config import Backbone, Config, Method, ModelConfig, ProposalConfig, RunConfig
from vatrack.models.detector import Detector, build

METHOD = Method.VATRACK  # the paper's: one box head, two mask heads


@dataclass(frozen=True)
class Way:
    """Settings of `compute`; `plain`: float32 as PyTorch does it, eager, without an allocator's
    setting."""

    compute: Mapping[str, Any] = field(default_factory=dict)
    plain: bool = False


WAYS = {
    "plain": Way({"winograd": False}, plain=True),
    "float32": Way(),
    "bfloat16": Way({"precision": "bfloat16"}),
    f"{CUDA} plain": Way({"winograd": False}, plain=True),
    f"{CUDA} float32": Way({"channels_last": True}),
    f"{CUDA} TF32": Way({"tf32": True, "channels_last": True}),
    f"{CUDA} bfloat16": Way({"precision": "bfloat16", "channels_last": True}),
}
# Ways that round differently: their numbers are not those of the plain way.
ROUNDED = ("bfloat16", f"{CUDA} plain", f"{CUDA} float32", f"{CUDA} TF32", f"{CUDA} bfloat16")


def ways_here() -> tuple[str, ...]:
    """Those that this machine can do."""
    gpu = torch.cuda.is_available()
    return tuple(name for name in WAYS if gpu or not name.startswith(CUDA))


def settings(options: Mapping[str, Any], way: str) -> RunConfig:
    """The config of a way; `options`: `backbone`, `small` (a network of few weights), `proposals`
    and `detections` of an image, or None for the paper's."""
    model = SMALL
    if not options.get("small"):
        proposals = options.get("proposals")
        few = proposals and ProposalConfig(pre_nms=proposals, post_nms=proposals)
        chosen = {"train_proposals": few, "test_proposals": few} if few else {}
        model = ModelConfig().model_copy(update=chosen)
    device = CUDA if way.startswith(CUDA) else "cpu"
    config = Config.model_validate(
        {
            "model": model.model_dump(),
            "compute": {"device": device, "workers": 0} | dict(WAYS[way].compute),
            "inference": {"max_detections": options.get("detections") or 100},
            "training": {"batch_size": options.get("pairs", 1)},
        }
    )
    allow_tf32(config.compute.tf32)
    return config.for_run(METHOD, Backbone(options["backbone"]))


def network(run: RunConfig) -> Detector:
    """A network whose weights spread its scores as trained ones do; those of the golden cases."""
    if run.model.fpn_channels == SMALL.fpn_channels:  # class weights are resolved by the run
        torch.manual_seed(0)
        return build(run.method, run.model, run.backbone)
    with torch.device("meta"):
        model = build(run.method, run.model, run.backbone)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    weights = recipe().weights(shapes, str(run.backbone))
    model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, assign=True)
    model.roi_head.class_weights = torch.tensor(run.model.class_weights)
    return model


def textured_frame(width: int, height: int, number: int) -> npt.NDArray[np.uint8]:
    """A textured BGR frame (H, W, 3)."""
    made: npt.NDArray[np.uint8] = recipe().image(height, width, number)
    return made


@contextmanager
def watched(watch: Watch, methods: Sequence[tuple[Any, str, str]]) -> Iterator[None]:
    """Counts every call of some methods as a stage: (object or class, method, stage)."""
    own = [vars(owner).get(name) for owner, name, _ in methods]
    for owner, name, title in methods:
        setattr(owner, name, _counted(watch, getattr(owner, name), title))
    try:
        yield
    finally:
        for (owner, name, _), before in zip(methods, own, strict=True):
            delattr(owner, name) if before is None else setattr(owner, name, before)


def _counted(watch: Watch, method: Callable[..., Any], title: str) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        with watch.stage(title):
            return method(*arguments, **named)

    return call


BACKBONES = {
    "tiny": ["resnet18"],
    "small": ["resnet50"],
    "full": ["resnet50", "resnext101_64x4d"],
}


def count_gflop(
    prepare: Callable[[Case, Path, str], Work], case: Case, folder: Path
) -> dict[str, float]:
    """The arithmetic of one round of the plain way, by stage, 10^9 operations."""
    watch = FlopWatch()
    with watch.stage(ALL):
        prepare(case, folder, "plain")(watch)
    return watch.seconds


class FlopWatch(Watch):
    """Counts 10^9 multiplications and additions of layers in place of seconds; convolutions count
    as direct ones."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what is done inside to a stage."""
        with FlopCounterMode(display=False) as counter:
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + counter.get_total_flops() / 1e9
