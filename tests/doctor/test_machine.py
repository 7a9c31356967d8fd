"""The looks at GPUs, cores, shared memory and open files."""

from __future__ import annotations

import resource
import shutil
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.doctor.looks import (
    GIB,
    config,
    expect,
    only,
)
from vatrack.config import Config
from vatrack.doctor import (
    LOOKS,
    machine,
)
from vatrack.doctor.check import State


def gpus(
    monkeypatch: pytest.MonkeyPatch, *free: float, bf16: bool = True, driver: bool = False
) -> None:
    """GPUs of 80 GiB with so much free memory, in GiB."""
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: bool(free))
    monkeypatch.setattr(cuda, "device_count", lambda: len(free))
    monkeypatch.setattr(cuda, "mem_get_info", lambda n: (int(free[n] * GIB), 80 * GIB))
    monkeypatch.setattr(cuda, "get_device_name", lambda n: "NVIDIA H100")
    monkeypatch.setattr(cuda, "is_bf16_supported", lambda **_: bf16)
    monkeypatch.setattr(cuda, "device", lambda n: tempfile.TemporaryDirectory())
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if driver else None)


def test_gpus_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79, 1)
    first, second = LOOKS["GPU"](Config())
    expect(first, "ok", "NVIDIA H100, 79.0 of 80.0 GiB free, bfloat16")
    expect(second, "warning", "1.0 of 80.0 GiB free", "nvidia-smi")


def test_a_gpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79, bf16=False)
    expect(only("GPU"), "ok", "no bfloat16")
    compute = {"precision": "bfloat16"}
    expect(only("GPU", compute=compute), "warning", "no bfloat16", "compute.precision to mixed")


def test_too_few_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79)
    wants, here = LOOKS["GPU"](config(launcher={"gpus": 4}))
    expect(wants, "fails", "1, but launcher.gpus is 4", "launcher.gpus to 1")
    expect(here, "ok")
    expect(only("GPU", launcher={"gpus": 4, "cluster": "slurm"}), "ok")


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79, 79)
    wrong, *_ = LOOKS["GPU"](config(compute={"device": "cuda:2"}))
    expect(wrong, "fails", "2, but compute.device is cuda:2", "set compute.device to auto")
    assert len(list(LOOKS["GPU"](config(compute={"device": "cuda:1"})))) == 2


@pytest.mark.parametrize(
    ("values", "driver", "cuda", "state", "text"),
    [
        ({}, False, None, "ok", "the CPU is used"),
        ({}, True, None, "warning", "built without CUDA"),
        ({}, True, "13.0", "warning", "PyTorch (CUDA 13.0) finds no GPU"),
        ({"compute": {"device": "cuda"}}, False, None, "fails", "none"),
        ({"compute": {"device": "cuda:1"}}, False, None, "fails", "none"),
        ({"launcher": {"gpus": 1}}, True, "13.0", "fails", "finds no GPU"),
        ({"launcher": {"gpus": 1, "cluster": "slurm"}}, False, None, "ok", "none"),
    ],
)
def test_no_gpu(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
    driver: bool,
    cuda: str | None,
    state: State,
    text: str,
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    gpus(monkeypatch, driver=driver)
    expect(only("GPU", **values), state, text)


@pytest.mark.parametrize(
    ("cores", "threads", "limit", "values", "state", "fix"),
    [
        (8, 8, "max 100000", {}, "ok", ""),
        (8, 16, None, {}, "warning", "OMP_NUM_THREADS=8"),
        (8, 8, "250000 100000", {}, "warning", "OMP_NUM_THREADS=2"),
        (8, 2, "250000 100000", {}, "ok", ""),
        (2, 2, "nonsense", {"launcher": {"cpus": 4}}, "warning", "launcher.cpus"),
        (2, 2, None, {"launcher": {"cpus": 1, "processes": 4}}, "warning", "launcher.processes"),
        (2, 2, None, {"launcher": {"cpus": 16, "cluster": "slurm"}}, "ok", ""),
    ],
)
def test_cores(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cores: int,
    threads: int,
    limit: str | None,
    values: dict[str, Any],
    state: State,
    fix: str,
) -> None:
    monkeypatch.setattr(machine, "available_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(machine, "CPU_LIMIT", tmp_path / "cpu.max")
    if limit:
        (tmp_path / "cpu.max").write_text(limit)
    expect(only("cores", **values), state, f"{cores}, PyTorch's threads: {threads}", fix)


def test_shared_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    for free, state in ((2 * GIB, "ok"), (64 << 20, "warning")):
        usage = types.SimpleNamespace(free=free, total=4 * GIB)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        expect(only("/dev/shm"), state, "of 4.00 GiB", "--shm-size" if state != "ok" else "")  # type: ignore[arg-type]
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path / "none")
    expect(only("/dev/shm"), "ok", "missing")


@pytest.mark.parametrize(
    ("limits", "state", "text"),
    [
        ((1024, 4096), "ok", ""),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), "ok", ""),
        ((256, 512), "warning", "ulimit -n 512"),
        ((256, resource.RLIM_INFINITY), "warning", "ulimit -n 4096"),
    ],
)
def test_open_files(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], state: State, text: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    expect(only("open files"), state, fix=text)
