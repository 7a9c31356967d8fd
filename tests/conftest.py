"""What several rooms' tests share: a tiny trained run, a rendered set, places that fail."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.built_once import commands_built_once
from tests.leftovers import remove_leftovers
from vatrack.common import logs
from vatrack.config import Backbone, ComputeConfig, Config, Method, RunConfig
from vatrack.config.dataset import ClipsConfig, SyntheticConfig
from vatrack.sailvos.cuts import score_video_file, write_structure
from vatrack.sailvos.index import build_index
from vatrack.sailvos.layout import list_videos
from vatrack.synthetic.render import render

pytest_plugins = ("tests.command", "tests.order")

# Examples take as long as the machine wants, and those of a test may share a folder.
shared = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("tests", deadline=None, suppress_health_check=shared)
settings.load_profile("tests")

logs.configure()  # progress is shown as by the command line
# Under nohup it is ignored, and so by every command that a test starts.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell


def pytest_configure() -> None:
    """Puts temporary folders into memory: tests write tens of thousands of small files, which takes
    minutes on a disk. The disk it is where memory is short, or where it may hold no programs."""
    memory = Path("/dev/shm")
    remove_leftovers(memory)
    with suppress(OSError):
        system = os.statvfs(memory)
        (available,) = re.findall(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
        free = min(system.f_bavail * system.f_frsize, 1024 * int(available))
        if free > 10e9 and not system.f_flag & os.ST_NOEXEC and os.access(memory, os.W_OK):
            # What PyTorch compiles takes a minute, and is kept on the disk.
            compiled = Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}"
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled))
            tempfile.tempdir = os.environ.setdefault("TMPDIR", str(memory))


@pytest.fixture(scope="session", autouse=True)
def _commands_built_once() -> Iterator[None]:
    with commands_built_once():
        yield


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """A training or prediction in this process has it keep what it frees
    (vatrack.common.allocator); with the networks of full size it would grow to 5 GB."""
    yield
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class TinyData:
    """A rendered set, converted for training."""

    annotations: Path
    images: Path


def tiny_config(folder: Path, **given: object) -> Config:
    """A config that trains in seconds and learns nothing worth reading.

    Args:
        given: keys of `compute` and `training`.
    """
    from tests.models.small import SMALL

    compute = {key: value for key, value in given.items() if key in ComputeConfig.model_fields}
    training = {key: value for key, value in given.items() if key not in compute}
    settings = {
        "epochs": 2,
        "batch_size": 4,
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "clip_norm": 5.0},
        "schedule": {"name": "onecycle"},
        "log_every": 2,
        "validate_from": 2,
    }
    return Config.model_validate(
        {
            "results": folder,
            "dataset": {"synthetic": TINY_SET},
            "model": SMALL.model_dump(),
            "input": {"image_scale": (96, 64)},
            "compute": {"workers": 0} | compute,
            "training": settings | training,
            "inference": {"max_detections": 10},
            "mlflow": {"enabled": False},
        }
    )


TINY_SET = {
    "train_videos": 1,
    "valid_videos": 1,
    "frames": 18,
    "width": 96,
    "height": 64,
    "objects": 3,
    "classes": 3,
    "shots": 1,
}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return make_tiny_data(tmp_path_factory.mktemp("tiny"))


def make_tiny_data(root: Path, **synthetic: int) -> TinyData:
    """Renders and converts a set; `synthetic`: values other than those of TINY_SET."""
    from vatrack.sailvos.clips import build_clip_tree
    from vatrack.sailvos.convert import convert_files

    dataset = tiny_config(root).dataset
    dataset = dataset.model_copy(
        update={"synthetic": dataset.synthetic.model_copy(update=synthetic)}
    )
    dataset = dataset.model_copy(
        update={"clips": dataset.clips.model_copy(update={"structure": "whole"})}
    )
    raw, index, structure = root / "raw", root / "index.json", root / "structure.json"
    render(raw, dataset.synthetic, 0)
    build_index(raw, {subset: raw / f"{subset}.json" for subset in ("train", "valid")}, index)
    write_structure(dataset.clips, index, None, structure)
    build_clip_tree(raw, structure, root / "clips", "symlink")
    for subset in ("train", "valid"):
        convert_files(raw / f"{subset}.json", structure, dataset, root / "annotations" / subset)
    return TinyData(root / "annotations", root / "clips")


@pytest.fixture(scope="session")
def tiny_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: TinyData
) -> tuple[RunConfig, Path]:
    """A finished training of the method with two box heads, whoever asks for it first."""
    from tests.models.small import full_trunks
    from vatrack.training.loop import train

    out = tmp_path_factory.mktemp("run")
    run = tiny_config(out).for_run(Method.VATRACK_2BBOX, Backbone.RESNET18)
    with full_trunks():
        train(run, tiny_data.annotations, tiny_data.images, out)
    return run, out


@pytest.fixture(scope="module")
def narrow_trunk() -> Iterator[None]:
    """The networks of a file are small ones; not those of programs and workers."""
    from tests.models.small import narrow_trunks

    with narrow_trunks():
        yield


@pytest.fixture
def served_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of `vatrack.common.parallel` need not load PyTorch."""
    from tests.server import WORKERS

    monkeypatch.setattr("vatrack.common.parallel.get_context", lambda _: WORKERS)


@dataclass(frozen=True)
class Mini:
    """A rendered set with its index, scores and clips."""

    settings: SyntheticConfig
    seed: int
    raw: Path
    index: Path
    scores: Path
    structure: Path

    def official(self, subset: str) -> Path:
        return self.raw / f"{subset}.json"


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Mini:
    root = tmp_path_factory.mktemp("mini")
    # Video 2 of two shots has a fade.
    settings = SyntheticConfig(train_videos=3, valid_videos=1, frames=45)
    found = Mini(
        settings, 5, root / "raw", root / "index.json", root / "scores", root / "structure.json"
    )
    render(found.raw, settings, found.seed)
    build_index(
        found.raw, {subset: found.official(subset) for subset in ("train", "valid")}, found.index
    )
    for video in list_videos(found.raw):
        score_video_file(found.raw, found.index, video, found.scores / f"{video}.json")
    write_structure(ClipsConfig(), found.index, found.scores, found.structure)
    return found


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody else that may not be entered; root may, so it is only said to be one."""
    folder, usual = tmp_path / "closed", os.stat

    def stat(path: Any, *words: Any, **more: Any) -> os.stat_result:
        if isinstance(path, str | Path) and folder in Path(os.path.realpath(path)).parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return usual(path, *words, **more)

    folder.mkdir()
    monkeypatch.setattr(os, "stat", stat)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file system of 1 MB of its own, to be filled to the brim."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "vatrack-test", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs can be mounted here ({error})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
