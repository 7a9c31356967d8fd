from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

import vatrack
from vatrack.common.errors import InputError
from vatrack.runs.folder import RunFolder
from vatrack.runs.put_aside import put_aside

SUMMARY = {"epochs": 2, "iterations": 8, "seconds": 1.5, "identity": {"recipe": {}}}
FILES = {
    "config": "config.yaml",
    "environment": "environment.json",
    "metrics_log": "metrics.jsonl",
    "checkpoints": "checkpoints",
    "validations": "validation",
    "faults": "faults",
    "state": "state",
    "training": "training.json",
    "ended": ".training.json",
    "lock": ".lock",
    "job": "submitit",
    "start_weights": "weights.txt",
    "selection": "best.json",
    "best_checkpoint": "best.pt",
    "predictions": "predictions.jsonl.gz",
    "inference": "inference.yaml",
    "metrics": "metrics.json",
    "details": "details.json",
    "evaluation": "evaluation.yaml",
    "overlay": "overlay.png",
    "overlay_video": "overlay.mp4",
    "views": "views",
    "mlflow": "mlflow.json",
    "mlflow_lock": ".mlflow.lock",
}


def test_names_are_those_that_existing_runs_have(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    names = [name for name, value in vars(RunFolder).items() if hasattr(value, "__get__")]
    values = {name: getattr(folder, name) for name in names if not name.startswith("_")}
    found = {name: value for name, value in values.items() if isinstance(value, Path)}
    assert found == {name: tmp_path / file for name, file in FILES.items()}
    assert folder.checkpoint(3) == tmp_path / "checkpoints" / "epoch_03.pt"
    assert folder.validation(120) == tmp_path / "validation" / "epoch_120.json"
    assert folder.fault(2, 17) == tmp_path / "faults" / "epoch_02_batch_000017.json"


@pytest.mark.parametrize(
    "room", ["cli", "evaluation", "experiments", "inference", "reporting", "runs", "video"]
)
def test_no_other_module_spells_the_names_of_files(room: str) -> None:
    names = {name for name in FILES.values() if "." in name}
    modules = sorted((Path(vatrack.__file__).parent / room).rglob("*.py"))
    assert modules
    for module in modules:
        tree = ast.parse(module.read_text())
        literals = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        # Names of folders are common words, too: wanted are those that are appended to a path.
        appended = {
            node.right.value
            for node in ast.walk(tree)
            if isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            and isinstance(node.right, ast.Constant)
            and isinstance(node.right.value, str)
        }
        found = {literal for literal in literals if literal.lstrip("/") in names}
        found |= appended & set(FILES.values())
        allowed = ("folder.py", "examples.py")  # what users type names files, too
        assert not found or module.name in allowed, f"{module}: {found}"


def test_no_rule_spells_the_names_of_files() -> None:
    rules = (Path(vatrack.__file__).parents[1] / "workflow" / "rules").glob("*.smk")
    texts = {path.name: path.read_text() for path in rules}
    names = [name for name in FILES.values() if "." in name]
    found = {(file, name) for file, text in texts.items() for name in names if f"}}/{name}" in text}
    assert len(texts) > 5 and not found


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


# Of a training, and of what later stages make of it.
LEFT = (
    "config.yaml", "environment.json", "weights.txt", "metrics.jsonl", "training.json",
    "checkpoints/epoch_01.pt", "validation/epoch_01.json", "faults/epoch_01_batch_000001.json",
    "best.json", "best.pt", "predictions.jsonl.gz", "inference.yaml", "metrics.json",
    "details.json", "evaluation.yaml", "overlay.png", "overlay.mp4", "views/views.json",
)  # fmt: skip
KEPT = ("mlflow.json", "submitit/job.json", "my notes.txt")


def left_by_a_training(folder: Path) -> RunFolder:
    for name in LEFT + KEPT:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    return RunFolder(folder)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("removed", [False, True])
def test_all_that_a_training_led_to_is_put_aside_with_it(tmp_path: Path, removed: bool) -> None:
    """Also where a workflow has removed what says that it was complete."""
    found = {"recipe": {"seed": 0}, "data": 1}
    folder = left_by_a_training(tmp_path)
    folder.ended.write_text("training.json")
    if removed:
        folder.training.unlink()
    put_aside(folder, found, {"recipe": {"seed": 1}, "data": 1})
    assert files_in(tmp_path / "complete_1") == set(LEFT)
    assert files_in(tmp_path) - {f"complete_1/{name}" for name in LEFT} == set(KEPT)


def test_a_new_training_finds_nothing_that_could_be_taken_for_its_own(tmp_path: Path) -> None:
    left_by_a_training(tmp_path).clear()
    written_again = {"config.yaml", "environment.json", "metrics.jsonl", "training.json"}
    assert files_in(tmp_path) == written_again | set(KEPT)


def test_what_cannot_be_removed_stops_a_new_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its validation would be taken for one of the new training's."""
    folder = left_by_a_training(tmp_path)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    told = r"epoch_\d+\.\w+: cannot be removed, .*; remove .*\w+ and train again$"
    with pytest.raises(InputError, match=told):
        folder.clear()


def test_links_to_folders_are_removed_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    folder = left_by_a_training(tmp_path / "run")
    links = [folder.checkpoints, folder.views, folder.state]
    for link in links:
        elsewhere = tmp_path / link.name
        shutil.rmtree(link, ignore_errors=True)
        elsewhere.mkdir()
        (elsewhere / "file").touch()
        link.symlink_to(elsewhere)
    folder.remove_state()
    assert not folder.state.is_symlink()
    folder.state.symlink_to(tmp_path / "nowhere")
    folder.clear()
    assert not [link for link in links if link.is_symlink()]
    assert all((tmp_path / link.name / "file").exists() for link in links)


def test_files_where_no_training_was_are_kept(tmp_path: Path) -> None:
    folder = left_by_a_training(tmp_path)
    folder.environment.unlink()
    folder.clear()
    assert {"metrics.json", "views/views.json"} <= files_in(tmp_path)


BEFORE = ("config.yaml", "train.log", "slurm-7.out", ".lock", ".DS_Store", ".training.json",
          "submitit/job.json", "mlflow.json")  # fmt: skip


@pytest.mark.parametrize("name", [None, "holiday.jpg", "checkpoints/best.pt", "metrics.json"])
def test_a_folder_of_something_else_is_no_runs(tmp_path: Path, name: str | None) -> None:
    """What a launcher or an earlier training has put there does no harm."""
    folder = RunFolder(tmp_path / "run")
    folder.refuse_other()  # it is not there
    for file in (*BEFORE, *filter(None, [name])):
        (folder.path / file).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / file).touch()
    if name is None:
        folder.refuse_other()
        return
    told = f"{folder.path}: contains {name.split('/')[0]}, but no training; choose a new folder"
    with pytest.raises(InputError, match=f"^{re.escape(told)}"):
        folder.refuse_other()
    folder.environment.touch()  # of a training that was interrupted at its beginning
    folder.refuse_other()
    folder.environment.unlink()
    (folder.path / "complete_1").mkdir()  # and one was put aside before
    folder.refuse_other()


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {**SUMMARY, "epochs": "2"},
        {**SUMMARY, "epochs": True},
        {**SUMMARY, "iterations": None},
        {**SUMMARY, "seconds": "long"},
        {**SUMMARY, "identity": []},
        {**SUMMARY, "identity": {"recipe": []}},
    ],
)
def test_a_damaged_training_json_is_named(tmp_path: Path, content: object) -> None:
    folder = RunFolder(tmp_path)
    folder.training.write_text(json.dumps(content))
    message = (
        r"training\.json: not the record of a complete training; delete the file and train again"
    )
    for read in (folder.complete, folder.read_training):
        with pytest.raises(InputError, match=message):
            read()


def test_without_a_training_json_no_training_is_complete(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.complete() is None
    folder.finish(SUMMARY)
    assert folder.complete() == SUMMARY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "not a JSON object of metrics"),
        ('{"video/amodal/AP": "1"}', "video/amodal/AP is neither"),
        ('{"video/amodal/AP": NaN}', "video/amodal/AP is neither"),
        ('{"video/amodal/AP": true}', "video/amodal/AP is neither"),
    ],
)
def test_a_damaged_validation_is_named(tmp_path: Path, content: str, message: str) -> None:
    folder = RunFolder(tmp_path)
    folder.validations.mkdir()
    folder.validation(1).write_text(content)
    with pytest.raises(InputError, match=rf"epoch_01\.json: {message}.*train again"):
        folder.read_validation(1)
