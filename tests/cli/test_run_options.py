"""What is read from a checkpoint or a run's folder where no option says it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

import vatrack as package
from tests.conftest import TinyData
from tests.evaluation.scenes import random_scene
from tests.models.small import SMALL
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.config import Backbone, Config, Method, RunConfig
from vatrack.inference.predict import predict_files
from vatrack.models.detector import build
from vatrack.runs.folder import RunFolder
from vatrack.weights.checkpoint import load, save
from vatrack.weights.export import export


@pytest.fixture
def folder(tiny_run: tuple[RunConfig, Path], tmp_path: Path) -> RunFolder:
    """A run with its best checkpoint, and no predictions yet."""
    _, trained = tiny_run
    chosen = RunFolder(tmp_path / "run")
    chosen.path.mkdir()
    shutil.copy(RunFolder(trained).config, chosen.config)
    shutil.copy(RunFolder(trained).checkpoint(2), chosen.best_checkpoint)
    return chosen


@pytest.fixture
def data(tiny_data: TinyData) -> tuple[object, ...]:
    truth = tiny_data.annotations / "valid" / "joint.json"
    return ("--frames", truth, "--images", tiny_data.images)


def test_a_checkpoint_says_how_it_predicts(
    vatrack, folder: RunFolder, data: tuple[object, ...], tmp_path: Path
) -> None:
    run = yaml.safe_load(folder.config.read_text())
    names = ("--method", run["method"], "--backbone", run["backbone"])
    ways = {
        "whole": ("--config", folder.config, *names, "--checkpoint", folder.best_checkpoint),
        "bare": ("--checkpoint", folder.best_checkpoint),
        "folder": ("--checkpoint", folder.path),
        "config": ("--config", folder.path, "--checkpoint", folder.path, *names),
    }
    found = {}
    for name, options in ways.items():
        out = tmp_path / name / "predictions.jsonl"
        assert vatrack("predict", *options, *data, "--out", out)[0] == 0
        found[name] = (out.read_bytes(), out.with_name("inference.yaml").read_bytes())
    assert len(found["whole"][0]) > 1000
    assert set(found.values()) == {found["whole"]}


def test_settings_on_top_of_those_of_a_checkpoint(
    vatrack, folder: RunFolder, data: tuple[object, ...], tmp_path: Path
) -> None:
    out = tmp_path / "predictions.jsonl"
    options = ("--checkpoint", folder.path, *data, "--out", out)
    assert vatrack("predict", *options, "--set", "inference.max_detections=1")[0] == 0
    images = [json.loads(line)["image_id"] for line in out.read_text().splitlines()]
    assert images and len(images) == len(set(images))
    code, _, errors = vatrack("predict", *options, "--set", "inference.max_detection=1")
    assert code == 2
    assert f"{folder.best_checkpoint}: its config with --set inference.max_detection=1" in errors
    assert "did you mean inference.max_detections?" in errors


def test_what_is_given_must_agree_with_the_checkpoint(
    vatrack, folder: RunFolder, data: tuple[object, ...], tmp_path: Path
) -> None:
    own = load(folder.best_checkpoint)
    other = next(method for method in Method if method != own.method)
    options = ("--checkpoint", folder.path, *data, "--out", tmp_path / "predictions.jsonl")
    code, _, errors = vatrack("predict", *options, "--method", other)
    assert code == 2
    assert f"a checkpoint of method {own.method}, not {other}; use --method {own.method}" in errors
    code, _, errors = vatrack("predict", *options, "--backbone", "resnet50")
    assert code == 2
    assert f"a checkpoint of backbone {own.backbone}, not resnet50; use --backbone" in errors
    values = yaml.safe_load(folder.config.read_text()) | {"method": str(other)}
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump(values))
    code, _, errors = vatrack("predict", *options, "--config", config)
    assert code == 2
    assert f"{config}: the config of a run with method {other}, not {own.method}; remove" in errors
    assert not (tmp_path / "predictions.jsonl").exists()


def test_a_folder_without_the_file_is_named(
    vatrack, data: tuple[object, ...], tmp_path: Path
) -> None:
    code, _, errors = vatrack(
        "predict", "--checkpoint", tmp_path, *data, "--out", tmp_path / "predictions.jsonl"
    )
    assert code == 2
    assert f"{tmp_path}: folder without best.pt; give a file, or a run folder" in errors
    (tmp_path / "runs").mkdir()
    told = f"{tmp_path}: folder without best.pt; this is a results folder; give one of the folders "
    code, _, errors = vatrack("export", "--checkpoint", tmp_path, "--out", tmp_path / "o")
    assert code == 2 and f"{told}in {tmp_path}/runs" in errors
    with pytest.raises(InputError, match="this is a results folder"):
        package.load(tmp_path)


@pytest.fixture(scope="module")
def found(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the predictions of the run, and with what lies beside them."""
    run, trained = tiny_run
    out = RunFolder(tmp_path_factory.mktemp("found"))
    truth = tiny_data.annotations / "valid" / "joint.json"
    checkpoint = RunFolder(trained).checkpoint(2)
    predict_files(run, checkpoint, truth, tiny_data.images, out.predictions)
    return out.path


@pytest.fixture
def predicted(folder: RunFolder, found: Path) -> RunFolder:
    """The run with its predictions."""
    shutil.copytree(found, folder.path, dirs_exist_ok=True)
    return folder


@pytest.fixture
def truth(tiny_data: TinyData) -> tuple[str, Path]:
    return ("--ground-truth", tiny_data.annotations / "valid" / "joint.json")


@pytest.fixture
def inside(predicted: RunFolder, tiny_data: TinyData, tmp_path: Path) -> RunFolder:
    """A run among the results of the workflow, which say where everything is."""
    results = tmp_path / "results"
    shutil.copytree(predicted.path, results / "runs" / "vatrack__resnet18")
    (results / "annotations").symlink_to(tiny_data.annotations)
    return RunFolder(results / "runs" / "vatrack__resnet18")


def test_a_run_is_evaluated_as_its_config_says(
    vatrack, predicted: RunFolder, truth: tuple[str, Path], tmp_path: Path
) -> None:
    values = yaml.safe_load(predicted.config.read_text())
    values["evaluation"]["max_tracks"] = 7
    predicted.config.write_text(yaml.safe_dump(values))
    options = ("evaluate", "--predictions", predicted.path, *truth, "--run", predicted.path)
    assert vatrack(*options, "--out", predicted.metrics)[0] == 0
    assert yaml.safe_load(predicted.evaluation.read_text())["max_tracks"] == 7
    changed = ("--set", "evaluation.max_tracks=9", "--out", predicted.metrics)
    assert vatrack(*options, *changed)[0] == 0
    assert yaml.safe_load(predicted.evaluation.read_text())["max_tracks"] == 9
    # Metrics elsewhere are another evaluation: the folder's own keep their settings.
    elsewhere = ("--set", "evaluation.max_tracks=5", "--out", tmp_path / "other.json")
    assert vatrack(*options, *elsewhere)[0] == 0
    assert (tmp_path / "other.json").is_file()
    assert yaml.safe_load(predicted.evaluation.read_text())["max_tracks"] == 9
    # Without --run, what was noted of the metrics before would be taken for theirs.
    given = ("evaluate", "--predictions", predicted.path, *truth, "--out", predicted.metrics)
    assert vatrack(*given, "--set", "evaluation.max_tracks=5")[0] == 0
    assert yaml.safe_load(predicted.evaluation.read_text())["max_tracks"] == 5


def test_predictions_of_an_earlier_choice_are_not_evaluated(
    vatrack, predicted: RunFolder, truth: tuple[str, Path]
) -> None:
    """Neither whole nor in shards; the file alone may be evaluated elsewhere."""
    write_json(predicted.selection, {"epoch": 3})
    told = f"{predicted.path}: predictions.jsonl.gz is of epoch 2, but best.json chooses epoch 3; "
    out = predicted.path / "m.json"
    run, file = ("--run", predicted.path), ("--predictions", predicted.predictions)
    shard = ("--shard", "1/2", "--out", out.with_suffix(".npz"))
    for options in ((*run, "--out", out), (*run, *file, "--out", out), (*run, *file, *shard)):
        code, _, errors = vatrack("evaluate", *truth, *options)
        assert (code, told in errors, out.exists()) == (2, True, False)
    assert vatrack("evaluate", *truth, *file, "--out", out)[0] == 0


def test_a_run_among_results_needs_no_other_option(
    vatrack, inside: RunFolder, predicted: RunFolder, truth: tuple[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m.json"
    assert vatrack("evaluate", "--run", inside.path, "--out", inside.metrics)[0] == 0
    same = ("--predictions", predicted.path, *truth, "--config", predicted.config)
    assert vatrack("evaluate", *same, "--out", out)[0] == 0
    assert inside.metrics.read_bytes() == out.read_bytes()
    code, _, errors = vatrack("evaluate", "--run", inside.path, "--out", inside.predictions)
    assert (code, "is a file of predictions, which would be lost" in errors) == (2, True)
    # What the folder of another one does not say is asked for.
    code, _, errors = vatrack("evaluate", "--run", predicted.path, "--out", out)
    assert code == 2
    assert "no ground truth in its results folder" in errors and "give --ground-truth" in errors


def test_predictions_of_a_run_lack_no_mask_type_of_its_method(
    vatrack, inside: RunFolder, truth: tuple[str, Path], tmp_path: Path
) -> None:
    """The run's method has both masks, so predictions with one alone are damaged."""
    both = package.evaluate(truth[1], inside.predictions)
    lines = list(package.read_predictions(inside.path))
    texts = (json.dumps({**one, "visible": None}) + "\n" for one in lines)
    inside.predictions.write_bytes(gzip.compress("".join(texts).encode()))
    said = f"{inside.predictions}: no prediction has visible masks, although the method of the run"
    code, _, errors = vatrack("evaluate", "--run", inside.path, "--out", tmp_path / "m.json")
    assert (code, said in errors) == (2, True)
    with pytest.raises(package.InputError, match=re.escape(said)):
        package.evaluate(truth[1], inside.path)
    assert package.evaluate(truth[1], inside.predictions).keys() < both.keys()


def test_predictions_of_a_run_are_drawn_and_exported(
    vatrack, predicted: RunFolder, tiny_data: TinyData, truth: tuple[str, Path], tmp_path: Path
) -> None:
    drawn = tmp_path / "overlay.png"
    drawing = ("overlay", "--predictions", predicted.path, *truth, "--images", tiny_data.images)
    assert vatrack(*drawing, "--score", 0, "--out", drawn)[0] == 0
    assert drawn.stat().st_size > 1000
    other = [tmp_path / f"{name}.json" for name in ("folder", "file")]
    for given, out in zip((predicted.path, predicted.predictions), other, strict=True):
        exporting = ("export-predictions", given, *truth, "--to", "coco", "--out", out)
        assert vatrack(*exporting)[0] == 0
    assert other[0].read_bytes() == other[1].read_bytes()
    lines = list(package.read_predictions(predicted.path))
    assert len(lines) == len(json.loads(other[0].read_text()))


def test_an_exported_checkpoint_of_a_run_predicts_the_same(
    vatrack, predicted: RunFolder, data: tuple[object, ...], tmp_path: Path
) -> None:
    method = load(predicted.best_checkpoint).method
    assert package.load(predicted.path, device="cpu").method == str(method)
    exported = tmp_path / "shared.safetensors"
    assert vatrack("export", "--checkpoint", predicted.path, "--out", exported)[0] == 0
    again = tmp_path / "again.jsonl.gz"
    assert vatrack("predict", "--checkpoint", exported, *data, "--out", again)[0] == 0
    assert again.read_bytes() == predicted.predictions.read_bytes()


def test_the_best_checkpoint_by_the_runs_own_config(
    vatrack, tiny_run: tuple[RunConfig, Path], tmp_path: Path
) -> None:
    trained = tmp_path / "run"
    shutil.copytree(tiny_run[1], trained)
    out = trained / "best.json"
    assert vatrack("select", "--run", trained, "--out", out)[0] == 0
    chosen = json.loads(out.read_text())
    assert chosen["epoch"] == 2
    code, _, errors = vatrack(
        "select", "--run", trained, "--out", out, "--set", "selection.metrics=x"
    )
    assert code == 2
    assert "selection.metrics: unknown key; did you mean selection.metric?" in errors
    config = (trained / "config.yaml").rename(tmp_path / "config.yaml")
    out.unlink()
    code, _, errors = vatrack("select", "--run", trained, "--out", out)
    assert code == 2 and "no config.yaml" in errors and "or give --config" in errors
    given = ("select", "--run", trained, "--out", out, "--config", config)
    code, _, errors = vatrack(*given)
    assert code == 2 and "config.yaml: no such file, so the default metric is unknown; " in errors
    assert vatrack(*given, "--set", f"selection.metric={chosen['metric']}")[0] == 0
    assert json.loads(out.read_text()) == chosen


def test_a_run_folder_without_a_config_is_evaluated_by_another(
    vatrack, folder: RunFolder, tmp_path: Path
) -> None:
    truth, predictions = random_scene(1)
    write_json(tmp_path / "joint.json", truth)
    lines = (json.dumps(one) + "\n" for one in predictions)
    (tmp_path / "found.jsonl").write_text("".join(lines))
    config = folder.config.rename(tmp_path / "config.yaml")
    given = ("--ground-truth", tmp_path / "joint.json", "--predictions", tmp_path / "found.jsonl")
    options = (*given, "--config", config, "--run", folder.path, "--out")
    assert vatrack("evaluate", *options, folder.metrics)[0] == 0
    whole = folder.metrics.read_bytes()
    folder.metrics.unlink()
    folder.evaluation.unlink()
    shard = tmp_path / "1.npz"
    assert vatrack("evaluate", *options, shard, "--shard", "1/1")[0] == 0
    merging = ("merge-evaluations", shard, "--run", folder.path, "--out", folder.metrics)
    assert vatrack(*merging)[0] == 0
    assert folder.metrics.read_bytes() == whole and folder.evaluation.is_file()


def test_a_training_says_what_it_lacks(vatrack, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("methods: [vatrack, qdtrack]\nbackbones: [resnet18, resnet50]\n")
    places = ("--annotations", tmp_path, "--images", tmp_path, "--out", tmp_path / "run")
    for command in ("train", "launch"):
        code, _, errors = vatrack(command, "--config", config, *places)
        assert code == 2
        assert "choose one with --method and --backbone" in errors
    assert not (tmp_path / "run").exists()


def test_options_of_slurm_need_slurm(vatrack, tmp_path: Path) -> None:
    """The training would begin on the login node."""
    (tmp_path / "c.yaml").write_text("training: {random_start: true}\n")
    words = ["--config", tmp_path / "c.yaml", "--annotations", tmp_path, "--images", tmp_path]
    options = ["--partition", "gpu", "--account", "me"]
    code, _, errors = vatrack("launch", *words, "--out", tmp_path / "run", *options)
    assert code == 2
    assert "--partition: has no effect, because launcher.cluster is local; add --set" in errors
    assert "or remove --partition and --account" in errors
    assert not (tmp_path / "run").exists()


def test_a_setting_found_wrong_later_is_told_with_its_file(vatrack, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("methods: [vatrack]\nbackbones: [resnet50]\n")
    places = ("--annotations", tmp_path, "--images", tmp_path, "--out", tmp_path / "run")
    for command in ("train", "launch"):
        code, _, errors = vatrack(command, "--config", config, *places)
        assert code == 2
        assert errors.startswith(f"vatrack: error: {config}: training.weights: frozen_stages 1 ")
    code, _, errors = vatrack("fetch-weights", "--config", config, "--set", "seed=1")
    assert code == 2
    assert f"{config} with --set seed=1: training.weights: frozen_stages 1 " in errors
    code, _, errors = vatrack(
        "import-checkpoint",
        "x.pth",
        "--class",
        "a",
        "--class",
        "a",
        *("--method", "vatrack", "--backbone", "resnet18", "--out", tmp_path / "new.pt"),
    )
    assert (code, "--class: class 'a' is listed twice; keep one" in errors) == (2, True)
    # A positional argument called `source` is no config.
    names = ("--method", "vatrack", "--backbone", "resnet18", "--out", tmp_path / "new.pt")
    code, _, errors = vatrack("import-checkpoint", tmp_path / "none.pth", *names)
    assert code == 2
    assert errors.startswith(f"vatrack: error: {tmp_path / 'none.pth'}: no such ")


def test_settings_of_a_checkpoint_leave_its_machine_behind(
    tiny_run: tuple[RunConfig, Path], tmp_path: Path
) -> None:
    run, trained = tiny_run
    loaded = load(RunFolder(trained).checkpoint(2))
    values = run.model_dump(mode="json")
    values["compute"]["device"] = "cuda"
    values["dataset"]["raw"] = "/somewhere/else"
    moved = RunConfig.model_validate(values)
    path = tmp_path / "moved.pt"
    model = build(run.method, run.model, run.backbone)
    model.load_state_dict(loaded.weights)
    save(path, model, moved, 2)
    settings = load(path).settings(path)
    assert settings.compute.device == "auto"
    assert settings.dataset.raw is None
    assert (settings.dataset.name, settings.inference) == (run.dataset.name, run.inference)
    assert settings.class_list == run.class_list


def test_own_annotations_are_not_looked_for(tmp_path: Path) -> None:
    """An exported checkpoint names no file of the data that it was trained on."""
    for name in ("train.json", "valid.json"):
        (tmp_path / name).write_text("{}")
    dataset = {"format": "joint", "images": str(tmp_path), "classes": ["cat", "dog"]}
    dataset |= {f"{name}_json": str(tmp_path / f"{name}.json") for name in ("train", "valid")}
    values = {"dataset": dataset, "model": SMALL.model_dump() | {"class_weights": "auto"}}
    run = Config.model_validate(values).for_run(Method.VATRACK, Backbone.RESNET18)
    save(tmp_path / "best.pt", build(run.method, run.model, run.backbone), run, 1)
    export(tmp_path / "best.pt", tmp_path / "shared.safetensors")
    assert str(tmp_path) not in json.dumps(load(tmp_path / "shared.safetensors").config)
    for name in ("best.pt", "shared.safetensors"):
        assert load(tmp_path / name).settings(tmp_path / name).classes == ("cat", "dog")
        assert package.load(tmp_path / name).classes == {1: "cat", 2: "dog"}


def test_settings_of_an_imported_checkpoint_are_defaults(
    tiny_run: tuple[RunConfig, Path],
) -> None:
    run, trained = tiny_run
    path = RunFolder(trained).checkpoint(2)
    loaded = load(path)
    for key in set(loaded.config) - {"model", "classes"}:
        del loaded.config[key]
    settings = loaded.settings(path, ["seed=5"])
    assert (settings.method, settings.backbone) == (run.method, Backbone(run.backbone))
    assert settings.model == run.model
    assert settings.training.epochs == 12
    assert settings.seed == 5
