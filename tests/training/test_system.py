import os
import subprocess
import sys
import time

import pytest

from vatrack.training.system import SystemUse


def test_values_are_there_and_plausible() -> None:
    use = SystemUse()
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass
    values = use.read()
    assert set(values) == {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_megabytes",
        "system/process_memory_megabytes",
    }
    assert 0 < values["system/cpu_utilization_percentage"] <= 100
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    assert (
        5
        < values["system/process_memory_megabytes"]
        < values["system/system_memory_usage_megabytes"]
        < machine
    )


def test_memory_of_children_counts() -> None:
    use = SystemUse()
    before = use.read()["system/process_memory_megabytes"]
    code = "data = bytearray(b'x' * 300_000_000); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = use.read()["system/process_memory_megabytes"]
        child.kill()
    assert during - before > 250
    assert use.read()["system/process_memory_megabytes"] - before < 250


def test_without_psutil_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert SystemUse().read() == {}


def test_a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    use = SystemUse(torch.device("cuda"))
    before = use.read()
    block = torch.ones(100_000_000, device="cuda")
    after = use.read()
    assert (
        after["system/gpu_0_memory_usage_megabytes"] - before["system/gpu_0_memory_usage_megabytes"]
        > 300
    )
    assert 0 < after["system/gpu_0_memory_usage_percentage"] <= 100
    assert 0 <= after.get("system/gpu_0_utilization_percentage", 0.0) <= 100
    del block
