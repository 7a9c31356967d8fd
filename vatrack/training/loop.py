"""One training run, from a resolved config to checkpoints and metrics (spec 4).

It can be interrupted anywhere, see `vatrack.training.recovery`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vatrack.common.allocator import keep_memory
from vatrack.common.arguments import as_path, check_type
from vatrack.common.counted import counted
from vatrack.common.device import allow_tf32, without_denormals
from vatrack.common.errors import ConfigError
from vatrack.common.files import write_json, write_text, write_yaml
from vatrack.common.progress import duration
from vatrack.common.signals import StopSignals
from vatrack.config import RunConfig
from vatrack.data.batches import EpochBatches
from vatrack.data.pairs import PairDataset
from vatrack.models.detector import build
from vatrack.runs.environment import describe_environment, resumed_environment
from vatrack.runs.folder import RunFolder
from vatrack.training.distributed import Processes, processes
from vatrack.training.epochs import Epochs
from vatrack.training.identity import identity_of
from vatrack.training.recovery import Recovery
from vatrack.training.run_log import RunLog, StartCopy
from vatrack.training.start import (
    alone_in,
    load_start,
    placed,
    require_valid,
    seed_everything,
    with_data_classes,
)
from vatrack.training.step import Updater
from vatrack.weights.fetch import require_start

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A training that is complete.

    Attributes:
        folder: the run's; `epochs`, `iterations`: of the whole training.
        seconds: its time, without the time between interruptions.
        processes: how many trained; `device`: "cpu", "cuda:0", ...
        repeated: it was complete before, and nothing was done.
    """

    folder: Path
    epochs: int
    iterations: int
    seconds: float
    processes: int
    device: torch.device
    repeated: bool = False

    def __str__(self) -> str:
        if self.repeated:
            return (
                f"{self.folder}: the training is already complete; to repeat it, remove the folder"
            )
        alone = self.processes == 1
        where = (
            self.device if alone else f"{counted(self.processes, 'process')} on {self.device.type}"
        )
        return (
            f"{self.folder}: {counted(self.epochs, 'epoch')}, "
            f"{counted(self.iterations, 'iteration')} in {duration(self.seconds)} on {where}"
        )


def train(
    run: RunConfig,
    annotations: Path | str,
    images: Path | str,
    out: Path | str,
    start_copy: StartCopy | None = None,
) -> TrainingResult:
    """Trains one method and leaves everything about the run in its folder.

    Written: config.yaml, environment.json, weights.txt (what was taken of `training.weights`),
    metrics.jsonl, checkpoints/epoch_NN.pt and validation/epoch_NN.json for the epochs from
    `training.validate_from` on, and at the very end training.json. Until then state/ holds what an
    interrupted training needs: called again with the same recipe and data, it is resumed as if
    nothing had happened. A complete training is not repeated; what another recipe or other data
    made is put aside.

    Several processes that the environment names (`torchrun`, submitit) train together.

    Args:
        run: the settings, from `Config.runs` or `Config.for_run`.
        annotations: folder with train/ and valid/ from `vatrack convert`; `images`: the clip tree.
        out: the run's folder.
        start_copy: begins to copy the run elsewhere, from what is in its folder (MLflow).

    Raises:
        InputError: bad data; or a backbone that needs pretrained weights and has none, or whose
            file is missing.
        FolderBusy: another training is at work in `out`, or has begun there since (`FolderLost`).
        TrainingDiverged: numbers are not finite, and the config says to stop.
        SystemExit: a signal asked for the end; the state is saved.

    Example:
        ```python
        (run,) = vatrack.load_config("mine.yaml").runs()
        print(vatrack.train(run, "annotations", "clips", "my_run"))
        ```
    """
    check_type("run", run, RunConfig)
    annotations, images = as_path("annotations", annotations), as_path("images", images)
    out = as_path("out", out)
    folder = RunFolder(out)
    if not folder.begun:  # one that is resumed has its weights in its state
        require_start(run)
    with (
        processes(run.compute.device) as group,
        alone_in(out) if group.first else nullcontext(lambda: None) as check,
        StopSignals("saving the state if this step completes") as stop,
        without_denormals(),
    ):
        return _train(run, annotations, images, folder, start_copy, group, stop, check)


def find_complete(
    run: RunConfig, annotations: Path, images: Path, out: Path
) -> TrainingResult | None:
    """The result of this very training, if it is complete and a workflow has removed training.json
    to repeat it, which is written again. Nothing is computed, so that no job is needed.

    Args:
        run, annotations, images, out: see `train`.

    Raises:
        InputError: bad data.
    """
    folder = RunFolder(out)
    alone = Processes(torch.device("cpu"))
    run = with_data_classes(run, annotations, report=False)
    dataset = _dataset(run, annotations, images)
    identity = identity_of(run, dataset, annotations / "valid", alone)
    found = Recovery(folder, identity, run.training, alone, StopSignals("")).put_back()
    return None if found is None else _result(folder, found, alone, repeated=True)


def _train(
    run: RunConfig,
    annotations: Path,
    images: Path,
    folder: RunFolder,
    start_copy: StartCopy | None,
    group: Processes,
    stop: StopSignals,
    check: Callable[[], None],
) -> TrainingResult:
    run = with_data_classes(run, annotations, report=group.first)
    seed_everything(run.seed, run.training.deterministic)
    allow_tf32(run.compute.tf32)
    keep_memory()
    dataset = _dataset(run, annotations, images)
    require_valid(run, annotations / "valid", images)
    if dataset.alone and group.first:
        logger.info(
            f"{dataset.file.path}: no video has two frames: training pairs are a frame with "
            "itself, and the tracking losses are 0"
        )
    batches = _batches(run, dataset, group)
    identity = identity_of(run, dataset, annotations / "valid", group)
    recovery = Recovery(folder, identity, run.training, group, stop, check)
    if (complete := recovery.complete()) is not None:
        return _result(folder, complete, group, repeated=True)
    state = recovery.find_state()
    if state is None:  # what the folder holds may be another training's
        require_start(run)
    model = build(run.method, run.model, run.backbone)
    taken = load_start(model, run, identity["weights"]) if state is None else None
    updater = Updater(placed(model, run.compute, group.device), run, group)
    if group.first:
        _describe(run, folder, group, fresh=state is None)
        if taken:
            write_text(folder.start_weights, taken)
    iterations = run.training.epochs * len(batches)
    log_state = None if state is None else state["log"]
    with RunLog(run, folder, iterations, group, log_state, start_copy) as log:
        recovery.begin(updater, log, len(batches), state)
        state = None  # it is as large as the network and its optimizer
        epochs = Epochs(run, annotations / "valid", images, dataset, batches, recovery)
        while recovery.progress.epoch < run.training.epochs:
            if epochs.train():
                epochs.end()
    content = {
        "epochs": run.training.epochs,
        "iterations": iterations,
        "seconds": round(recovery.progress.seconds, 1),
        "pairs": len(dataset),
        "processes": group.count,
        "starts": recovery.progress.starts,
        "skipped": recovery.progress.skipped,
        "identity": identity,
    }
    if group.first:
        folder.finish(content)
    return _result(folder, content, group)


def _dataset(run: RunConfig, annotations: Path, images: Path) -> PairDataset:
    """The pairs of frames to train on.

    Raises:
        InputError: see `AnnotationFile`; or `images` is not the folder of its frames.
    """
    pairs = PairDataset(
        annotations / "train" / f"{run.method.form}.json",
        images,
        mask_types=run.method.masks,
        limits=run.input.image_scale,
        flip=run.training.flip,
        reach=run.training.reference_range,
        seed=run.seed,
        classes=run.class_list,
    )
    pairs.file.require_frames(images)
    return pairs


def _batches(run: RunConfig, dataset: PairDataset, group: Processes) -> EpochBatches:
    """This process's share of every batch.

    Raises:
        InputError: a batch cannot be divided equally.
    """
    settings = run.training
    share = group.share(settings.batch_size, "training.batch_size")
    pairs = share.stop - share.start
    if pairs % settings.accumulate:
        raise ConfigError(
            "training.accumulate",
            f"the {counted(pairs, 'pair')} of a process cannot be divided into "
            f"{settings.accumulate} equal micro-batches; choose a divisor",
        )
    return EpochBatches(dataset, settings.batch_size, run.seed, share)


def _describe(run: RunConfig, folder: RunFolder, group: Processes, *, fresh: bool) -> None:
    """Writes what the run is; `fresh`: it begins, so what an earlier one left goes first.

    Where it is resumed in another environment, the one before stays noted, too.
    """
    now = describe_environment(group.device)
    if fresh:
        folder.clear()
    else:
        now = resumed_environment(folder.environment, now)
    folder.remove_half_written()
    write_yaml(folder.config, run.model_dump(mode="json"))
    write_json(folder.environment, now, indent=2)


def _result(
    folder: RunFolder, content: Mapping[str, Any], group: Processes, repeated: bool = False
) -> TrainingResult:
    """From the content of training.json."""
    return TrainingResult(
        folder.path,
        content["epochs"],
        content["iterations"],
        content["seconds"],
        content.get("processes", 1),
        group.device,
        repeated,
    )
