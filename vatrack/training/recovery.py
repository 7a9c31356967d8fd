"""What a training survives: its end at any moment, and numbers that are not finite."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import TrainingDiverged
from vatrack.common.signals import StopSignals, shown_signal
from vatrack.config import TrainingConfig
from vatrack.runs.fingerprint import VALIDATION_DATA, same_training
from vatrack.runs.folder import REPEAT, RunFolder
from vatrack.runs.put_aside import put_aside
from vatrack.training.distributed import Processes
from vatrack.training.faults import Fault, write_fault
from vatrack.training.run_log import RunLog
from vatrack.training.state import (
    BatchIndex,
    Progress,
    latest_state,
    random_state,
    read_state,
    restore_random_state,
    save_state,
)
from vatrack.training.step import Updater

logger = logging.getLogger(__name__)


class Recovery:
    """Saves the state of a training, finds it again, and goes past faults.

    Every process calls the same methods in the same order; the first one writes.

    Args:
        identity: recipe, data and digests of files; only the same training is resumed
            (`same_training`).
        stop: noted signals; they are obeyed between two steps, when the state is saved.
        check: raises where the folder is no longer this training's; called before it is written in.

    Attributes:
        progress: how far the training is. The loop moves it on.
    """

    def __init__(
        self,
        folder: RunFolder,
        identity: Mapping[str, Any],
        settings: TrainingConfig,
        group: Processes,
        stop: StopSignals,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.identity, self.settings = folder, identity, settings
        self.group, self.stop, self._check = group, stop, check
        self.progress = Progress()
        self._saved_at = self._counted_at = time.monotonic()

    def complete(self) -> dict[str, Any] | None:
        """The content of training.json, where this very training came to its end before.

        Another training's result is put aside.

        Raises:
            InputError: training.json is damaged.
        """
        if not self.group.first:
            return self.group.gather(None)[0]
        earlier = self.folder.complete()
        ended = earlier or self.folder.replaced()
        if ended is not None and not same_training(ended.get("identity", {}), self.identity):
            put_aside(self.folder, ended.get("identity", {}), self.identity)
            earlier = None
        elif earlier is None:
            earlier = self.put_back()
        else:
            self.folder.remove_state()  # where it was interrupted at the very end
            self._warn_of_validations(earlier["identity"])
        return self.group.gather(earlier)[0]

    def put_back(self) -> dict[str, Any] | None:
        """Writes training.json again where a workflow has removed it, because an input is newer
        for example, but this very training is complete; returns its content."""
        ended = self.folder.replaced()
        if ended is None or not same_training(ended.get("identity", {}), self.identity):
            return None
        if not self._is_whole(ended):
            return None
        self.folder.finish(ended)
        self._warn_of_validations(ended["identity"])
        return ended

    def _is_whole(self, ended: Mapping[str, Any]) -> bool:
        """Whether all that this training left is there, and nobody has asked to repeat it."""
        last = self.settings.epochs
        validations = map(self.folder.validation, range(self.settings.validate_from, last + 1))
        files = [self.folder.checkpoint(last), *validations]
        # By metrics on other data the best checkpoint would be another one.
        old, new = (known.get("valid") or {} for known in (ended["identity"], self.identity))
        same = old.get(VALIDATION_DATA) == new.get(VALIDATION_DATA)
        return same and not ended.get(REPEAT) and all(file.is_file() for file in files)

    def find_state(self) -> dict[str, Any] | None:
        """The state to resume from, or None where the training begins.

        Another training's state is put aside.

        Raises:
            InputError: there are states, but none can be read.
        """
        state = self._latest_state()
        if state is None:
            return None
        if same_training(state["identity"], self.identity):
            if self.group.first:
                self._warn_of_validations(state["identity"])
            return state
        if self.group.first:
            put_aside(self.folder, state["identity"], self.identity)
        return None

    def _warn_of_validations(self, found: Mapping[str, Any]) -> None:
        """Warns where epochs were validated otherwise than the next ones will be."""
        old, new = found.get("valid"), self.identity.get("valid")
        if not old or not new or not self.folder.validated():
            return
        if names := [name for name in new if name in old and old[name] != new[name]]:
            warnings.warn(
                f"{self.folder.validations}: these epochs were validated with different "
                f"{' and '.join(names)} than the present ones, so their metrics, which choose the "
                "best checkpoint, cannot be compared with new ones; to validate all epochs again, "
                f"remove {self.folder.path}",
                stacklevel=2,
            )

    def begin(
        self, updater: Updater, log: RunLog, batches: int, state: Mapping[str, Any] | None
    ) -> None:
        """Resumes from a state, or begins where it is None; saves a first state.

        Args:
            updater, log: what is saved from now on; the log has taken its share of `state` already.
            batches: of an epoch.
        """
        self.updater, self.log = updater, log
        if state is not None:
            self._load(state)
            epoch, batch = self.progress.epoch + 1, self.progress.batch
            logger.info("resuming from epoch %d, batch %d of %d", epoch, batch, batches)
        self.progress.starts += 1
        self.save()

    def save(self) -> None:
        """Saves the state.

        Raises:
            FolderLost: see `check`.
        """
        self._saved_at = time.monotonic()
        if not self.group.first:
            return
        self._check()
        self.progress.seconds += self._saved_at - self._counted_at
        self._counted_at = self._saved_at
        content = {
            "identity": self.identity,
            "progress": asdict(self.progress),
            "log": self.log.state(),
            "random": random_state(),
            **self.updater.state(),
        }
        save_state(self.folder.state, content)

    def between_steps(self) -> None:
        """Obeys a signal that came, with the state saved; otherwise saves it when it is time."""
        number = int(self.group.highest([self.stop.requested])[0])
        if number:
            self.save()
            self.group.wait()
            logger.info(
                "stopped by %s; the state is saved, run the same command again to resume",
                shown_signal(number),
            )
            self.stop.obey(number)
        if time.monotonic() - self._saved_at > 60 * self.settings.save_minutes:
            self.save()

    def while_waiting(self) -> None:
        """Obeys a signal that came while the next batch does not come."""
        if self.group.count == 1:
            self.between_steps()
        # The others wait inside of a step, and only all together can save. (This process may be one
        # that only warns.)
        logger.warning(
            "stopped by %s without saving, because a data-loading process does not respond; "
            "run the same command again to resume from the last saved state",
            shown_signal(self.stop.requested),
        )
        self.stop.obey(self.stop.requested)

    def after_fault(self, fault: Fault, index: BatchIndex, iteration: int, rate: float) -> None:
        """Writes what is known of a fault and takes its batch out of the training.

        Args:
            fault: what this process knows of it.
            iteration: 0-based; `rate`: learning rate.

        Raises:
            TrainingDiverged: the config says to stop, now or after so many faults.
        """
        what = self._write_fault(fault, index, iteration, rate)
        policy, limit = self.settings.faults.policy, self.settings.faults.limit
        too_many = self.progress.faults >= limit
        if policy == "stop" or too_many:
            self.save()
            self.group.wait()  # where one of them ends, the launcher kills the others
        if policy == "stop":
            raise TrainingDiverged(
                f"training stopped before {what}; its state is saved. To resume without this "
                "batch, set training.faults.policy to skip; otherwise restart the training with a "
                "lower training.optimizer.learning_rate or with a clip_norm"
            )
        if too_many:
            raise TrainingDiverged(
                f"training stopped after training.faults.limit = {counted(limit, 'fault')}: "
                f"{what}; lower training.optimizer.learning_rate, or set a clip_norm"
            )
        self.progress.faults += 1
        self.progress.skipped.append([index.epoch, index.batch])
        logger.info("skipping epoch %d batch %d: %s", index.epoch + 1, index.batch, what)

    def go_back(self, index: BatchIndex) -> None:
        """Goes back to the last saved state after a fault at `index`.

        All batches since are left out, because the way to a fault often begins before it.
        """
        skipped, faults = self.progress.skipped, self.progress.faults
        state = self._latest_state()
        assert state is not None, "a state is saved before the first step"
        self._load(state)
        self.log.load_state(state["log"])
        first = self.progress.batch
        since = [[index.epoch, batch] for batch in range(first, index.batch)]
        self.progress.skipped = skipped + [batch for batch in since if batch not in skipped]
        self.progress.faults = faults
        logger.info(
            "back to epoch %d, batch %d; continuing with batch %d",
            index.epoch + 1,
            first,
            index.batch + 1,
        )

    def _write_fault(self, fault: Fault, index: BatchIndex, iteration: int, rate: float) -> str:
        """A sentence about it, for messages."""
        path = self.folder.fault(index.epoch + 1, index.batch)
        faults = self.group.gather(fault)
        if self.group.first:
            where = {
                "epoch": index.epoch + 1,
                "batch": index.batch,
                "iteration": iteration,
                "learning_rate": rate,
            }
            write_fault(path, faults, where)
        images = [pair for each in faults for pair in each.images]
        return (
            f"an update is not finite ({fault}); images (key, reference): {images}; details in "
            f"{path}"
        )

    def _latest_state(self) -> dict[str, Any] | None:
        """The state that the first process finds, in all processes; it alone may rename files."""
        found = latest_state(self.folder.state) if self.group.first else None
        (path, *_) = self.group.gather(None if found is None else found[0])
        if self.group.first or path is None:
            return None if found is None else found[1]
        return read_state(path)

    def _load(self, state: Mapping[str, Any]) -> None:
        vars(self.progress).update(state["progress"])
        self.updater.load_state(state)
        restore_random_state(state["random"])
        self._counted_at = time.monotonic()
