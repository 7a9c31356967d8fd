"""One training run, from a resolved config to checkpoints and metrics (spec 4)."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vatrack.config import RunConfig
from vatrack.data.dataset import EpochBatches, PairBatch, PairDataset, collate
from vatrack.data.frames import AnnotationFile
from vatrack.devices import allow_tf32, choose_device
from vatrack.errors import InputError
from vatrack.evaluation.evaluate import evaluate_files
from vatrack.files import read_json, scratch_directory, write_json, write_yaml
from vatrack.inference.predict import predict_clips, write_predictions
from vatrack.models.checkpoint import save
from vatrack.models.detector import Detector, build
from vatrack.models.pretrained import copy_visible_to_amodal, load_backbone, load_initial
from vatrack.training.environment import describe_environment
from vatrack.training.experiment_log import ExperimentLog
from vatrack.training.schedule import learning_rate

CLIPS_PER_PROCESS = 32


def train(run: RunConfig, annotations: Path, images: Path, out: Path) -> str:
    """Trains one method and leaves everything about the run in its folder.

    Written: config.yaml, environment.json, metrics.jsonl, checkpoints/epoch_NN.pt and validation/epoch_NN.json for the
    epochs from `training.validate_from` on, and at the very end training.json.

    Args:
        annotations: folder with train/ and valid/ from `vatrack convert`; `images`: the clip tree.
        out: the run's folder.

    Raises:
        InputError: bad data, or a loss that is not finite.
    """
    _seed(run.seed, run.training.deterministic)
    settings = run.training
    device = choose_device(settings.device)
    allow_tf32(settings.tf32)
    dataset = PairDataset(
        annotations / "train" / f"{run.method.form}.json",
        images,
        kinds=run.method.masks,
        limits=settings.image_scale,
        flip=settings.flip,
        reach=settings.reference_range,
        seed=run.seed,
    )
    assert isinstance(settings.batch_size, int), "resolved by Config.for_run"
    batches = EpochBatches(dataset, settings.batch_size, run.seed)
    model = build(run.method, run.model, run.backbone)
    load_start(model, run)
    model.to(device)
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, run)
    out.mkdir(parents=True, exist_ok=True)
    # What an earlier training left must not be chosen as this one's best.
    for leftover in ("checkpoints", "validation"):
        shutil.rmtree(out / leftover, ignore_errors=True)
    write_yaml(out / "config.yaml", run.model_dump(mode="json"))
    write_json(out / "environment.json", describe_environment(device), indent=2)
    start = time.monotonic()
    iteration = 0
    with RunLog(run, out) as log:
        for epoch in range(settings.epochs):
            dataset.epoch = batches.epoch = epoch
            model.train()
            for batch in _loader(dataset, batches, settings.workers, device):
                rate = learning_rate(_base_rate(run), settings.schedule, iteration, len(batches), settings.epochs)
                losses = step(model, optimizer, batch, rate, run, device)
                iteration += 1
                log.step(iteration, epoch + 1, rate, losses, last=iteration % len(batches) == 0)
            if epoch + 1 >= settings.validate_from:
                save(out / "checkpoints" / f"epoch_{epoch + 1:02d}.pt", model, run, epoch + 1)
                metrics = validate(
                    model, run, annotations / "valid", images, device, out / "validation" / f"epoch_{epoch + 1:02d}.json"
                )
                log.validation(iteration, epoch + 1, metrics)
    seconds = time.monotonic() - start
    write_json(
        out / "training.json",
        {"epochs": settings.epochs, "iterations": iteration, "seconds": round(seconds, 1), "pairs": len(dataset)},
        indent=2,
    )
    return f"{out}: {settings.epochs} epochs, {iteration} iterations in {seconds / 60:.1f} min on {device}"


def load_start(model: Detector, run: RunConfig) -> None:
    """Takes initial weights from the files that the config names, and says what went where."""
    if run.training.backbone_weights:
        print(f"{run.training.backbone_weights}: {load_backbone(model.backbone, run.training.backbone_weights)}", flush=True)
    if run.training.initial_checkpoint:
        transfer = load_initial(model, run.training.initial_checkpoint)
        print(f"{run.training.initial_checkpoint}: {transfer}", flush=True)
        if run.training.copy_visible_to_amodal:
            filled = copy_visible_to_amodal(model, transfer.copied)
            print(f"{len(filled)} entries of amodal heads start like the visible ones", flush=True)


def step(
    model: Detector,
    optimizer: torch.optim.Optimizer,
    batch: PairBatch,
    rate: float,
    run: RunConfig,
    device: torch.device,
) -> dict[str, Tensor]:
    """One update; returns the terms (detached) with their sum as "loss".

    Raises:
        InputError: the loss or the gradient is not finite; the weights are then as before the step.
    """
    format_ = torch.channels_last if run.training.channels_last else torch.contiguous_format
    images = [x.to(device, memory_format=format_, non_blocking=True) for x in (batch.key_images, batch.ref_images)]
    mixed = run.training.precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16) if mixed else contextlib.nullcontext():
        losses, _ = model.losses(
            images[0],
            images[1],
            [target.to(device) for target in batch.key_targets],
            [target.to(device) for target in batch.ref_targets],
            batch.image_sizes,
        )
    total = torch.stack([value for name, value in losses.items() if name.startswith("loss")]).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    limit = run.training.optimizer.clip_norm
    norm = torch.nn.utils.clip_grad_norm_(
        [p for p in model.parameters() if p.grad is not None], float("inf") if limit is None else limit
    )
    if not torch.isfinite(total + norm):
        terms = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
        raise InputError(
            f"training stopped before an update that is not finite (gradient norm {norm.item():g}; {terms}); "
            f"images (key, reference): {batch.image_ids}; lower training.optimizer.learning_rate or set clip_norm"
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return {name: value.detach() for name, value in losses.items()} | {"loss": total.detach(), "gradient_norm": norm}


def validate(model: Detector, run: RunConfig, folder: Path, images: Path, device: torch.device, out: Path) -> dict[str, Any]:
    """Metrics of the valid set (spec 4.6), also written to `out`. The predictions lie beside it for that time only."""
    path = folder / "joint.json"
    clips = AnnotationFile(path).clips
    videos = {kind: folder / f"video_{kind}.json" for kind in run.method.masks}
    with scratch_directory(out.with_suffix(".predictions")) as scratch:
        predictions = scratch / "predictions.jsonl"
        write_predictions(predict_clips(model, run, clips, images, device, "validate"), predictions)
        # Starting processes is only worth its seconds for many clips.
        processes = max(1, min(run.launcher.cpus, len(clips) // CLIPS_PER_PROCESS))
        limit = run.dataset.video_limit
        evaluate_files(path, predictions, videos, run.evaluation, out, limit, processes)
    return read_json(out)


def make_optimizer(model: Detector, run: RunConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over all trainable parameters, norms and biases included (spec 4.5)."""
    settings = run.training.optimizer
    parameters = [p for p in model.parameters() if p.requires_grad]
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, _base_rate(run), momentum=settings.momentum, weight_decay=settings.weight_decay)
    # One pass over the weights; the plain form takes several, which is felt on a CPU.
    return torch.optim.AdamW(parameters, _base_rate(run), weight_decay=settings.weight_decay, fused=True)


def _base_rate(run: RunConfig) -> float:
    rate = run.training.optimizer.learning_rate
    assert isinstance(rate, float | int), "resolved by Config.for_run"
    return float(rate)


def _loader(dataset: PairDataset, batches: EpochBatches, workers: int, device: torch.device) -> DataLoader[Any]:
    # Made anew for every epoch: workers copy the data set when they start, and with it the epoch's number.
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers, pin_memory=device.type == "cuda")


def _seed(seed: int, deterministic: bool) -> None:
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    # RoIAlign's gradient then takes torchvision's slower form, without atomic additions (quirk T16).
    torch.use_deterministic_algorithms(deterministic)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - some libraries still draw from the global generator
    torch.manual_seed(seed)


class RunLog:
    """metrics.jsonl of a run, its console lines and its MLflow entry."""

    def __init__(self, run: RunConfig, out: Path) -> None:
        self.every = run.training.log_every
        self.path = out / "metrics.jsonl"
        self.total_epochs = run.training.epochs
        self.path.unlink(missing_ok=True)
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.since = time.monotonic()
        self.experiment = ExperimentLog.start(run, out)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.experiment.close("FINISHED" if kind is None else "FAILED")

    def step(self, iteration: int, epoch: int, rate: float, losses: dict[str, Tensor], *, last: bool) -> None:
        """Counts a step; every `log_every` steps and at the end of an epoch the means since the last line are written."""
        self.sums = {name: value + self.sums.get(name, 0) for name, value in losses.items()}
        self.count += 1
        if self.count < self.every and not last:
            return
        means = {name: round(float(value) / self.count, 6) for name, value in self.sums.items()}
        now = time.monotonic()
        means["seconds_per_iteration"] = round((now - self.since) / self.count, 4)
        self.sums, self.count, self.since = {}, 0, now
        self._write({"step": iteration, "epoch": epoch, "time": round(time.time(), 3), "lr": rate, **means})
        print(
            f"epoch {epoch}/{self.total_epochs} iteration {iteration} loss {means['loss']:.3f} lr {rate:.2e} "
            f"{means['seconds_per_iteration']:.2f} s/it",
            flush=True,
        )

    def validation(self, iteration: int, epoch: int, metrics: dict[str, Any]) -> None:
        """Writes the metrics of the valid set."""
        self._write({"step": iteration, "epoch": epoch, "time": round(time.time(), 3), "validation": metrics})
        shown = ", ".join(
            f"{name} {metrics[name]:.1f}" for name in metrics if name.endswith("/AP50") and metrics[name] is not None
        )
        print(f"epoch {epoch}/{self.total_epochs} validation {shown}", flush=True)
        self.since = time.monotonic()

    def _write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        self.experiment.wake()
