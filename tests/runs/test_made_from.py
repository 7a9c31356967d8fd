"""Whether predictions and metrics of a run are those of its selected checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from vatrack.common.errors import InputError
from vatrack.common.files import write_json, write_yaml
from vatrack.runs.folder import RunFolder
from vatrack.runs.made_from import Outdating, outdated, predictions_of
from vatrack.runs.results import file_of_run, outdated_step

SECOND, THIRD = ({"epoch": epoch, "sha256": f"weights of {epoch}"} for epoch in (2, 3))
OF_SECOND, OF_THIRD = (
    {"sha256": f"lines of {one['epoch']}", "checkpoint": one} for one in (SECOND, THIRD)
)
EARLIER = "is of epoch 2, but best.json chooses epoch 3"
ANOTHER = "is of another checkpoint than best.pt"
OTHERS = "is of other predictions than predictions.jsonl.gz"
OTHER = {"epoch": 3, "sha256": "of another training"}


def noted(path: Path, best: Any, predicted: Any, evaluated: Any = None) -> RunFolder:
    """A run whose stages have noted this; None: an older version."""
    run = RunFolder(path)
    run.predictions.touch()
    if best:
        write_json(run.selection, best)
    write_yaml(run.inference, predicted)
    write_yaml(
        run.evaluation,
        {"max_tracks": 100} | ({"predictions": evaluated} if evaluated is not None else {}),
    )
    return run


@pytest.mark.parametrize(
    ("best", "predicted", "evaluated", "predictions", "metrics"),
    [
        (THIRD, OF_THIRD, OF_THIRD, "", ""),
        (THIRD, OF_SECOND, OF_SECOND, EARLIER, EARLIER),
        ({"epoch": 3}, OF_SECOND, OF_SECOND, EARLIER, EARLIER),
        (OTHER, OF_THIRD, OF_THIRD, ANOTHER, ANOTHER),
        (THIRD, OF_THIRD, OF_SECOND, "", OTHERS),
        (THIRD, OF_THIRD, {}, "", OTHERS),
        (THIRD, {"predictions": "other.jsonl", **OF_SECOND}, OF_THIRD, "", ""),
        (THIRD, {"predictions": "other/predictions.jsonl", **OF_SECOND}, OF_THIRD, "", ""),
        (THIRD, {"predictions": "", **OF_SECOND}, OF_THIRD, "", ""),
        (THIRD, {}, None, "", ""),
        (None, OF_SECOND, OF_SECOND, "", ""),
        (THIRD, OF_THIRD, None, "", ""),
    ],
)
def test_what_is_of_another_checkpoint_or_other_predictions_is_outdated(
    best: Any, predicted: Any, evaluated: Any, predictions: str, metrics: str, tmp_path: Path
) -> None:
    noted(tmp_path, best, predicted, evaluated)
    for name, told in (("predictions", predictions), ("metrics", metrics)):
        file = getattr(RunFolder(tmp_path), name).name
        assert outdated(tmp_path, cast(Outdating, name)) == (told and f"{file} {told}")


def test_the_next_command_makes_what_is_outdated(tmp_path: Path) -> None:
    run = noted(tmp_path, THIRD, OF_SECOND, OF_SECOND)
    again = "; predict the validation set again: vatrack predict --checkpoint "
    assert again in outdated_step(run.path, "metrics")
    with pytest.raises(InputError, match=f"{run.path}: predictions.jsonl.gz is of .* 3{again}"):
        file_of_run(run.path, "predictions")
    assert file_of_run(run.predictions, "predictions") == run.predictions
    noted(tmp_path, THIRD, OF_THIRD, OF_SECOND)
    assert file_of_run(run.path, "predictions") == run.predictions
    again = "; evaluate the predictions again: vatrack evaluate --run "
    assert again in outdated_step(run.path, "metrics")


def test_notes_of_predictions_that_were_packed_since_are_theirs(tmp_path: Path) -> None:
    run = noted(tmp_path, THIRD, {"predictions": "predictions.jsonl", **OF_SECOND})
    assert predictions_of(run.predictions) == OF_SECOND
    (tmp_path / "predictions.jsonl").touch()  # another file
    assert predictions_of(run.predictions) == {}
    run.predictions.unlink()
    assert predictions_of(run.predictions) == OF_SECOND


def test_damaged_notes_say_nothing(tmp_path: Path) -> None:
    run = noted(tmp_path, THIRD, OF_SECOND)
    run.selection.write_text("{")
    assert outdated(tmp_path, "predictions") == ""
