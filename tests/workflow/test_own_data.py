"""With own annotations the workflow begins at the annotations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.exceptions import WorkflowError

from tests.own_data.foreign import write_kins, write_synth_drive
from tests.own_data.own import write_own
from tests.workflow.conftest import IN_PLACE, TINY
from tests.workflow.planned import RANDOM
from tests.workflow.snake import REPOSITORY, Workflow
from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json, read_yaml
from vatrack.config import load_config
from vatrack.importers import import_dataset
from vatrack.validate.find_data import find_data
from vatrack.validate.first_config import batch_size, init_config

SUBSETS = ("train", "valid")


def _workflow(tmp_path: Path, frames: int = 4) -> Workflow:
    own = write_own(tmp_path / "own", frames, masks=("visible",))
    out = tmp_path / "config.yaml"
    init_config(own / "train.json", own / "valid.json", own / "frames", out, 0)
    return Workflow(tmp_path / "work", yaml.safe_load(out.read_text()))


def test_begins_at_the_annotations(tmp_path: Path) -> None:
    plan = _workflow(tmp_path).plan()
    assert plan["validate"] == 1
    assert plan["prepare"] == 2
    assert not {"synth", "unpack", "index", "cut_structure", "clips", "convert"} & plan.keys()
    assert {"train", "select", "predict", "evaluate", "tables", "report"} <= plan.keys()


@pytest.mark.usefixtures("served")
def test_another_method_prepares_nothing_again(tmp_path: Path) -> None:
    """All trainings would follow."""
    own = write_own(tmp_path / "own", 2)
    files = {"images": own / "frames"} | {f"{s}_json": own / f"{s}.json" for s in SUBSETS}
    dataset = {"format": "joint", "classes": "data"}
    dataset |= {key: str(file) for key, file in files.items()}
    one = Workflow(tmp_path / "work", {"methods": ["qdtrack"], "dataset": dataset, **RANDOM})
    assert one.run("annotations")["prepare"] == 2
    assert "prepare" not in one.changed(methods=["qdtrack", "vatrack-2bbox"]).plan()


def test_the_first_config_has_a_sound_name_and_the_methods_of_both_files(tmp_path: Path) -> None:
    own = write_own(tmp_path / "own")
    valid = write_own(tmp_path / "other", masks=("visible",)) / "valid.json"
    out = tmp_path / "ä-b.yaml"
    found = init_config(own / "train.json", valid, own / "frames", out, 0)
    assert "methods: [qdtrack]  # possible with these masks: qdtrack\n" in out.read_text()
    assert "masks: visible; methods: qdtrack" in found.found
    assert load_config(out).dataset.name == "b"


@pytest.mark.parametrize(("memory", "expected"), [(40, 8), (20, 4), (2, 1), (80, 16)])
def test_batch_follows_memory(memory: float, expected: int) -> None:
    assert batch_size(memory, 1280 * 800) == expected


def test_findings_stay_when_the_data_are_bad(tmp_path: Path) -> None:
    workflow = _workflow(tmp_path)
    (tmp_path / "own" / "frames" / "train" / "a" / "000.jpg").unlink()
    with pytest.raises(WorkflowError):
        workflow.run("annotations")
    report = read_json(workflow.results / "validation.json")
    assert [finding["code"] for finding in report["findings"]] == ["frame-missing"]
    assert not (workflow.results / "annotations").exists()


def test_what_a_folder_holds(tmp_path: Path) -> None:
    own = write_own(tmp_path / "own")
    found = find_data(own)
    assert (found.train, found.valid) == (own / "train.json", own / "valid.json")
    assert found.images == own / "frames"
    moved = own / "annotations" / "validation" / "labels.json"
    moved.parent.mkdir(parents=True)
    (own / "valid.json").rename(moved)
    assert find_data(own).valid == moved
    (own / "frames").rename(tmp_path / "elsewhere")
    (own / "linked").symlink_to(tmp_path / "elsewhere")
    (own / "again").symlink_to(own)
    assert find_data(own).images == own / "linked"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda own: (own / "valid.json").unlink(),
            "no JSON file has val or valid.*train.json.; give --valid",
        ),
        (
            lambda own: (own / "my_train.json").write_text("{}"),
            r"several files could be for train \(.*my_train.json.*train.json",
        ),
        (lambda own: (own / "frames").rename(own / "x"), None),
        (
            lambda own: (own / "frames" / "train").rename(own / "train"),
            "no subfolder contains the images of both files, such as train/a/000.jpg; give "
            "--images",
        ),
        (
            lambda own: shutil.copytree(own / "frames", own / "copy"),
            "copy.*frames all contain the images",
        ),
    ],
)
def test_what_is_unclear_in_a_folder_is_named(tmp_path: Path, change: Any, message: str) -> None:
    own = write_own(tmp_path / "own")
    change(own)
    if message is None:
        assert find_data(own).images == own / "x"
        return
    with pytest.raises(InputError, match=message):
        find_data(own)


def test_masks_that_fit_no_method_together(tmp_path: Path) -> None:
    own = write_own(tmp_path / "own", masks=("visible",))
    other = write_own(tmp_path / "other", masks=("amodal",))
    with pytest.raises(InputError, match=r"only amodal masks.*only visible ones"):
        init_config(
            own / "train.json", other / "valid.json", own / "frames", tmp_path / "c.yaml", 0
        )


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nope", "nope: no such folder; give the folder of the images"),
        ("frames/train", r"train: contains no frames of .*train\.json: expected train, found a, "),
        ("half", r"half: contains no frames of .*valid\.json: expected valid, found train; give "),
    ],
)
def test_the_folder_of_the_images_is_checked(tmp_path: Path, folder: str, message: str) -> None:
    own, out = write_own(tmp_path / "own"), tmp_path / "config.yaml"
    shutil.copytree(own / "frames" / "train", own / "half" / "train")
    with pytest.raises(InputError, match=message):
        init_config(own / "train.json", own / "valid.json", own / folder, out, 0)
    assert not out.exists()


@pytest.mark.parametrize("memory", [0, 24])
def test_the_first_config_is_one(tmp_path: Path, memory: float) -> None:
    own, out = write_own(tmp_path / "own"), tmp_path / "my config.yaml"
    text = str(init_config(own / "train.json", own / "valid.json", own / "frames", out, memory))
    assert text.count(f"--configfile '{out}'") == 2 and f"validate --config '{out}'" in text
    assert f"fetch-weights --config {out}" not in text
    # Every number says of what.
    assert "train: 3 videos, 12 images; valid: 3 videos, 12 images\n" in text
    assert "image sizes in pixels: 128 x 96 (4 images), " in text
    config = load_config(out)
    assert config.input.image_scale == (128, 96)
    assert config.model.fpn_channels == (256 if memory else 64)
    run = next(config.runs())
    run.check_start()
    assert bool(run.training.weights) == ("vatrack fetch-weights" in text) == bool(memory)


@pytest.mark.parametrize(
    ("file", "name"),
    [("street.yaml", "street"), ("2024.yaml", "2024"), ("null.yml", "null"), ("_ä b!.yaml", "b_"),
     ("ü.yaml", "own")],
)  # fmt: skip
def test_two_datasets_have_folders_of_their_own(tmp_path: Path, file: str, name: str) -> None:
    own = write_own(tmp_path / "own")
    init_config(own / "train.json", own / "valid.json", own / "frames", tmp_path / file, 0)
    assert load_config(tmp_path / file).dataset.name == name


@pytest.mark.slow
@pytest.mark.usefixtures("served")
def test_to_the_tables(tmp_path: Path) -> None:
    workflow = _workflow(tmp_path, frames=2).changed(
        model={**TINY["model"], "class_weights": "uniform"},
        training={"epochs": 1, "schedule": {"steps": []}},
        compute={"workers": 0},
        inference={"max_detections": 20},
        launcher=IN_PLACE,
    )
    tables = workflow.results / "tables"
    workflow.run(str((tables / "tables.html").relative_to(workflow.folder)))
    metrics = read_json(workflow.results / "runs" / "qdtrack__resnet18" / "metrics.json")
    assert metrics["video/visible/AP"] is not None and metrics["track/visible/FN"] is not None
    assert NO_TRACKS not in (tables / "track_visible.md").read_text()


NO_TRACKS = "the ground truth has no tracks"


def _with_config(folder: Path, name: str, images: Path, joint: Path) -> Workflow:
    """The example config of a dataset with files of its form and a small network."""
    config = read_yaml(REPOSITORY / "config" / f"{name}.yaml")
    own = {key: value for key, value in TINY.items() if key != "dataset"}
    files = {"images": str(images), "train_json": str(joint), "valid_json": str(joint)}
    return Workflow(folder / "work", {**config, **own, "backbones": ["resnet18"]}).changed(
        dataset=files,
        model={"class_weights": "uniform"},
        input={"image_scale": [96, 64]},
        launcher=IN_PLACE,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("served")
def test_kins_to_the_tables(tmp_path: Path) -> None:
    """It has no tracks."""
    write_kins(tmp_path)
    joint, images = tmp_path / "joint.json", tmp_path / "image_2"
    import_dataset("coco-amodal", [tmp_path / "update_train_2020.json"], images, joint)
    workflow = _with_config(tmp_path, "kins", images, joint)
    workflow.run("results")
    metrics = read_json(workflow.results / "runs" / "vatrack__resnet18" / "metrics.json")
    assert metrics["image/amodal/AP"] is not None
    assert metrics["video/amodal/AP"] is None and metrics["track/visible/FN"] is None
    assert NO_TRACKS in (workflow.results / "tables" / "track_amodal.md").read_text()
    log = next((workflow.results / "logs" / "train").iterdir()).read_text()
    assert log.count("tracking losses are 0") == 1


def test_amodal_synth_drive_is_ready_to_be_trained_on(tmp_path: Path) -> None:
    write_synth_drive(tmp_path)
    joint, images = tmp_path / "joint.json", tmp_path / "images"
    source = tmp_path / "amodal_instance_seg"
    import_dataset("amodal-synth-drive", [source], images, joint)
    workflow = _with_config(tmp_path, "amodal_synth_drive", images, joint)
    assert workflow.run("annotations") == {"validate": 1, "prepare": 2, "annotations": 1}
    assert {"train": 1, "evaluate": 1, "tables": 1}.items() <= workflow.plan().items()
    prepared = read_json(workflow.results / "annotations" / "train" / "joint.json")
    assert len(prepared["videos"]) == 2, "its sequences are tracked"


def test_an_edited_config_is_kept(tmp_path: Path) -> None:
    own, out = write_own(tmp_path / "own"), tmp_path / "own.yaml"
    out.write_text("seed: 7\n")
    with pytest.raises(InputError, match=r"own\.yaml: already exists; choose another file"):
        init_config(own / "train.json", own / "valid.json", own / "frames", out, 0)
    assert out.read_text() == "seed: 7\n"


def test_one_file_for_both_subsets_is_a_warning(tmp_path: Path) -> None:
    own = write_own(tmp_path / "own", 2)
    train, out = own / "train.json", tmp_path / "config.yaml"
    with pytest.warns(UserWarning, match=rf"6 images of 6 also in {train}; keep each video in one"):
        init_config(train, train, own / "frames", out, 0)
    assert out.is_file()
