"""A training as a job: what is looked at before one is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.cli.train_job import _key, launch
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, parse_config
from vatrack.training.start import alone_in


def test_a_store_that_is_built_anew_is_no_other_training(tmp_path: Path) -> None:
    for name in ("train/joint.json", "train/joint.json.store", "valid/joint.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    training = parse_config({}, "test", Config).for_run(Method.VATRACK, Backbone.RESNET18)
    before = _key(training, tmp_path, tmp_path)
    (tmp_path / "train/joint.json.store").write_text("new")
    (tmp_path / "train/.joint.json.part").write_text("new")
    assert _key(training, tmp_path, tmp_path) == before
    (tmp_path / "train/joint.json").write_text("other data")
    assert _key(training, tmp_path, tmp_path) != before


def test_no_training_begins_in_a_folder_of_something_else(tmp_path: Path) -> None:
    run = parse_config({}, "test", Config).for_run(Method.VATRACK, Backbone.RESNET18)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    told = "photos: contains holiday.jpg, but no training; choose a new folder for the run"
    with pytest.raises(InputError, match=told):
        launch(run, tmp_path, tmp_path, tmp_path / "photos")
    with pytest.raises(InputError, match=told), alone_in(tmp_path / "photos"):
        pass
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": {"weights": "/nowhere/x.pt"}},
            r"training\.weights: /nowhere/x\.pt: no such file; put it there",
        ),
        (
            {"compute": {"device": "cuda"}, "launcher": {"gpus": 0}},
            r"compute\.device: is cuda but launcher\.gpus is 0",
        ),
        ({"compute": {"device": "cuda"}}, r"launcher\.gpus is 0"),
        (
            {"compute": {"device": "cuda:1"}, "launcher": {"gpus": 1}},
            r"compute\.device: is cuda:1, but the launcher chooses the GPUs of its jobs; set it",
        ),
    ],
)
def test_no_job_is_queued_for_what_cannot_begin(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    config = parse_config(changes, "test.yaml", Config).for_run(Method.VATRACK, Backbone.RESNET18)
    with pytest.raises(InputError, match=message):
        launch(config, tmp_path, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
