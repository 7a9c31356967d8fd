"""Files of predictions with a checkpoint (contract 2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch

from vatrack.common.device import allow_tf32, choose_device
from vatrack.common.errors import InputError
from vatrack.common.files import (
    atomic_path,
    check_target,
    create_text,
    refuse_same_file,
    write_yaml,
)
from vatrack.common.parallel import available_cores, ordered_streams
from vatrack.common.progress import counted_progress
from vatrack.config import RunConfig
from vatrack.config.inference import SETTINGS_FILE
from vatrack.data.frames import AnnotationFile, Frame
from vatrack.inference.clips import predict_frames
from vatrack.models.detector import build
from vatrack.weights.checkpoint import load, restore

T = TypeVar("T")


def write_predictions(predictions: Iterable[dict[str, Any]], out: Path) -> int:
    """Writes JSON Lines (gzip by name), whole or not at all; returns the number of lines."""
    return _write_lines(map(_line, predictions), out)


def _line(prediction: dict[str, Any]) -> str:
    return json.dumps(prediction, allow_nan=False) + "\n"


def _write_lines(lines: Iterable[str], out: Path) -> int:
    count = 0
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        for line in lines:
            stream.write(line)
            count += 1
    return count


@dataclass(frozen=True)
class Predicted:
    """What `predict_files` wrote."""

    out: Path
    predictions: int
    frames: int
    clips: int

    def __str__(self) -> str:
        return (
            f"{self.out}: {self.predictions} predictions for {self.frames} frames of "
            f"{self.clips} clips"
        )


def predict_files(
    run: RunConfig,
    checkpoint: Path,
    ground_truth: Path,
    images: Path,
    out: Path,
    processes: int = 1,
) -> Predicted:
    """Predicts all clips of an annotation file with a checkpoint of this run's method.

    The settings that predictions depend on are left beside them, in inference.yaml (`inference`,
    `input`, `compute.precision` and `compute.tf32`, as in a config file): they may be newer than
    those of the training.

    Args:
        processes: each predicts whole clips, with its share of the cores and of
            `compute.workers`. 0: one for each core; with a GPU one.

    Raises:
        InputError: `images` is no folder, a frame or the checkpoint is bad, or `out` or
            inference.yaml cannot be written, or is read.
        BrokenProcessPool: one of several processes was killed.
    """
    settings = out.with_name(SETTINGS_FILE)
    for source in (checkpoint, ground_truth):
        for target in (out, settings):
            refuse_same_file(source, target)
    device = choose_device(run.compute.device)
    check_target(out)
    if not images.is_dir():
        raise InputError(
            f"{images}: no such folder; the clips of {ground_truth} are needed there (`vatrack "
            f"clips`)"
        )
    clips = AnnotationFile(ground_truth).clips
    if processes == 0:
        processes = 1 if device.type == "cuda" else available_cores()
    processes = min(processes, len(clips))
    frames = sum(map(len, clips))
    with counted_progress("predict", frames) as advance:
        if processes > 1:
            share = _Share(run, checkpoint, images, processes)
            units = [[clip] for clip in clips]
            lines = ordered_streams(_start, share, units, processes, advance)
        else:
            lines = _counted(_Clips(run, checkpoint, images, device)(clips), advance)
        count = _write_lines(chain.from_iterable(lines), out)
    used = run.model_dump(
        mode="json",
        include={"inference": True, "input": True, "compute": {"precision", "tf32"}},
    )
    write_yaml(settings, used)
    return Predicted(out, count, frames, len(clips))


class _Clips:
    """Predicts clips with the model of a checkpoint."""

    def __init__(
        self, run: RunConfig, checkpoint: Path, images: Path, device: torch.device
    ) -> None:
        allow_tf32(run.compute.tf32)
        self.model = build(run.method, run.model, run.backbone)
        restore(self.model, load(checkpoint), run, checkpoint)
        self.model.to(device)
        self.run, self.images, self.device = run, images, device

    def __call__(self, clips: list[list[Frame]]) -> Iterator[list[str]]:
        """The lines of each frame."""
        frames = predict_frames(self.model, self.run, clips, self.images, self.device)
        return (list(map(_line, predictions)) for predictions in frames)


@dataclass(frozen=True)
class _Share:
    """What each of several processes must know."""

    run: RunConfig
    checkpoint: Path
    images: Path
    processes: int


def _start(share: _Share) -> _Clips:
    """In one of several processes, with its share of the machine."""
    torch.set_num_threads(max(1, available_cores() // share.processes))
    compute = share.run.compute
    parts = {"workers": compute.workers // share.processes}
    if compute.mask_workers == "auto":
        parts["mask_workers"] = 0
    run = share.run.model_copy(update={"compute": compute.model_copy(update=parts)})
    return _Clips(run, share.checkpoint, share.images, choose_device(compute.device))


def _counted(frames: Iterable[T], advance: Callable[[], None]) -> Iterator[T]:
    for lines in frames:
        yield lines
        advance()
