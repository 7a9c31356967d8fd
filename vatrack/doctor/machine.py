"""GPUs, cores, shared memory, open files."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from vatrack.common.device import is_numbered
from vatrack.common.parallel import available_cores
from vatrack.config import Config
from vatrack.doctor.check import Check

GIB = 1 << 30
LEAST_GPU_MEMORY = 2 * GIB  # free; less holds no network with its frames
SHARED_MEMORY = Path("/dev/shm")
LEAST_SHARED_MEMORY = GIB
LEAST_OPEN_FILES = 1024
CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of each period


def look_at_gpus(config: Config) -> Iterator[Check]:
    """Number, memory and number formats of the GPUs, and what the config wants of them."""
    import torch

    here = config.launcher.cluster != "slurm"  # else trainings compute elsewhere
    wanted = config.launcher.gpus if here else 0
    if not torch.cuda.is_available():
        needed = config.compute.device.startswith("cuda") and here
        yield _no_gpu(needed, wanted, torch.version.cuda)
        return
    count = torch.cuda.device_count()
    if wanted > count:
        fix = f"set launcher.gpus to {count}, or check CUDA_VISIBLE_DEVICES"
        found = f"{count}, but launcher.gpus is {wanted}"
        yield Check("GPU", "fails", found, "trainings as jobs on this machine", fix)
    device = config.compute.device
    if is_numbered(device) and int(device.partition(":")[2]) >= count and here:
        found = f"{count}, but compute.device is {device}, and the first is cuda:0"
        fix = "set compute.device to auto, or check CUDA_VISIBLE_DEVICES"
        yield Check("GPU", "fails", found, "training and prediction with this config", fix)
    for number in range(count):
        free, total = torch.cuda.mem_get_info(number)
        with torch.cuda.device(number):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name(number)
        found = f"{name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, "
        found += "bfloat16" if bf16 else "no bfloat16"
        title = f"GPU {number}"
        if free < LEAST_GPU_MEMORY:
            fix = "stop the processes that `nvidia-smi` shows, or choose another GPU with "
            fix += "CUDA_VISIBLE_DEVICES"
            yield Check(title, "warning", found, "training and prediction on this GPU", fix)
        elif config.compute.precision == "bfloat16" and not bf16:
            fix = "set compute.precision to mixed, which uses float16 here"
            yield Check(title, "warning", found, "compute.precision bfloat16 is slow", fix)
        else:
            yield Check(title, "ok", found)


def _no_gpu(needed: bool, wanted: int, cuda: str | None) -> Check:
    driver = shutil.which("nvidia-smi") is not None
    fix = "set compute.device to auto and launcher.gpus to 0, or use a machine with a GPU"
    found = "none, the CPU is used"
    if driver and cuda is None:
        found = "NVIDIA driver found, but this PyTorch was built without CUDA"
        fix = "install a PyTorch with CUDA (https://pytorch.org/get-started)"
    elif driver:
        found = f"NVIDIA driver found, but PyTorch (CUDA {cuda}) finds no GPU"
        fix = "check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or update the driver"
    if needed or wanted:
        return Check("GPU", "fails", found, "training and prediction with this config", fix)
    if driver:
        return Check("GPU", "warning", found, "everything runs on the CPU, slowly", fix)
    return Check("GPU", "ok", f"{found} (enough for the miniature dataset)")


def look_at_cores(config: Config) -> Iterator[Check]:
    """Cores that may be used, and numbers of threads that do not fit them."""
    import torch

    cores, threads = available_cores(), torch.get_num_threads()
    found = f"{cores}, PyTorch's threads: {threads}"
    usable = min(cores, _cpu_limit() or cores)
    if usable < cores:
        found += f", but the container is limited to {usable:g}"
    launcher = config.launcher
    asked = launcher.cpus * (launcher.processes or max(1, launcher.gpus))
    fix = f"export OMP_NUM_THREADS={max(1, int(usable))}"
    if threads > usable:
        lost = "speed: more threads than cores"
        yield Check("cores", "warning", found, lost, fix)
    elif launcher.cluster != "slurm" and asked > cores:
        found += f"; a training with this config needs {asked}"
        fix = "lower launcher.cpus or launcher.processes"
        yield Check("cores", "warning", found, "Snakemake uses only the available cores", fix)
    else:
        yield Check("cores", "ok", found)


def _cpu_limit() -> float | None:
    """Cores whose time a container may use; None: no limit is known."""
    try:
        quota, period = CPU_LIMIT.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def look_at_shared_memory(_: Config) -> Iterator[Check]:
    """Size of /dev/shm, through which GPUs of one machine exchange gradients."""
    if not SHARED_MEMORY.is_dir():
        yield Check(str(SHARED_MEMORY), "ok", "missing (needed only for several GPUs)")
        return
    space = shutil.disk_usage(SHARED_MEMORY)
    found = f"{space.free / GIB:.2f} of {space.total / GIB:.2f} GiB free"
    if space.free < LEAST_SHARED_MEMORY:
        lost = "trainings on several GPUs (NCCL exchanges gradients there)"
        fix = "start the container with --shm-size=1g or --ipc=host, or free space in it"
        yield Check(str(SHARED_MEMORY), "warning", found, lost, fix)
    else:
        yield Check(str(SHARED_MEMORY), "ok", found)


def look_at_files(_: Config) -> Iterator[Check]:
    """How many files a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    if soft != resource.RLIM_INFINITY and soft < LEAST_OPEN_FILES:
        most = LEAST_OPEN_FILES * 4 if hard == resource.RLIM_INFINITY else hard
        lost = "many worker processes, and Snakemake with many jobs"
        yield Check("open files", "warning", shown, lost, f"ulimit -n {most}")
    else:
        yield Check("open files", "ok", shown)
