from __future__ import annotations

from pathlib import Path

from vatrack.runs.folder import RunFolder

FILES = {
    "config": "config.yaml",
    "environment": "environment.json",
    "metrics_log": "metrics.jsonl",
    "checkpoints": "checkpoints",
    "validations": "validation",
    "faults": "faults",
    "state": "state",
    "training": "training.json",
    "lock": ".lock",
    "job": "submitit",
    "selection": "best.json",
    "best_checkpoint": "best.pt",
    "predictions": "predictions.jsonl.gz",
    "inference": "inference.yaml",
    "metrics": "metrics.json",
    "details": "details.json",
    "evaluation": "evaluation.yaml",
    "overlay": "overlay.png",
    "mlflow": "mlflow.json",
    "mlflow_lock": ".mlflow.lock",
}


def test_names_are_those_that_existing_runs_have(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    properties = {name for name, value in vars(RunFolder).items() if isinstance(value, property)}
    found = {name: getattr(folder, name) for name in properties if not name.startswith("_")}
    assert found == {name: tmp_path / file for name, file in FILES.items()}
    assert folder.checkpoint(3) == tmp_path / "checkpoints" / "epoch_03.pt"
    assert folder.validation(120) == tmp_path / "validation" / "epoch_120.json"
    assert folder.fault(2, 17) == tmp_path / "faults" / "epoch_02_batch_000017.json"


def test_validated_epochs_and_the_checkpoints_that_are_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.validated() == []
    for epoch in (9, 10, 100):
        for path in (folder.validation(epoch), folder.checkpoint(epoch)):
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
    (folder.validations / "notes.json").write_text("")
    assert folder.validated() == [(epoch, folder.validation(epoch)) for epoch in (9, 10, 100)]
    folder.keep_checkpoints({9, 100})
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == [
        "epoch_09.pt",
        "epoch_100.pt",
    ]
