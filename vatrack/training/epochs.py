"""The epochs of a training: its steps, its faults, and the validation at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vatrack.config import RunConfig
from vatrack.data.batches import EpochBatches, PairBatch, collate
from vatrack.data.loading import load_in_order
from vatrack.data.pairs import PairDataset
from vatrack.runs.folder import RunFolder
from vatrack.runs.select import best_epoch, selection_metric, validation_values
from vatrack.training.faults import NotFinite
from vatrack.training.recovery import Recovery
from vatrack.training.schedule import learning_rate
from vatrack.training.validation import validate
from vatrack.weights.checkpoint import save


@dataclass(frozen=True)
class Epochs:
    """The epochs of a training; which one it is, and which batch, `recovery.progress` says.

    Attributes:
        valid: folder of the converted valid set; `images`: the clip tree.
    """

    run: RunConfig
    valid: Path
    images: Path
    dataset: PairDataset
    batches: EpochBatches
    recovery: Recovery

    def train(self) -> bool:
        """What is left of the epoch; False where a fault led back to an earlier state."""
        progress = self.recovery.progress
        self.recovery.updater.model.train()
        for batch in _loaded(self.run, self.dataset, self.batches, self.recovery):
            if not progress.leaves_out(progress.index) and not self._step(batch):
                return False
            progress.batch += 1
            self.recovery.between_steps()
        return True

    def _step(self, batch: PairBatch) -> bool:
        recovery, index = self.recovery, self.recovery.progress.index
        iteration = index.epoch * len(self.batches) + index.batch
        rate = _rate(self.run, iteration, len(self.batches))
        try:
            terms = recovery.updater.step(batch, rate, index)
        except NotFinite as problem:
            recovery.after_fault(problem.fault, index, iteration, rate)
            if self.run.training.faults.policy == "rollback":
                recovery.go_back(index)
                return False
        else:
            last = index.batch + 1 == len(self.batches)
            recovery.log.step(iteration + 1, index.epoch + 1, rate, terms, last=last)
        return True

    def end(self) -> None:
        """Validates where it is time; saves the state."""
        recovery, progress = self.recovery, self.recovery.progress
        epoch, done = progress.epoch + 1, (progress.epoch + 1) * len(self.batches)
        # Something is left where the last batch was left out.
        recovery.log.flush(done, epoch, _rate(self.run, done - 1, len(self.batches)))
        if epoch >= self.run.training.validate_from:
            recovery.save()  # from here on the validation can be repeated
            self._validate(epoch, done)
        progress.epoch, progress.batch = epoch, 0
        recovery.save()

    def _validate(self, epoch: int, iterations: int) -> None:
        run, recovery, folder = self.run, self.recovery, self.recovery.folder
        model = recovery.updater.validated_model
        if recovery.group.first:
            save(folder.checkpoint(epoch), model, run, epoch)
        with recovery.stop.at_once():
            metrics = validate(
                model, run, self.valid, self.images, recovery.group, epoch, folder.validation(epoch)
            )
        if metrics is not None:
            recovery.progress.validations = _keep_checkpoints(run, folder)
            recovery.log.validation(iterations, epoch, metrics)


def _loaded(
    run: RunConfig, dataset: PairDataset, batches: EpochBatches, recovery: Recovery
) -> Iterator[PairBatch]:
    """What is left of an epoch from the next batch on.

    Made anew for every epoch: loading processes copy the dataset when they start, and with it the
    epoch's number.
    """
    start, stop = recovery.progress.index, recovery.stop
    dataset.epoch = batches.epoch = start.epoch
    batches.start = start.batch
    return load_in_order(
        lambda indices: collate(dataset[index] for index in indices),
        list(batches),
        run.compute,
        pin=PairBatch.pin_memory if recovery.group.device.type == "cuda" else None,
        stop=lambda: bool(stop.requested),
        obey=recovery.while_waiting,
    )


def _rate(run: RunConfig, iteration: int, iterations_per_epoch: int) -> float:
    settings = run.training
    return learning_rate(
        settings.optimizer.learning_rate,
        settings.schedule,
        iteration,
        iterations_per_epoch,
        settings.epochs,
    )


def _keep_checkpoints(run: RunConfig, folder: RunFolder) -> dict[int, float | None]:
    """The values of the validated epochs by the metric of the selection.

    Where the config says so, only the checkpoints of the last and the best epoch stay.
    """
    metric = selection_metric(folder, run)
    values = validation_values(folder, metric)
    if run.training.keep_checkpoints == "best":
        folder.keep_checkpoints({max(values), best_epoch(values, metric)})
    return values
