"""How much of the machine a training uses, under the names that MLflow shows as system metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MEGABYTE = 1e6


class SystemUse:
    """Use of processors, memory and GPU. What cannot be measured here (no psutil, no GPU, no NVML)
    is left out."""

    def __init__(self, device: torch.device | None = None) -> None:
        """Begins the first stretch of time; `device`: the training's."""
        self._gpu = device if device is not None and device.type == "cuda" else None
        self._busy: tuple[float, float] | None = None
        try:
            import psutil
        except ImportError:
            self._psutil: Any = None
        else:
            self._psutil = psutil
            self._process = psutil.Process()
            self._busy = self._times()
        self._nvml = self._gpu is not None

    def read(self) -> dict[str, float]:
        """The means since the last call (processors; GPU: of its last second) and the present
        values (memory, in 10^6 bytes).

        `system/process_memory_megabytes` is this process with its children; pages that they share
        count once.
        """
        return {
            f"system/{name}": round(value, 1)
            for name, value in (self._machine() | self._gpu_use()).items()
        }

    def _machine(self) -> dict[str, float]:
        if self._psutil is None:
            return {}
        values = {}
        before, self._busy = self._busy, self._times()
        if before and (total := self._busy[1] - before[1]) > 0:
            values["cpu_utilization_percentage"] = 100 * min(
                1.0, max(0.0, (self._busy[0] - before[0]) / total)
            )
        memory = self._psutil.virtual_memory()
        values["system_memory_usage_megabytes"] = (memory.total - memory.available) / MEGABYTE
        values["process_memory_megabytes"] = self._process_memory() / MEGABYTE
        return values

    def _times(self) -> tuple[float, float]:
        """Busy and all seconds of all processors since the start of the machine."""
        times = self._psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # The kernel counts the time of guests in that of user and nice as well.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return total - idle, total

    def _process_memory(self) -> float:
        total = 0.0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                full = process.memory_full_info()
                total += getattr(full, "pss", full.rss)
            except self._psutil.Error:  # it has ended meanwhile, or is none of ours
                continue
        return total

    def _gpu_use(self) -> dict[str, float]:
        if self._gpu is None:
            return {}
        import torch

        name = f"gpu_{self._gpu.index or 0}"
        free, total = torch.cuda.mem_get_info(self._gpu)
        values = {f"{name}_memory_usage_megabytes": (total - free) / MEGABYTE}
        values[f"{name}_memory_usage_percentage"] = 100 * (total - free) / total
        if self._nvml:
            try:
                values[f"{name}_utilization_percentage"] = float(torch.cuda.utilization(self._gpu))
            except Exception:  # NVML has exceptions of its own, in a package that may be missing
                self._nvml = False
        return values
