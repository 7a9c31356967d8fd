"""What a result was measured on: machine, versions, date, and how fast the machine computes."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from vatrack.runs.environment import describe_environment

# What decides how fast bfloat16 is, and how wide float32.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe(rates: bool = True) -> dict[str, Any]:
    """Plain values for the JSON of a result.

    Args:
        rates: measure what the machine can do, too (some seconds).
    """
    gpu = torch.cuda.is_available()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": processor(),
        "instructions": [name for name in INSTRUCTIONS if name in _cpuinfo("flags").split()],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpu": torch.cuda.get_device_name() if gpu else None,
        "load": round(os.getloadavg()[0], 1),
        "versions": describe_environment(torch.device("cpu")),
        "gflop_per_s": measured_rates() if rates else {},
    }


def processor() -> str:
    """The processor's name, as the system gives it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def measured_rates() -> dict[str, float]:
    """10^9 operations a processor second, one thread: what no layer can go beyond by far.

    A direct 3x3 convolution of 256 channels (the pyramid's), a product of square matrices, both in
    float32 and bfloat16; "copy" is 10^9 bytes read and written.
    """
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    image, kernel = torch.randn(1, 256, 56, 80), torch.randn(256, 256, 3, 3)
    matrix = torch.randn(1024, 1024)
    for short in (torch.float32, torch.bfloat16):
        name = str(short).removeprefix("torch.")
        x, w, m = image.to(short), kernel.to(short), matrix.to(short)
        if short is torch.bfloat16:
            x = x.to(memory_format=torch.channels_last)
        operations = 2 * kernel.numel() * 56 * 80 / 1e9
        found[f"convolution {name}"] = operations / _seconds(partial(_convolve, x, w))
        found[f"matrix product {name}"] = 2 * 1024**3 / 1e9 / _seconds(partial(torch.mm, m, m))
    source, target = torch.zeros(64_000_000), torch.zeros(64_000_000)
    found["copy"] = 2 * source.numel() * 4 / 1e9 / _seconds(lambda: target.copy_(source))
    return {name: round(value, 1) for name, value in found.items()}


def _convolve(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv2d(x, w, padding=1)


@torch.inference_mode()
def _seconds(work: Callable[[], object], rounds: int = 5) -> float:
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return median(times)
