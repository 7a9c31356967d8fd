"""Speed, memory and cost of saving of a training step, each setting against plain float32 in the
same run.

    python benchmarks/training.py --method vatrack --backbone resnet50 --size 800 1280 --batch 8
     # on a GPU python benchmarks/training.py --method vatrack --backbone resnet18 --size 160 256
     --batch 2       # on a CPU

Pictures and objects are random. Each setting runs in a process of its own, so that its peak of
memory is its own. What it prints can be pasted into Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import processes  # noqa: E402

SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "channels_last": {"compute": {"channels_last": True}},
    "tf32": {"compute": {"tf32": True}},
    "mixed": {"compute": {"precision": "mixed"}},
    "mixed, channels_last": {"compute": {"precision": "mixed", "channels_last": True}},
    "mixed, channels_last, compile": {
        "compute": {"precision": "mixed", "channels_last": True, "compile": True}
    },
    "accumulate 2": {"training": {"accumulate": 2}},
    "accumulate 4": {"training": {"accumulate": 4}},
    "ema": {"training": {"ema_decay": 0.999}},
}


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds per step (median), seconds to save the state, and on a GPU its peak of memory in
    MB."""
    import torch

    from tests.models.small import random_pairs
    from vatrack.common.device import allow_tf32
    from vatrack.config import Backbone, Config, Method
    from vatrack.models.detector import build
    from vatrack.training.distributed import processes as join
    from vatrack.training.state import BatchIndex, save_state
    from vatrack.training.step import Updater

    method = Method(options.method)
    chosen = SETTINGS[name]
    training = {"batch_size": options.batch} | chosen.get("training", {})
    settings = Config.model_validate(chosen | {"training": training})
    run = settings.for_run(method, Backbone(options.backbone))
    allow_tf32(run.compute.tf32)
    torch.manual_seed(0)
    with join("auto") as here:
        model = build(method, run.model, run.backbone).to(here.device).train()
        if run.compute.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        updater = Updater(model, run, here)
        batch = random_pairs(method, (options.objects,) * options.batch, size=tuple(options.size))
        times = []
        for number in range(options.warmup + options.steps):
            start = time.perf_counter()
            updater.step(batch, 1e-4, BatchIndex(0, number))
            if here.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        memory = torch.cuda.max_memory_allocated() / 1e6 if here.device.type == "cuda" else 0.0
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            path = save_state(Path(folder), updater.state())
            saving, size = time.perf_counter() - start, path.stat().st_size / 1e6
    return {
        "step": median(times[options.warmup :]),
        "saving": saving,
        "size": size,
        "memory": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", default="vatrack")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(160, 256), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--batch", type=int, default=4, help="pairs per step")
    parser.add_argument("--objects", type=int, default=12, help="per frame")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3, help="steps that are not counted")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--job", choices=list(SETTINGS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(measure(options.job, options)))
        return
    print(
        f"{options.method}, {options.backbone}, {options.batch} pairs of "
        f"{options.size[1]}x{options.size[0]}\n"
    )
    print("| setting | seconds per step | ratio | memory MB | ratio | seconds to save the state |")
    print("|---|---:|---:|---:|---:|---:|")
    shared = [
        *(
            "--method",
            options.method,
            "--backbone",
            options.backbone,
            "--size",
            *options.size,
            "--batch",
            options.batch,
        ),
        *("--objects", options.objects, "--steps", options.steps, "--warmup", options.warmup),
    ]
    base: dict[str, float] = {}
    for name in dict.fromkeys(["float32", *options.settings]):
        _, peak, found = processes.run(__file__, [*shared, "--job", name])
        memory, step = found["memory"] or peak, found["step"]
        base = base or {"step": step, "memory": memory}
        ratios = f"{base['step'] / step:.2f} | {memory:.0f} | {memory / base['memory']:.2f}"
        print(
            f"| {name} | {step:.3f} | {ratios} | {found['saving']:.2f} ({found['size']:.0f} MB) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
