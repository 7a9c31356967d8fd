"""What is said of files that a run lacks: the next command on the way to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from vatrack.common.locks import locked
from vatrack.config import SelectionConfig
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import file_of_run, next_step
from vatrack.runs.select import select_best


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that was begun, among the results of the workflow, as seen from there."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder("mini/runs/a run")
    folder.path.mkdir(parents=True)
    folder.config.touch()
    return folder


def test_the_next_command_on_the_way_to_the_metrics(run: RunFolder) -> None:
    joint, given = "mini/annotations/valid/joint.json", "'mini/runs/a run'"
    data = "--annotations mini/annotations --images mini/clips"
    for made, told in (
        (
            run.training,
            ": its training is not complete; resume it: "
            f"vatrack train --config {given} {data} --out {given}",
        ),
        (
            run.best_checkpoint,
            f"; choose the best checkpoint: vatrack select --run {given} --out {given}/best.json",
        ),
        (
            run.predictions,
            "; predict the validation set: "
            f"vatrack predict --checkpoint {given} --frames {joint} --images mini/clips "
            f"--out {given}/predictions.jsonl.gz --processes 0",
        ),
        (
            run.metrics,
            f"; evaluate the predictions: vatrack evaluate --run {given} --out "
            f"{given}/metrics.json --details {given}/details.json",
        ),
    ):
        assert next_step(run.path, "metrics") == f"has no metrics.json{told}"
        made.touch()


def test_a_file_of_an_unfinished_run_is_not_only_missing(run: RunFolder) -> None:
    for name, file in (("best_checkpoint", "best.pt"), ("predictions", "predictions.jsonl.gz")):
        with pytest.raises(InputError, match=rf"run: has no {file}: its training is not complete;"):
            file_of_run(run.path, name)
    run.predictions.touch()
    with pytest.raises(InputError, match=r"run: has no best\.pt: its training is not complete;"):
        file_of_run(run.path, "best_checkpoint")
    with pytest.raises(InputError, match=r"run: has no training\.json: its training is not compl"):
        select_best(run.path, SelectionConfig(), run.selection)


def test_a_training_at_work_is_waited_for(run: RunFolder) -> None:
    with run.lock.open("a") as lock, locked(lock):
        assert next_step(run.path, "metrics") == (
            "has no metrics.json: its training is still running; wait until it ends"
        )
    assert "its training is not complete; resume it: " in next_step(run.path, "metrics")


def test_predictions_of_a_folder_may_be_unpacked(tmp_path: Path) -> None:
    """As `vatrack track` writes them."""
    (tmp_path / "predictions.jsonl").touch()
    assert file_of_run(tmp_path, "predictions") == tmp_path / "predictions.jsonl"
    (tmp_path / "predictions.jsonl.gz").touch()
    assert file_of_run(tmp_path, "predictions") == tmp_path / "predictions.jsonl.gz"
