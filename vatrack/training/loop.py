"""One training run, from a resolved config to checkpoints and metrics (spec 4). It can be
interrupted anywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from vatrack.common.device import allow_tf32
from vatrack.common.errors import InputError, TrainingDiverged
from vatrack.common.files import write_json, write_yaml
from vatrack.common.signals import StopSignals, ignore_stop_signals
from vatrack.config import RunConfig
from vatrack.data.dataset import EpochBatches, PairDataset, collate
from vatrack.models.detector import build
from vatrack.runs.environment import describe_environment
from vatrack.runs.folder import RunFolder
from vatrack.runs.select import best_epoch, selection_metric, validation_values
from vatrack.training.distributed import Processes, processes
from vatrack.training.faults import Fault, NotFinite, write_fault
from vatrack.training.run_log import RunLog
from vatrack.training.schedule import learning_rate
from vatrack.training.start import alone_in, load_start, seed_everything
from vatrack.training.state import (
    Progress,
    latest_state,
    random_state,
    read_state,
    restore_random_state,
    save_state,
)
from vatrack.training.step import Place, Updater, base_rate
from vatrack.training.validation import validate
from vatrack.weights.checkpoint import save


def train(run: RunConfig, annotations: Path, images: Path, out: Path) -> str:
    """Trains one method and leaves everything about the run in its folder.

    Written: config.yaml, environment.json, metrics.jsonl, checkpoints/epoch_NN.pt and
    validation/epoch_NN.json for the epochs from `training.validate_from` on, and at the very end
    training.json. Until then state/ holds what an interrupted training needs: called again with the
    same recipe and data, it goes on from there as if nothing had happened. A complete training is
    not repeated; what another recipe or other data made is put aside.

    Several processes that the environment names (`torchrun`, submitit) train together.

    Args:
        annotations: folder with train/ and valid/ from `vatrack convert`; `images`: the clip tree.
        out: the run's folder.

    Raises:
        InputError: bad data.
        FolderBusy: another training is at work in `out`.
        TrainingDiverged: numbers are not finite, and the config says to stop.
        SystemExit: a signal asked for the end; the state is saved.
    """
    with (
        processes(run.compute.device) as group,
        alone_in(out) if group.first else nullcontext(),
        StopSignals() as stop,
    ):
        return _Training(run, annotations, images, out, group, stop).run()


class _Training:
    def __init__(
        self,
        run: RunConfig,
        annotations: Path,
        images: Path,
        out: Path,
        group: Processes,
        stop: StopSignals,
    ) -> None:
        settings = run.training
        self.run_config, self.settings, self.group, self.stop = run, settings, group, stop
        self.annotations, self.images, self.out, self.folder = (
            annotations,
            images,
            out,
            RunFolder(out),
        )
        seed_everything(run.seed, settings.deterministic)
        allow_tf32(run.compute.tf32)
        self.dataset = PairDataset(
            annotations / "train" / f"{run.method.form}.json",
            images,
            mask_types=run.method.masks,
            limits=run.input.image_scale,
            flip=settings.flip,
            reach=settings.reference_range,
            seed=run.seed,
        )
        share = group.share(settings.batch_size, "training.batch_size")
        if (share.stop - share.start) % settings.accumulate:
            raise InputError(
                f"config: the {share.stop - share.start} pairs of a process cannot be cut into "
                f"training.accumulate = "
                f"{settings.accumulate} equal parts; choose a divisor"
            )
        self.batches = EpochBatches(self.dataset, settings.batch_size, run.seed, share)
        self.identity: dict[str, Any] = {
            "recipe": run.recipe(),
            "data": self.dataset.file.fingerprint(),
        }
        self.progress = Progress()
        self.saved_at = self.started_at = time.monotonic()

    def run(self) -> str:
        out, first = self.out, self.group.first
        if self._is_complete():
            return f"{out}: the training is complete already; to make it again, remove the folder"
        model = build(self.run_config.method, self.run_config.model, self.run_config.backbone)
        state = self._find_state()
        resume = state is not None
        if not resume:
            load_start(model, self.run_config)
        model.to(self.group.device)
        if self.run_config.compute.channels_last:
            model.to(memory_format=torch.channels_last)
        self.updater = Updater(model, self.run_config, self.group)
        if first:
            if not resume:
                self.folder.clear()
            write_yaml(self.folder.config, self.run_config.model_dump(mode="json"))
            write_json(self.folder.environment, describe_environment(self.group.device), indent=2)
        log = None if state is None else state["log"]
        with RunLog(self.run_config, out, self.group.device, writes=first, state=log) as self.log:
            if state is not None:
                self._load(state)
                state = None  # it is as large as the network and its optimizer
                self._tell(
                    f"going on from epoch {self.progress.epoch + 1}, batch {self.progress.batch} "
                    f"of {len(self.batches)}"
                )
            self.progress.starts += 1
            self._save()
            while self.progress.epoch < self.settings.epochs:
                if self._train_epoch():
                    self._end_epoch()
        return self._finish()

    def _train_epoch(self) -> bool:
        """Trains what is left of an epoch; False when it went back to an earlier state."""
        progress = self.progress
        self.dataset.epoch = self.batches.epoch = progress.epoch
        self.batches.start = progress.batch
        self.updater.model.train()
        for batch in self._loader():
            place = Place(progress.epoch, progress.batch)
            iteration = place.epoch * len(self.batches) + place.batch
            if [place.epoch, place.batch] not in progress.skipped:
                rate = self._rate(iteration)
                try:
                    losses = self.updater.step(batch, rate, place)
                except NotFinite as problem:
                    self._record(problem.fault, place, iteration, rate)
                    if self.settings.faults.policy == "rollback":
                        self._go_back(place)
                        return False
                else:
                    last = place.batch + 1 == len(self.batches)
                    self.log.step(iteration + 1, place.epoch + 1, rate, losses, last=last)
            progress.batch += 1
            self._between_steps()
        return True

    def _end_epoch(self) -> None:
        epoch = self.progress.epoch + 1
        iterations = epoch * len(self.batches)
        self.log.flush(
            iterations, epoch, self._rate(iterations - 1)
        )  # something is left where the last batch was left out
        if epoch >= self.settings.validate_from:
            # From here on the validation can be repeated.
            self._save()
            if self.group.first:
                save(
                    self.folder.checkpoint(epoch), self.updater.best_weights, self.run_config, epoch
                )
            with self.stop.at_once():
                metrics = validate(
                    self.updater.best_weights,
                    self.run_config,
                    self.annotations / "valid",
                    self.images,
                    self.group,
                    self.folder.validation(epoch),
                )
            if metrics is not None:
                self.progress.validations = validation_values(
                    self.folder, selection_metric(self.run_config)
                )
                self.log.validation(iterations, epoch, metrics)
                if self.settings.keep_checkpoints == "best":
                    values = self.progress.validations
                    self.folder.keep_checkpoints({max(values), best_epoch(values)})
        self.progress.epoch, self.progress.batch = epoch, 0
        self._save()

    def _between_steps(self) -> None:
        """Obeys a signal that came, with the state saved; otherwise saves it when it is time."""
        number = int(self.group.highest(self.stop.requested)[0])
        if number:
            self._save()
            self.group.wait()
            self._tell(
                f"stopped by signal {number}; the state is saved, the same command goes on from "
                f"here"
            )
            self.stop.obey(number)
        if time.monotonic() - self.saved_at > 60 * self.settings.save_minutes:
            self._save()

    def _record(self, fault: Fault, place: Place, iteration: int, rate: float) -> None:
        """Writes what is known of a fault and takes its batch out of the training.

        Raises:
            TrainingDiverged: the config says to stop, now or after so many faults.
        """
        path = self.folder.fault(place.epoch + 1, place.batch)
        faults = self.group.gather(fault)
        if self.group.first:
            where = {
                "epoch": place.epoch + 1,
                "batch": place.batch,
                "iteration": iteration,
                "learning_rate": rate,
            }
            write_fault(path, faults, where)
        images = [pair for each in faults for pair in each.images]
        what = (
            f"an update is not finite ({fault}); images (key, reference): {images}; written to "
            f"{path}"
        )
        policy, limit = self.settings.faults.policy, self.settings.faults.limit
        if policy == "stop" or self.progress.faults >= limit:
            self._save()
        if policy == "stop":
            raise TrainingDiverged(
                f"training stopped before {what}. Its state is saved: with training.faults.policy "
                f"skip it goes on without "
                "this batch. Otherwise train anew with a lower training.optimizer.learning_rate or "
                "a clip_norm"
            )
        if self.progress.faults >= limit:
            raise TrainingDiverged(
                f"training stopped after training.faults.limit = {limit} faults: {what}"
            )
        self.progress.faults += 1
        self.progress.skipped.append([place.epoch, place.batch])
        self._tell(f"epoch {place.epoch + 1} batch {place.batch} is left out: {what}")

    def _go_back(self, place: Place) -> None:
        """To the last saved state; all batches since are left out, because the way to a fault often
        begins before it."""
        skipped, faults = self.progress.skipped, self.progress.faults
        state = self._latest_state()
        assert state is not None, "one is saved before the first step"
        self._load(state)
        self.log.load_state(state["log"])
        first = self.progress.batch
        since = [
            [place.epoch, batch]
            for batch in range(first, place.batch)
            if [place.epoch, batch] not in skipped
        ]
        self.progress.skipped, self.progress.faults = [*skipped, *since], faults
        self._tell(
            f"back to epoch {place.epoch + 1}, batch {first}; on with batch {place.batch + 1}"
        )

    def _find_state(self) -> dict[str, Any] | None:
        """The state to go on from, or None where the training begins."""
        state = self._latest_state()
        if state is None:
            return None
        if state["identity"] == self.identity:
            return state
        if self.group.first:
            self.folder.put_aside(state["identity"], self.identity)
        return None

    def _is_complete(self) -> bool:
        """Whether this very training came to its end before; another one's result is put aside."""
        complete = False
        if self.group.first and (earlier := self.folder.complete()) is not None:
            complete = earlier.get("identity") == self.identity
            if complete:
                self.folder.remove_state()  # where it was interrupted at the very end
            else:
                self.folder.put_aside(earlier.get("identity", {}), self.identity)
        return self.group.gather(complete)[0]

    def _latest_state(self) -> dict[str, Any] | None:
        """The state that the first process finds, in all of them; it alone may remove a damaged
        one."""
        found = latest_state(self.folder.state) if self.group.first else None
        (path, *_) = self.group.gather(None if found is None else str(found[0]))
        if self.group.first or path is None:
            return None if found is None else found[1]
        return read_state(Path(path))

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if not self.group.first:
            return
        self.progress.seconds += self.saved_at - self.started_at
        self.started_at = self.saved_at
        content = {
            "identity": self.identity,
            "progress": asdict(self.progress),
            "log": self.log.state(),
            "random": random_state(),
            **self.updater.state(),
        }
        save_state(self.folder.state, content)

    def _load(self, state: Mapping[str, Any]) -> None:
        vars(self.progress).update(state["progress"])
        self.updater.load_state(state)
        restore_random_state(state["random"])
        self.started_at = time.monotonic()

    def _rate(self, iteration: int) -> float:
        settings = self.settings
        return learning_rate(
            base_rate(self.run_config),
            settings.schedule,
            iteration,
            len(self.batches),
            settings.epochs,
        )

    def _loader(self) -> DataLoader[Any]:
        # Made anew for every epoch: workers copy the data set when they start, and with it the
        # epoch's number.
        return DataLoader(
            self.dataset,
            batch_sampler=self.batches,
            collate_fn=collate,
            num_workers=self.run_config.compute.workers,
            pin_memory=self.group.device.type == "cuda",
            worker_init_fn=ignore_stop_signals,
            # else it draws from the global one, once more after each interruption
            generator=torch.Generator(),
        )

    def _tell(self, line: str) -> None:
        if self.group.first:
            print(line, flush=True)

    def _finish(self) -> str:
        seconds, iterations = self.progress.seconds, self.settings.epochs * len(self.batches)
        if self.group.first:
            content = {
                "epochs": self.settings.epochs,
                "iterations": iterations,
                "seconds": round(seconds, 1),
                "pairs": len(self.dataset),
                "processes": self.group.count,
                "starts": self.progress.starts,
                "skipped": self.progress.skipped,
                "identity": self.identity,
            }
            self.folder.finish(content)
        where = (
            f"{self.group.count} processes on {self.group.device.type}"
            if self.group.count > 1
            else f"{self.group.device}"
        )
        return (
            f"{self.out}: {self.settings.epochs} epochs, {iterations} iterations in "
            f"{seconds / 60:.1f} min on {where}"
        )
