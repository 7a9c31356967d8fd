"""How much disk space the next steps of a config need, from the size of its data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vatrack.common.images import is_frame
from vatrack.common.text_files import nearest_existing
from vatrack.config import Config
from vatrack.config.dataset import DatasetConfig
from vatrack.runs.folder import RunFolder

GIB = 1 << 30
ANNOTATIONS = 6  # times the official JSON: 6 GB become 36 GB (docs/data.md)
RUN = 5 * GIB  # checkpoints and predictions of a run of the paper
MINIATURE = 5 * GIB  # all results of the miniature set, and room to spare


def needed_space(config: Config) -> dict[str, int]:
    """Bytes that will be written into the results folder, by what they are; empty where no data
    are there to tell, and for the miniature set.

    Existing results are not counted.
    """
    dataset = config.dataset
    results = Path(config.results) / dataset.name
    raw = dataset.images if dataset.format == "joint" else dataset.raw
    if raw is None:
        return {}
    sizes = {}
    annotated = (results / "annotations").is_dir()
    if not annotated:
        sizes["annotations"] = ANNOTATIONS * sum(map(_size, dataset.annotation_files(raw).values()))
    if not (results / "clips").is_dir() and _copies(dataset, raw, results):
        sizes["clips"] = sum(_frames(raw))
    if any(sizes.values()) or annotated or raw.is_dir():
        folders = (RunFolder(results / "runs" / run.name) for run in config.runs())
        sizes["runs"] = RUN * sum(not folder.measured for folder in folders)
    return {name: size for name, size in sizes.items() if size}


def archive_space(dataset: DatasetConfig) -> int:
    """Bytes that unpacking needs at least, in `dataset.raw`; 0 where it has begun."""
    if dataset.raw is None or dataset.raw.is_dir():
        return 0
    return sum(archive.size or _size(archive.path) for archive in dataset.archives)


def _copies(dataset: DatasetConfig, raw: Path, results: Path) -> bool:
    """Whether the clips are copies of the raw frames."""
    if dataset.format != "sailvos" or not raw.is_dir():
        return False
    there = nearest_existing(results)
    other_disk = there.exists() and raw.stat().st_dev != there.stat().st_dev
    mode = dataset.clips.mode
    return mode in ("copy", "png") or (mode == "hardlink" and other_disk)


def _frames(raw: Path) -> Iterator[int]:
    """The bytes of the frames of each video, all of the size of its first one."""
    for folder in raw.glob("*/images"):
        with suppress(OSError), os.scandir(folder) as found:
            frames = [item for item in found if is_frame(item.name)]
            if frames:
                yield len(frames) * frames[0].stat().st_size


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
