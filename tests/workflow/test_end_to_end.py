"""The whole road on a tiny set, with the real parts: from rendered raw frames to the tables and the
report."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from tests.workflow.conftest import IN_PLACE
from tests.workflow.snake import REPOSITORY, Workflow
from vatrack.common.value_files import read_json

pytestmark = pytest.mark.usefixtures("served")

DATA_STAGES = [
    "synth",
    "validate",
    "index",
    "cut_scores",
    "cut_structure",
    "cut_sheet",
    "clips",
    "convert",
]
RUN_FOLDER = "runs/vatrack__resnet18"
SHOWN = ["overlay", "views", "tables", "figures", "provenance", "report"]
RUN_STAGES = ["train", "select", "predict", "evaluate", *SHOWN]
CUTS = {"cut_scores": 1, "cut_sheet": 1}
AFTER_TRAINING = dict.fromkeys(RUN_STAGES, 1)
AFTER_EVALUATION = dict.fromkeys(["evaluate", "views", "tables", "provenance", "report"], 1)
AFTER_PREDICTION = AFTER_EVALUATION | {"predict": 1, "overlay": 1}


def test_every_stage_ran_once(finished: Workflow) -> None:
    assert finished.first_run == dict.fromkeys(DATA_STAGES + RUN_STAGES, 1) | {"convert": 2}


def test_the_tables_hold_the_metrics(finished: Workflow) -> None:
    metrics = json.loads((finished.results / "runs/vatrack__resnet18/metrics.json").read_text())
    columns = {
        "AP": "AP",
        "AP50": "AP50",
        "P": "AP50_P",
        "H": "AP50_H",
        "L": "AP50_L",
        "M": "AP50_M",
        "S": "AP50_S",
    }
    for level in ("image", "video"):
        for mask_type in ("amodal", "visible"):
            with (finished.results / f"tables/{level}_{mask_type}.csv").open() as file:
                (row,) = [row for row in csv.DictReader(file) if row["source"] != "published"]
            assert (row["method"], row["backbone"]) == ("vatrack", "resnet18")
            for column, key in columns.items():
                value = metrics[f"{level}/{mask_type}/{key}"]
                assert row[column] == ("-" if value is None else repr(value)), (
                    level,
                    mask_type,
                    column,
                )
            markdown = (finished.results / f"tables/{level}_{mask_type}.md").read_text()
            assert re.search(r"\| VATrack \| ResNet-18 \|.*\| this run \|", markdown)
            assert "\\toprule" in (finished.results / f"tables/{level}_{mask_type}.tex").read_text()
    for mask_type in ("amodal", "visible"):
        with (finished.results / f"tables/track_{mask_type}.csv").open() as file:
            row = next(csv.DictReader(file))
        for column in ("MOTA", "MOTP", "IDF1", "IDs", "MT", "ML"):
            value = metrics[f"track/{mask_type}/{column}"]
            assert row[column] == ("-" if value is None else repr(value)), (mask_type, column)
    tables = list((finished.results / "tables").glob("*.csv"))
    page = (finished.results / "tables/tables.html").read_text()
    assert page.count("<table ") == sum(not path.name.startswith("videos_") for path in tables)


def test_the_tables_by_class_and_video_hold_the_details(finished: Workflow) -> None:
    details = json.loads((finished.results / "runs/vatrack__resnet18/details.json").read_text())
    for level in ("image", "video"):
        for mask_type in ("amodal", "visible"):
            key = f"{level}/{mask_type}"
            by_video = {name: values.get(key, {}) for name, values in details["per_video"].items()}
            for name, wanted in (("classes", details["per_class"][key]), ("videos", by_video)):
                with (finished.results / f"tables/{name}_{level}_{mask_type}.csv").open() as file:
                    rows = {next(iter(row.values())): row for row in csv.DictReader(file)}
                assert wanted
                assert rows.keys() - {"all"} == wanted.keys()
                for item, values in wanted.items():
                    shown = rows[item]["AP50 vatrack/resnet18"]
                    assert shown == ("-" if values.get("AP50") is None else repr(values["AP50"])), (
                        name,
                        key,
                        item,
                    )


def test_predictions_are_those_of_the_contract(finished: Workflow) -> None:
    images = {
        image["id"]
        for image in json.loads((finished.results / "annotations/valid/joint.json").read_text())[
            "images"
        ]
    }
    with gzip.open(finished.results / "runs/vatrack__resnet18/predictions.jsonl.gz", "rt") as file:
        predictions = [json.loads(line) for line in file]
    assert predictions
    for prediction in predictions:
        wanted = {"image_id", "category_id", "score", "bbox", "track_id", "amodal", "visible"}
        assert wanted <= set(prediction)
        assert prediction["image_id"] in images
        assert 1 <= prediction["category_id"] <= 24
        assert prediction["amodal"]["size"] == [80, 128]


def test_a_runs_folder_is_complete(finished: Workflow) -> None:
    run = finished.results / "runs/vatrack__resnet18"
    for name in (
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "training.json",
        "best.json",
        "best.pt",
        "mlflow.json",
    ):
        assert (run / name).stat().st_size, name
    assert json.loads((run / "best.json").read_text())["epoch"] == 1
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("loss" in line for line in lines)
    assert any("validation" in line for line in lines)


def test_mlflow_has_the_run(finished: Workflow) -> None:
    identity = json.loads((finished.results / "runs/vatrack__resnet18/mlflow.json").read_text())
    with closing(sqlite3.connect(finished.folder / "results/mlflow.db")) as store:
        ((run_id, status),) = store.execute(
            "SELECT runs.run_uuid, status FROM runs JOIN tags ON runs.run_uuid = tags.run_uuid"
            " WHERE key = 'vatrack.run_uuid' AND value = ?",
            [identity["uuid"]],
        )
        found = store.execute("SELECT DISTINCT key FROM metrics WHERE run_uuid = ?", [run_id])
        names = {name for (name,) in found}
    assert status == "FINISHED"
    assert {
        "loss/all",
        "training/lr",
        "HOTA amodal",
        "results track amodal/MOTA",
        "per-epoch validation/HOTA amodal",
    } <= names
    artifacts = {
        path.name for path in (finished.folder / "results/mlartifacts").rglob("*") if path.is_file()
    }
    assert {"config.yaml", "metrics.json", "video_amodal.csv", "tables.html"} <= artifacts
    assert {"overlay.png", "overlay.mp4", "losses.svg", "report.html"} <= artifacts


def test_the_report_shows_the_results(finished: Workflow) -> None:
    report = (finished.results / "report.html").read_text()
    for section in ("key-metrics", "clips", "tables", "precision", "classes", "training", "cuts"):
        assert f'<section id="{section}">' in report
    views = json.loads((finished.results / "runs/vatrack__resnet18/views/views.json").read_text())
    assert views["views"][0] == "input" and len(views["views"]) == 5
    assert report.count("data:video/mp4;base64,") == len(views["clips"]) > 0


def test_the_provenance_shows_tables_curves_and_overlays(finished: Workflow) -> None:
    report = (finished.results / "provenance.html").read_text()
    for name in (
        "tables.html",
        "image_amodal.csv",
        "track_visible.csv",
        "classes_image_amodal.csv",
        "losses.svg",
        "validation.svg",
        "overlay.png",
        "overlay.mp4",
    ):
        assert name in report
    for category in ("Tables", "Curves", "Overlays", "Cuts"):
        assert category in report


def test_logs_and_benchmarks(finished: Workflow) -> None:
    stages = set(DATA_STAGES + RUN_STAGES)
    for folder, more in (("logs", {"mlflow"}), ("benchmarks", set())):
        made = {path.name.split(".")[0] for path in (finished.results / folder).iterdir()}
        assert made == stages | more
    assert "epoch 1/1" in (finished.results / "logs/train/vatrack__resnet18.log").read_text()


def test_a_second_run_does_nothing(finished: Workflow) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in finished.results.rglob("*") if path.is_file()
    }
    assert finished.run() == {}
    assert {
        path: path.stat().st_mtime_ns for path in finished.results.rglob("*") if path.is_file()
    } == before


def test_a_moved_checkout_repeats_nothing(
    finished: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moved").symlink_to(REPOSITORY)
    place = "tests.workflow.snake.SNAKEFILE"
    monkeypatch.setattr(place, tmp_path / "moved/workflow/Snakefile")
    assert finished.plan() == {}


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"launcher": {"memory_gb": 3, "minutes": 33}, "mlflow": {"enabled": False}}, {}),
        ({"evaluation": {"max_tracks": 50}}, AFTER_EVALUATION),
        ({"inference": {"tracker": {"memo_frames": 5}}}, AFTER_PREDICTION),
        ({"selection": {"metric": "image/amodal/AP"}}, AFTER_PREDICTION | {"select": 1}),
        ({"training": {"epochs": 2}}, AFTER_TRAINING),
        (
            {"training": {"epochs": "2"}},
            AFTER_TRAINING,
        ),  # as --config 'training={epochs: 2}' arrives
        ({"compute": {"workers": 1}, "training": {"log_every": 5}}, {}),  # how it is done, not what
        ({"model": {"fpn_channels": 32}}, AFTER_TRAINING),
        ({"training": {"batch_size": {"resnet18": 4, "resnet50": 2}}}, {}),  # the same for this run
        ({"dataset": {"max_occlusion": 0.5}}, AFTER_TRAINING | {"convert": 2}),
        ({"dataset": {"clips": {"mode": "copy"}}}, {"clips": 1}),  # the same frames
        (
            {"dataset": {"clips": {"mode": "png"}}},
            AFTER_TRAINING | {"convert": 2, "clips": 1},
        ),  # under other names
        ({"dataset": {"validation": {"accept": ["area-wrong"]}}}, {}),
        ({"dataset": {"clips": {"curves": True}}}, {}),  # they are measured anyway
        ({"dataset": {"max_occlusion_inclusive": False}}, AFTER_TRAINING | {"convert": 2}),
        (
            {"dataset": {"clips": {"threshold": 5.0}}},
            AFTER_TRAINING | {"convert": 2, "clips": 1, "cut_structure": 1, "cut_sheet": 1},
        ),
        (
            {"dataset": {"synthetic": {"objects": 2}}},
            AFTER_TRAINING
            | CUTS
            | {"convert": 2, "clips": 1, "cut_structure": 1, "index": 1, "validate": 1, "synth": 1},
        ),
        (
            {"methods": ["vatrack", "qdtrack"]},
            AFTER_TRAINING,
        ),  # one more run, and what shows all runs
        ({"inference": {"nms_iou": 0.6}, "evaluation": {"max_tracks": 50}}, AFTER_PREDICTION),
    ],
)
def test_a_change_repeats_the_stages_that_it_concerns(
    finished: Workflow, change: dict, again: dict[str, int]
) -> None:
    assert finished.changed(**change).plan() == again


def test_a_forced_stage_takes_only_its_dependents_along(finished: Workflow, tmp_path: Path) -> None:
    assert finished.plan(force=("evaluate",)) == AFTER_EVALUATION
    again = AFTER_TRAINING | {"convert": 2, "clips": 1, "cut_structure": 1, "cut_sheet": 1}
    assert finished.plan(force=("cut_structure",)) == again
    assert finished.plan(force=("clips",)) == {"clips": 1}
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    copy = Workflow(tmp_path, finished.config)
    run = copy.results / "runs/vatrack__resnet18"
    predictions, metrics = run / "predictions.jsonl.gz", run / "metrics.json"
    before = predictions.stat().st_mtime_ns, metrics.read_bytes()
    tables = "results/tiny/tables/tables.html"
    assert copy.run(tables, force=("evaluate",)) == {"evaluate": 1, "tables": 1}
    assert (predictions.stat().st_mtime_ns, metrics.read_bytes()) == before
    assert copy.plan(tables) == {}


def test_a_training_is_repeated_only_where_that_is_asked_for(
    finished: Workflow, tmp_path: Path
) -> None:
    """Not because Snakemake finds an input newer whose content is the same."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    copy = Workflow(tmp_path, finished.config)
    run = copy.results / RUN_FOLDER
    files = [run / "training.json", run / "environment.json"]
    before = files[0].read_bytes(), files[1].stat().st_mtime_ns
    best = f"results/tiny/{RUN_FOLDER}/best.json"
    again = {"train": 1, "select": 1}
    assert copy.run(best, force=("convert",)) == again | {"convert": 2}
    assert (files[0].read_bytes(), files[1].stat().st_mtime_ns) == before
    (line,) = (copy.results / "logs/train/vatrack__resnet18.log").read_text().splitlines()
    assert "already complete" in line, "no job is needed for that"
    copy.touch(best, force=("train",))
    assert "repeat" not in read_json(run / ".training.json"), "nobody asked for that"
    copy = copy.changed(launcher=IN_PLACE)
    assert copy.run(best, force=("train",)) == again
    assert files[1].stat().st_mtime_ns > before[1]
    assert copy.plan(best) == {}


@pytest.mark.parametrize(
    ("lost", "again"),
    [
        (f"{RUN_FOLDER}/overlay.png", {"overlay": 1, "provenance": 1, "report": 1}),
        ("provenance.html", {"provenance": 1, "report": 1}),
        (f"{RUN_FOLDER}/best.json", AFTER_PREDICTION | {"select": 1}),
        (f"{RUN_FOLDER}/best.pt", AFTER_PREDICTION | {"select": 1}),
        (f"{RUN_FOLDER}/predictions.jsonl.gz", AFTER_PREDICTION),
        (f"{RUN_FOLDER}/metrics.json", AFTER_EVALUATION),
        (f"{RUN_FOLDER}/details.json", AFTER_EVALUATION),
        # They would take the trainings along; the summary says how to rebuild them.
        ("clips", {}),
        ("annotations", {}),
    ],
)
def test_a_lost_result_is_made_again(finished: Workflow, lost: str, again: dict[str, int]) -> None:
    assert finished.plan("results/tiny/tables/tables.html") == {}
    path = finished.results / lost
    hidden = path.rename(path.with_name(f".hidden_{path.name}"))
    try:
        assert finished.plan() == again
        if lost == "clips":
            assert finished.plan("clips") == {"clips": 1}
    finally:
        hidden.rename(path)


def test_rebuilt_annotations_repeat_nothing_after_a_touch(
    finished: Workflow, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    copy = Workflow(tmp_path, finished.config)
    for file in (copy.results / "annotations").rglob("*.json"):
        file.write_text(file.read_text() + "\n")  # small ones are told by their content
    assert copy.plan() == AFTER_TRAINING
    copy.touch()
    assert copy.plan() == {}


@pytest.fixture
def on_disk(tiny: Workflow) -> Workflow:
    """A raw set that was there before the workflow, as a download is."""
    tiny.run("results/tiny/raw")
    raw = (tiny.results / "raw").rename(tiny.folder / "raw")
    (raw / ".snakemake_timestamp").unlink(missing_ok=True)
    return tiny.changed(dataset={"raw": str(raw)})


def test_a_raw_set_on_disk_is_used_as_it_is(on_disk: Workflow) -> None:
    assert "synth" not in on_disk.plan()
    raw = on_disk.folder / "raw"
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    assert on_disk.run("results/tiny/index.json") == {"validate": 1, "index": 1}
    (raw / "note.txt").write_text("a file that has nothing to do with it")
    assert on_disk.plan("results/tiny/index.json") == {}
    (raw / "note.txt").unlink()
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*")} == before | {}


def test_bad_raw_data_is_one_message_and_no_output(
    on_disk: Workflow, capfd: pytest.CaptureFixture[str]
) -> None:
    raw = on_disk.folder / "raw"
    bmp = sorted(raw.glob("mini_train_000/images/*.bmp"))[8]
    frame = bmp.read_bytes()
    bmp.write_bytes(frame[: len(frame) // 2])
    shown = _failure(on_disk, capfd)
    assert bmp.name in shown
    bmp.write_bytes(frame)
    official = raw / "valid.json"
    text = official.read_text()
    official.write_text(text[: len(text) // 2])
    shown = _failure(on_disk, capfd)
    assert f"{official}: not valid JSON" in shown
    official.write_text(text)
    assert on_disk.run("results/tiny/cuts/structure.json")["cut_structure"] == 1


def _failure(workflow: Workflow, capfd: pytest.CaptureFixture[str]) -> str:
    """What is shown when the data stages fail; nothing half-made is left."""
    capfd.readouterr()
    with pytest.raises(WorkflowError):
        workflow.run("results/tiny/clips")
    shown = capfd.readouterr().err
    assert shown.count("vatrack: error: ") == 1
    assert "Traceback" not in shown
    failed = re.findall(r"Error in rule (\w+)", shown)
    assert len(failed) == 1
    kept = [
        path.relative_to(workflow.results).parts[0]
        for path in workflow.results.rglob("*")
        if path.is_file()
    ]
    assert "clips" not in kept
    hidden = {path.name for path in workflow.results.rglob(".*")}
    assert hidden <= {".snakemake_timestamp", ".config.lock"}
    return shown
