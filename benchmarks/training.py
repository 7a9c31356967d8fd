"""One step of a training: losses of a batch of pairs, gradients, update."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import plain
from benchmarks.measure import Case, Subject, Watch, Work
from benchmarks.networks import (
    BACKBONES,
    ROUNDED,
    WAYS,
    count_gflop,
    network,
    settings,
    watched,
    ways_here,
)
from tests.models.small import random_pairs
from vatrack.common.device import choose_device, without_denormals
from vatrack.models import roi
from vatrack.training.distributed import Processes
from vatrack.training.start import placed
from vatrack.training.state import BatchIndex
from vatrack.training.step import Updater

OBJECTS = 12  # in a frame


def cases(size: str) -> list[Case]:
    """ResNet-50, and at full size ResNeXt-101, too."""
    options: dict[str, Any] = {
        "tiny": {"width": 96, "height": 64, "small": True},
        "small": {"width": 640, "height": 384, "proposals": 300},
        "full": {"width": 1280, "height": 800},
    }[size]
    return [
        Case(name, 1, ways_here(), ROUNDED, options=options | {"backbone": name, "pairs": 1})
        for name in BACKBONES[size]
    ]


def prepare(case: Case, _: Path, way: str) -> Work:
    """A round is one step, at a learning rate of 0: all rounds compute the same."""
    run = settings(case.options, way)
    if WAYS[way].plain:  # in the process of this way alone
        roi._aligned = plain.aligned
    device = choose_device(run.compute.device)
    model = placed(network(run).train(), run.compute, device)
    updater = Updater(model, run, Processes(device))
    size = case.options["height"], case.options["width"]
    batch = random_pairs(run.method, (OBJECTS,) * case.options["pairs"], size=size)

    def work(watch: Watch) -> Sequence[float]:
        flushed = nullcontext() if way.endswith("plain") else without_denormals()
        with flushed, watched(watch, [(updater.network, "forward", "forward")]):
            terms = updater.step(batch, 0.0, BatchIndex(0, 0))
        return [float(terms["loss"])]

    return work


SUBJECT = Subject(
    about="One step of a training: losses of a pair, gradients, update.",
    unit="pair",
    plain="float32, eager, `conv2d`, torchvision's RoIAlign, no setting of the allocator",
    cases=cases,
    prepare=prepare,
    # Rounding swaps two of a thousand proposals with almost equal scores, so that one of the
    # samples may be another (of ResNeXt-101 at full size more: 0.12 % of the loss); everything else
    # agrees to six digits.
    tolerance=3e-3,
    gflop=partial(count_gflop, prepare),
    gpu=True,
)
