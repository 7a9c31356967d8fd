"""The folder of a run: where each of its files is, and what a training keeps and removes there."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.numbers_in_names import numbered
from vatrack.common.run_files import (
    CONFIG_FILE,
    METRICS_LOG_FILE,
    PREDICTIONS_FILE,
    SETTINGS_FILE,
)
from vatrack.common.value_files import read_json
from vatrack.config.run_name import RunName
from vatrack.runs.metrics_file import is_number, read_metrics

logger = logging.getLogger(__name__)

EPOCH_FILE = re.compile(r"epoch_(\d+)\.json")
# What may be in a run's folder before its training: a config, logs of whoever starts it, hidden
# files (locks, half-written ones).
BEFOREHAND = re.compile(r"\..*|.*\.(ya?ml|log|out|err)")
# In .training.json: a workflow was told to begin the training anew (--forcerun).
REPEAT = "repeat"
PUT_ASIDE = re.compile(r"(complete|interrupted)_\d+")  # folders of earlier trainings


def _is_summary(content: Mapping[str, Any]) -> bool:
    """Whether the values that later stages use are there, and of their types."""
    identity = content.get("identity", {})
    return (
        type(content.get("epochs")) is int
        and is_number(content.get("iterations"))
        and is_number(content.get("seconds"))
        and type(content.get("processes", 1)) is int
        and isinstance(identity, dict)
        and isinstance(identity.get("recipe", {}), dict)
    )


def _remove(path: Path) -> None:
    """Removes a file, a folder or a link, if it is there; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Named:
    """A file or folder of every run, by its name: `RunFolder(path).metrics` is its path."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, owner: type[RunFolder]) -> Path:
        return folder.path / self.name


class RunFolder:
    """Owns the names of all files of a run.

    Example:
        >>> RunFolder("results/runs/vatrack__resnet18").checkpoint(12).as_posix()
        'results/runs/vatrack__resnet18/checkpoints/epoch_12.pt'
    """

    # What a training writes.
    config = _Named(CONFIG_FILE)  # the resolved config of the training
    environment = _Named("environment.json")  # versions, device and revision of the code
    start_weights = _Named("weights.txt")  # what was taken of the weights that it started from
    metrics_log = _Named(METRICS_LOG_FILE)  # its numbers, see `vatrack.runs.metrics_log`
    checkpoints = _Named("checkpoints")  # the weights after each validated epoch
    validations = _Named("validation")  # the metrics of the valid set
    faults = _Named("faults")  # what is known of updates that were not finite
    state = _Named("state")  # what an interrupted training is resumed from
    training = _Named("training.json")  # says that the training is complete; written last
    ended = _Named(".training.json")  # the same; Snakemake removes the other one before it repeats
    lock = _Named(".lock")  # held by the training at work here
    job = _Named("submitit")  # logs and pickles of the training's job, and job.json

    # What later stages write.
    selection = _Named("best.json")  # which epoch is the best one, and by what
    best_checkpoint = _Named("best.pt")  # the checkpoint of the best epoch
    predictions = _Named(PREDICTIONS_FILE)  # the detections on the valid set
    inference = _Named(SETTINGS_FILE)  # the settings that the predictions were made with
    metrics = _Named("metrics.json")  # the final metrics
    details = _Named("details.json")  # the metrics of every class and every video
    evaluation = _Named("evaluation.yaml")  # the protocol and the ground truth behind the metrics
    overlay = _Named("overlay.png")  # predictions drawn over frames
    overlay_video = _Named("overlay.mp4")  # the same clips as a video
    views = _Named("views")  # clips drawn for the report
    mlflow = _Named("mlflow.json")  # which MLflow run is the copy of this folder
    mlflow_lock = _Named(".mlflow.lock")  # held by whoever sends this folder, or to the store in it

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def name(self) -> RunName | None:
        """Method, backbone and label, as the folder is called; None where it has a name of
        another form."""
        return RunName.parse(self.path.name)

    @property
    def begun(self) -> bool:
        """Whether a training has left its end, or a state to resume from."""
        return self.training.exists() or self.state.exists()

    @property
    def measured(self) -> bool:
        """Whether this is a run with final metrics."""
        return self.config.is_file() and self.metrics.is_file()

    def checkpoint(self, epoch: int) -> Path:
        """checkpoints/epoch_NN.pt; `epoch` is 1-based."""
        return self.checkpoints / f"epoch_{epoch:02d}.pt"

    def validation(self, epoch: int) -> Path:
        """validation/epoch_NN.json; `epoch` is 1-based."""
        return self.validations / f"epoch_{epoch:02d}.json"

    def fault(self, epoch: int, batch: int) -> Path:
        """faults/epoch_NN_batch_NNNNNN.json; `epoch` is 1-based, `batch` 0-based."""
        return self.faults / f"epoch_{epoch:02d}_batch_{batch:06d}.json"

    def validated(self) -> list[tuple[int, Path]]:
        """The epochs that were validated and their files, in the order of the epochs."""
        return numbered(self.validations, EPOCH_FILE)

    # What a training does with them.

    @property
    def made(self) -> tuple[Path, ...]:
        """The folders that a training makes."""
        return (self.checkpoints, self.validations, self.faults, self.state)

    @property
    def derived(self) -> tuple[Path, ...]:
        """What later stages make of a training, the metrics first."""
        return (
            self.metrics, self.details, self.evaluation, self.selection, self.best_checkpoint,
            self.predictions, self.inference, self.overlay, self.overlay_video, self.views,
        )  # fmt: skip

    def refuse_other(self) -> None:
        """Keeps a training out of a folder that is not a run's: it would mix its files with what
        is there, and replace what has their names.

        Raises:
            InputError: no training has begun there, and it contains something else than what is
                there beforehand (`BEFOREHAND`, and files of the job and of MLflow).
        """
        if self.begun or self.environment.exists() or not self.path.exists():
            return
        own = {self.job.name, self.mlflow.name}
        names = sorted(path.name for path in self.path.iterdir())
        if any(map(PUT_ASIDE.fullmatch, names)):  # of a training that could not begin again yet
            return
        for name in names:
            if name not in own and not BEFOREHAND.fullmatch(name):
                raise InputError(
                    f"{self.path}: contains {name}, but no training; choose a new folder for the "
                    "run"
                )

    def clear(self) -> None:
        """Removes what an earlier training left, and what was made of it.

        Neither must be taken for this one's.

        Raises:
            InputError: a file stays where it is.
        """
        for path in (self.start_weights, self.ended):
            path.unlink(missing_ok=True)
        # Where no training has noted its environment, files of these names are somebody's own.
        for leftover in (*self.made, *(self.derived if self.environment.exists() else ())):
            _remove(leftover)
            # A network file system keeps removed files that are open somewhere, as .nfs...
            if kept := [path for path in leftover.rglob("[!.]*") if path.is_file()]:
                raise InputError(
                    f"{kept[0]}: cannot be removed, but is of an earlier training; remove "
                    f"{leftover} and train again"
                )

    def remove_half_written(self) -> None:
        """Removes what a killed training was writing when it ended."""
        for folder in (self.checkpoints, self.validations):
            for leftover in folder.glob(".epoch_*"):
                if leftover.is_file():
                    leftover.unlink(missing_ok=True)

    def complete(self) -> dict[str, Any] | None:
        """What a training wrote when it came to its end; None where none has.

        Raises:
            InputError: see `read_training`.
        """
        return self.read_training() if self.training.exists() else None

    def replaced(self) -> dict[str, Any] | None:
        """What training.json held; for where it is missing, as a workflow has removed it."""
        try:
            content = read_json(self.ended)
        except InputError:  # none, or a damaged one
            return None
        return content if isinstance(content, dict) and _is_summary(content) else None

    def repeat(self) -> None:
        """Has a complete training begin anew the next time that a workflow asks for it."""
        if content := self.replaced():
            write_json(self.ended, {**content, REPEAT: True}, indent=2)

    def read_training(self) -> dict[str, Any]:
        """The content of training.json.

        Raises:
            InputError: it is missing, or not what a training writes.
        """
        content = read_json(self.training)
        if not isinstance(content, dict) or not _is_summary(content):
            raise InputError(
                f"{self.training}: not the record of a complete training; delete the file and "
                "train again"
            )
        return content

    def read_validation(self, epoch: int) -> dict[str, float | None]:
        """The metrics of a validated epoch, in percent; None: undefined.

        Raises:
            InputError: the file is missing, or holds something else.
        """
        return read_metrics(
            self.validation(epoch),
            "delete training.json and validation/ in the run folder, then train again",
        )

    def finish(self, content: Mapping[str, Any]) -> None:
        """Says that the training is complete; from then on its state is of no more use."""
        for path in (self.ended, self.training):
            write_json(path, content, indent=2)
        self.remove_state()

    def remove_state(self) -> None:
        """Removes the states of a training that is complete."""
        _remove(self.state)

    def keep_checkpoints(self, epochs: Collection[int]) -> None:
        """Removes the checkpoints of all validated epochs but these."""
        for epoch, _ in self.validated():
            if epoch not in epochs:
                self.checkpoint(epoch).unlink(missing_ok=True)
