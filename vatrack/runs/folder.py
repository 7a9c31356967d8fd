"""The folder of a run: where each of its files is, and what a training keeps and removes there."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, read_yaml, write_json
from vatrack.config.inference import SETTINGS_FILE
from vatrack.config.run_name import RunName
from vatrack.runs.fingerprint import changed

logger = logging.getLogger(__name__)

LARGEST = 1e300  # of a number in a file of metrics
EPOCH_FILE = re.compile(r"epoch_(\d+)\.json")


def read_metrics(path: Path, fix: str) -> dict[str, float | None]:
    """The values of a file of metrics by their names; None: undefined.

    Args:
        fix: what to do about a bad file, for messages.

    Raises:
        InputError: the file is missing, or holds something else.
    """
    metrics = read_json(path)
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: not a JSON object of metrics; {fix}")
    for name, value in metrics.items():
        if value is not None and not _is_number(value):
            raise InputError(f"{path}: {name} is neither a finite number nor null; {fix}")
    return metrics


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST  # type: ignore[arg-type]


def _is_summary(content: Mapping[str, Any]) -> bool:
    """Whether the values that later stages use are there, and of their types."""
    identity = content.get("identity", {})
    return (
        type(content.get("epochs")) is int
        and _is_number(content.get("iterations"))
        and _is_number(content.get("seconds"))
        and type(content.get("processes", 1)) is int
        and isinstance(identity, dict)
        and isinstance(identity.get("recipe", {}), dict)
    )


class RunFolder:
    """Owns the names of all files of a run.

    Example:
        >>> RunFolder("results/runs/vatrack__resnet18").checkpoint(12).as_posix()
        'results/runs/vatrack__resnet18/checkpoints/epoch_12.pt'
    """

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

    # What a training writes.

    @property
    def config(self) -> Path:
        """config.yaml: the resolved config of the training."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """environment.json: versions, device and revision of the code."""
        return self.path / "environment.json"

    @property
    def start_weights(self) -> Path:
        """weights.txt: what was taken from the file of weights that the training started from."""
        return self.path / "weights.txt"

    @property
    def metrics_log(self) -> Path:
        """metrics.jsonl: the training's numbers, see `vatrack.runs.metrics_log`."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """checkpoints/: the weights after each validated epoch."""
        return self.path / "checkpoints"

    def checkpoint(self, epoch: int) -> Path:
        """checkpoints/epoch_NN.pt; `epoch` is 1-based."""
        return self.checkpoints / f"epoch_{epoch:02d}.pt"

    @property
    def validations(self) -> Path:
        """validation/: the metrics of the valid set."""
        return self.path / "validation"

    def validation(self, epoch: int) -> Path:
        """validation/epoch_NN.json; `epoch` is 1-based."""
        return self.validations / f"epoch_{epoch:02d}.json"

    def validated(self) -> list[tuple[int, Path]]:
        """The epochs that were validated and their files, in the order of the epochs."""
        if not self.validations.is_dir():
            return []
        found = ((EPOCH_FILE.fullmatch(path.name), path) for path in self.validations.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    @property
    def faults(self) -> Path:
        """faults/: what is known of updates that were not finite."""
        return self.path / "faults"

    def fault(self, epoch: int, batch: int) -> Path:
        """faults/epoch_NN_batch_NNNNNN.json; `epoch` is 1-based, `batch` 0-based."""
        return self.faults / f"epoch_{epoch:02d}_batch_{batch:06d}.json"

    @property
    def state(self) -> Path:
        """state/: what an interrupted training is resumed from."""
        return self.path / "state"

    @property
    def training(self) -> Path:
        """training.json: says that the training is complete; written last."""
        return self.path / "training.json"

    @property
    def lock(self) -> Path:
        """.lock: held by the training at work here."""
        return self.path / ".lock"

    @property
    def job(self) -> Path:
        """submitit/: logs and pickles of the training's job, and job.json."""
        return self.path / "submitit"

    # What later stages write.

    @property
    def selection(self) -> Path:
        """best.json: which epoch is the best one, and by what."""
        return self.path / "best.json"

    @property
    def best_checkpoint(self) -> Path:
        """best.pt: the checkpoint of the best epoch."""
        return self.path / "best.pt"

    @property
    def predictions(self) -> Path:
        """predictions.jsonl.gz: the detections on the valid set."""
        return self.path / "predictions.jsonl.gz"

    @property
    def inference(self) -> Path:
        """inference.yaml: the settings that the predictions were made with."""
        return self.path / SETTINGS_FILE

    @property
    def metrics(self) -> Path:
        """metrics.json: the final metrics."""
        return self.path / "metrics.json"

    @property
    def details(self) -> Path:
        """details.json: the metrics of every class and every video."""
        return self.path / "details.json"

    @property
    def evaluation(self) -> Path:
        """evaluation.yaml: the protocol's switches that the metrics were computed with."""
        return self.path / "evaluation.yaml"

    @property
    def measured(self) -> bool:
        """Whether this is a run with final metrics."""
        return self.config.is_file() and self.metrics.is_file()

    @property
    def overlay(self) -> Path:
        """overlay.png: predictions drawn over frames."""
        return self.path / "overlay.png"

    @property
    def overlay_video(self) -> Path:
        """overlay.mp4: the same clips as a video."""
        return self.path / "overlay.mp4"

    @property
    def mlflow(self) -> Path:
        """mlflow.json: which MLflow run is the copy of this folder."""
        return self.path / "mlflow.json"

    @property
    def mlflow_lock(self) -> Path:
        """.mlflow.lock: held by the process that sends this folder to MLflow."""
        return self.path / ".mlflow.lock"

    # What a training does with them.

    @property
    def _made(self) -> tuple[Path, ...]:
        """The folders that a training makes."""
        return (self.checkpoints, self.validations, self.faults, self.state)

    def clear(self) -> None:
        """Removes what an earlier training left: it must not be chosen as this one's best."""
        self.start_weights.unlink(missing_ok=True)
        for leftover in self._made:
            shutil.rmtree(leftover, ignore_errors=True)

    def remove_half_written(self) -> None:
        """Removes what a killed training was writing when it ended."""
        for folder in (self.checkpoints, self.validations):
            for leftover in folder.glob(".epoch_*"):
                if leftover.is_file():
                    leftover.unlink()

    def complete(self) -> dict[str, Any] | None:
        """What a training wrote when it came to its end; None where none has.

        Raises:
            InputError: see `read_training`.
        """
        return self.read_training() if self.training.exists() else None

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
        write_json(self.training, content, indent=2)
        self.remove_state()

    def remove_state(self) -> None:
        """Removes the states of a training that is complete."""
        shutil.rmtree(self.state, ignore_errors=True)

    def put_aside(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Moves what a training with other settings made to complete_N/ or interrupted_N/.

        Who changed a key by mistake can bring it back. The differences are logged.

        Args:
            found: recipe and data of that training.
            wanted: those of the one that begins.
        """
        names = changed(found.get("recipe", {}), wanted["recipe"])
        what = names[:5] + [f"{len(names) - 5} other settings"] * (len(names) > 5)
        what += ["the data"] * (found.get("data") != wanted["data"])
        state = "complete" if self.training.exists() else "interrupted"
        number = 1
        while (kept := self.path / f"{state}_{number}").exists():
            number += 1
        kept.mkdir()
        # What says that it is complete goes first: without the rest it must not be found.
        texts = (self.config, self.start_weights, self.metrics_log)
        for path in (self.training, *self._made, *texts):
            if path.exists():
                path.rename(kept / path.name)
        logger.info(
            "%s: the existing training differs in %s; starting a new one,",
            self.path,
            ", ".join(what),
        )
        logger.info("the old one is kept in %s", kept)

    def keep_checkpoints(self, epochs: Collection[int]) -> None:
        """Removes the checkpoints of all validated epochs but these."""
        for epoch, _ in self.validated():
            if epoch not in epochs:
                self.checkpoint(epoch).unlink(missing_ok=True)


def run_data(folder: Path) -> tuple[Path, Path]:
    """Where the valid set of a run is, as the workflow lays out its results.

    Returns:
        The joint annotations of the valid set, and the folder of the frames, which the config
        names for own annotations. Whether they exist is not checked.

    Raises:
        InputError: config.yaml is no valid YAML.
    """
    results = Path(folder).resolve().parent.parent
    file = RunFolder(folder).config
    config = read_yaml(file) if file.is_file() else None
    dataset = config.get("dataset") if isinstance(config, dict) else None
    own = dataset.get("images") if isinstance(dataset, dict) else None
    images = Path(own) if isinstance(own, str) and own else results / "clips"
    return results / "annotations" / "valid" / "joint.json", images


def named_runs(folder: Path) -> list[RunFolder]:
    """The runs in a folder that are named as such; seed10 comes after seed9."""
    found = [RunFolder(path) for path in folder.glob("*") if path.is_dir()]
    return sorted((run for run in found if run.name), key=lambda run: natural(run.path.name))


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts texts by the numbers in them."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
