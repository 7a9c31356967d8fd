"""A real training on a tiny set: what it leaves, that it repeats itself, and how it stops."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import TinyData, tiny_config
from tests.models.small import small_network
from vatrack.common.errors import FolderLost, InputError
from vatrack.common.parallel import killed
from vatrack.common.value_files import read_json
from vatrack.config import Backbone, Method, RunConfig, load_run_config
from vatrack.data.frames import AnnotationFile
from vatrack.runs.folder import RunFolder
from vatrack.training.loop import train
from vatrack.weights.checkpoint import load

pytestmark = pytest.mark.usefixtures("narrow_trunk")


def _run(folder: Path, method: Method = Method.VATRACK, **training: object) -> RunConfig:
    return tiny_config(folder, **training).for_run(method, Backbone.RESNET18)


def _lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_folder_of_a_run_is_self_contained(tiny_run: tuple[RunConfig, Path]) -> None:
    run, out = tiny_run
    assert load_run_config(out / "config.yaml") == run
    environment = read_json(out / "environment.json")
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    summary = read_json(out / "training.json")
    assert summary["epochs"] == 2
    lines = _lines(out)
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps[-1] == summary["iterations"]
    assert steps == sorted(set(steps))
    terms = {
        "loss_cls",
        "loss_bbox",
        "loss_amodal_cls",
        "loss_amodal_bbox",
        "loss_mask",
        "loss_amodal_mask",
    }
    terms |= {"loss_rpn_cls", "loss_rpn_bbox", "loss_track", "loss_track_aux"}
    for line in lines:
        if "loss" in line:
            assert terms <= line.keys()
            assert line["loss"] == pytest.approx(sum(line[name] for name in terms), rel=1e-3)
            assert line["lr"] > 0
    validations = [line for line in lines if "validation" in line]
    assert [line["epoch"] for line in validations] == [2], "only from validate_from on"
    assert validations[0]["validation"] == read_json(out / "validation" / "epoch_02.json")
    assert "image/amodal/AP50" in validations[0]["validation"]
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["epoch_02.pt"]
    assert load(out / "checkpoints" / "epoch_02.pt").epoch == 2


@pytest.mark.parametrize("method", [Method.QDTRACK, Method.AMODALTRACK])
def test_methods_with_one_mask_train_and_are_validated_on_it(
    method: Method, tiny_data: TinyData, tmp_path: Path
) -> None:
    train(
        _run(tmp_path, method, epochs=1, validate_from=1),
        tiny_data.annotations,
        tiny_data.images,
        tmp_path,
    )
    metrics = read_json(tmp_path / "validation" / "epoch_01.json")
    mask_types = {key.split("/")[1].removesuffix("_box") for key in metrics}
    assert mask_types == set(method.masks)


def test_a_validation_without_predictions_names_the_epoch(
    tiny_data: TinyData, tmp_path: Path
) -> None:
    """And not its temporary file."""
    run = _run(tmp_path, epochs=1, validate_from=1)
    settings = run.inference.model_copy(update={"score_threshold": 1.0})
    told = r"^epoch 1 predicts nothing, so all objects in .* count as missed$"
    with pytest.warns(UserWarning, match=told):
        train(
            run.model_copy(update={"inference": settings}),
            tiny_data.annotations,
            tiny_data.images,
            tmp_path,
        )


def test_a_killed_process_of_a_validation_is_told_with_its_setting(
    tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise killed(str(given[-1]))

    monkeypatch.setattr("vatrack.evaluation.measuring.ordered_map", broken)
    run = _run(tmp_path, epochs=1, validate_from=1)
    told = rf"was killed.*; lower launcher\.cpus \(now {run.launcher.cpus}\)$"
    with pytest.raises(BrokenProcessPool, match=told):
        train(run, tiny_data.annotations, tiny_data.images, tmp_path)


def test_the_same_seed_gives_the_same_weights_whatever_the_workers(
    tiny_data: TinyData, tmp_path: Path
) -> None:
    weights = []
    for name, workers, seed in (("a", 0, 0), ("b", 1, 0), ("c", 0, 1)):
        run = _run(tmp_path, epochs=1, validate_from=1, workers=workers).model_copy(
            update={"seed": seed}
        )
        train(run, tiny_data.annotations, tiny_data.images, tmp_path / name)
        weights.append(load(tmp_path / name / "checkpoints" / "epoch_01.pt").weights)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert not all(torch.equal(value, weights[2][name]) for name, value in weights[0].items())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere", "no such folder; "),
        ("empty", "contains no frames of .*json: expected .*, found"),
    ],
)
def test_a_wrong_folder_of_frames_is_told_once(
    tiny_data: TinyData, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"/{name}: {told}"):
        train(_run(tmp_path), tiny_data.annotations, tmp_path / name, tmp_path / "run")


@pytest.mark.parametrize("lost", ["frames", "tracks"])
def test_what_validations_need_is_looked_for_before_the_first_step(
    tiny_data: TinyData, tmp_path: Path, lost: str
) -> None:
    annotations, images = tmp_path / "annotations", tmp_path / "images"
    for path in tiny_data.annotations.glob("*/*.json"):
        (annotations / path.parent.name).mkdir(parents=True, exist_ok=True)
        (annotations / path.parent.name / path.name).symlink_to(path)
    images.mkdir()
    valid = AnnotationFile(tiny_data.annotations / "valid" / "joint.json").clip_names.values()
    for clip in tiny_data.images.iterdir():
        if lost == "tracks" or clip.name not in valid:
            (images / clip.name).symlink_to(clip)
    if lost == "tracks":
        (annotations / "valid" / "video_amodal.json").unlink()
    told = {
        "frames": r"images: contains no frames of .*valid/joint\.json",
        "tracks": r"valid/video_amodal\.json: no such file; create it with `vatrack convert`",
    }
    with pytest.raises(InputError, match=told[lost]):
        train(_run(tmp_path), annotations, images, tmp_path / "run")
    assert not (tmp_path / "run" / "state").exists()


def test_a_training_whose_folder_was_taken_over_ends(
    tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its machine was taken for dead, and its job queued again."""
    monkeypatch.setattr(
        "vatrack.training.epochs.validate",
        lambda *_: RunFolder(tmp_path).lock.write_text("elsewhere\n") and None,
    )
    with pytest.raises(FolderLost, match=r"has begun in this folder since \(elsewhere\)"):
        train(_run(tmp_path, epochs=2), tiny_data.annotations, tiny_data.images, tmp_path)
    assert not RunFolder(tmp_path).training.exists()


def test_leftovers_of_an_earlier_training_are_no_candidates(
    tiny_data: TinyData, tmp_path: Path
) -> None:
    for name in ("checkpoints/epoch_01.pt", "validation/epoch_01.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "environment.json").touch()  # what tells the folder of a training
    train(_run(tmp_path), tiny_data.annotations, tiny_data.images, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["epoch_02.pt"]
    assert [path.name for path in (tmp_path / "validation").iterdir()] == ["epoch_02.json"]


def test_a_training_starts_from_the_weights_that_the_config_names(
    tiny_data: TinyData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summed: list[str] = []
    file_digest = hashlib.file_digest

    def noted(stream: Any, name: str) -> Any:
        summed.append(Path(stream.name).name)
        return file_digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    start = small_network(Method.VATRACK, seed=11).state_dict()
    torch.save({"state_dict": start}, tmp_path / "start.pth")
    frozen = {"name": "sgd", "learning_rate": 1e-12}
    run = _run(
        tmp_path,
        epochs=1,
        validate_from=1,
        weights=tmp_path / "start.pth",
        optimizer=frozen,
    )
    train(run, tiny_data.annotations, tiny_data.images, tmp_path / "run")
    assert f"start.pth: {len(start)} tensors copied" in capsys.readouterr().out
    kept = (tmp_path / "run" / "weights.txt").read_text()
    assert f"start.pth: {len(start)} tensors copied" in kept
    digest = hashlib.sha256((tmp_path / "start.pth").read_bytes()).hexdigest()
    assert f"\nsha256 {digest}\n" in kept
    assert summed.count("start.pth") == 1
    weights = load(tmp_path / "run" / "checkpoints" / "epoch_01.pt").weights
    for name, value in start.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-6)
